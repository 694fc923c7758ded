"""What a run shows while it goes: rules and gates, decided by a process of its own over what has been recorded."""

from harness.live.onlooker import START_S, Glance, Onlooker

__all__ = ["START_S", "Glance", "Onlooker"]

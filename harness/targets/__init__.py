"""Targets of a run: the embedded service, started for it, or a deployment that somebody else runs."""

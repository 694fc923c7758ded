"""The control calls of a load process, counted while they are under way."""

from harness.control import ControlClient


class Steering(ControlClient):
    """Control calls. `busy` counts those under way: one that has begun must be recorded before a shard is closed, as
    its effect on the target would else be blamed on the target."""

    busy = 0

    def _call(self, operation: str, template: str, challenge_id: str = "", user: int = -1) -> tuple[bool, int]:
        self.busy += 1
        try:
            return super()._call(operation, template, challenge_id, user)
        finally:
            self.busy -= 1

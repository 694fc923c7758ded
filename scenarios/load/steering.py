"""The control calls of a load process, counted while they are under way."""

from harness.control import ControlClient


class Steering(ControlClient):
    """Control calls. `busy` counts those under way: one that has begun must be recorded before a shard is closed, as
    its effect on the target would else be blamed on the target."""

    busy = 0

    def accept(self, challenge_id: str, user: int) -> bool:
        self.busy += 1
        try:
            return super().accept(challenge_id, user)
        finally:
            self.busy -= 1

    def decline(self, challenge_id: str, user: int) -> bool:
        self.busy += 1
        try:
            return super().decline(challenge_id, user)
        finally:
            self.busy -= 1

    def kill(self) -> bool:
        self.busy += 1
        try:
            return super().kill()
        finally:
            self.busy -= 1

    def stall(self) -> bool:
        self.busy += 1
        try:
            return super().stall()
        finally:
            self.busy -= 1

    def reset(self) -> bool:
        self.busy += 1
        try:
            return super().reset()
        finally:
            self.busy -= 1

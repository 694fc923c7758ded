"""What a 429 says of when to come back: nothing, nonsense, too early, too late."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from harness.reference.answers import Answers
from harness.reference.faults.catalogue import fault
from harness.reference.service import Service


@fault("retry-after-missing", "the gateway strips the header that it does not know", "rate-limit-retry-after")
class RetryAfterMissing(Service):
    def make_answers(self) -> Answers:
        return Answers(retry_after=False)


class _OtherRetryAfter(Service):
    """A Retry-After that says something else."""

    class Text(Answers):
        said = b""

        def seconds(self, wait: int) -> bytes:
            return self.said

    def make_answers(self) -> Answers:
        return self.Text(self.settings.retry_after)


@fault("retry-after-too-early", "the time to wait is rounded down to whole seconds", "rate-limit-retry-after")
class RetryAfterTooEarly(_OtherRetryAfter):
    class Text(_OtherRetryAfter.Text):
        said = b"0"


@fault("retry-after-no-number", "the wait is written as a floating-point number with its unit",
       "rate-limit-retry-after")  # fmt: skip
class RetryAfterNoNumber(_OtherRetryAfter):
    class Text(_OtherRetryAfter.Text):
        def seconds(self, wait: int) -> bytes:
            return b"%.3fs" % (wait / 10**9)


@fault("retry-after-negative", "the wait is a difference of two clocks, of which one is ahead",
       "rate-limit-retry-after")  # fmt: skip
class RetryAfterNegative(_OtherRetryAfter):
    class Text(_OtherRetryAfter.Text):
        said = b"-1"


@fault("retry-after-too-long", "the wait is written in milliseconds", "rate-limit-retry-after")
class RetryAfterTooLong(_OtherRetryAfter):
    class Text(_OtherRetryAfter.Text):
        def seconds(self, wait: int) -> bytes:
            return b"%d" % (wait // 10**6)

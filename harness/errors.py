"""What can go wrong in a way that a user can mend, and the exit codes that say how a command ended."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; when several apply, the order of `PRECEDENCE` decides."""

    PASS = 0
    FAILED = 1
    USAGE = 2
    GATE = 3
    INCONCLUSIVE = 4
    UNREACHABLE = 5
    INTERNAL = 70
    INTERRUPTED = 130


MEANING: dict[ExitCode, str] = {
    ExitCode.PASS: "every rule that was decided passed, and every required rule was decided",
    ExitCode.FAILED: "at least one rule failed; the report shows a witness for each",
    ExitCode.USAGE: "wrong use or configuration: a flag, a profile, a plan, a credentials pool, a run folder",
    ExitCode.GATE: "no rule failed, but a gate (latency, errors, throughput) was missed, or a compared figure is worse",
    ExitCode.INCONCLUSIVE: "no rule failed, but a required rule was inconclusive or not exercised",
    ExitCode.UNREACHABLE: "could not run: the target did not answer, did not speak HTTP, or refused the credentials",
    ExitCode.INTERNAL: "a defect of the harness itself; please report it with the text that was printed",
    ExitCode.INTERRUPTED: "interrupted; what was recorded until then has been judged and reported",
}

# A broken contract outranks everything else that a run can tell; an interrupted run says so even when it saw nothing.
PRECEDENCE: tuple[ExitCode, ...] = (
    ExitCode.INTERNAL,
    ExitCode.USAGE,
    ExitCode.FAILED,
    ExitCode.INTERRUPTED,
    ExitCode.UNREACHABLE,
    ExitCode.INCONCLUSIVE,
    ExitCode.GATE,
    ExitCode.PASS,
)


def worst(codes: set[ExitCode]) -> ExitCode:
    """The one exit code for a command to which all of `codes` apply."""
    return next((code for code in PRECEDENCE if code in codes), ExitCode.PASS)


MANY: int = 30  # names that an error lists whole
FEW: int = 5


class HarnessError(Exception):
    """An error that its reader can mend: `message` says what and where, `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


def suggest(word: str, valid: list[str]) -> str:
    """A 'did you mean' sentence for a word that is not among the valid ones; these are named unless there are many."""
    from difflib import get_close_matches

    near = get_close_matches(word, valid, n=1)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    if len(valid) <= MANY:
        return f"{meant}Valid: {', '.join(valid)}."
    nearest = get_close_matches(word, valid, n=FEW, cutoff=0.0)
    return f"{meant}Valid are {len(valid)} names; the nearest: {', '.join(nearest)}."

"""Words for what a history shows, used in the messages of rules; texts that others wrote are cut and escaped."""

from typing import Final

from harness.rules.reading.operations import Pushes

LONGEST: Final = 60  # characters of a text that others wrote


def quoted(text: str) -> str:
    """A text of others, safe to print."""
    return ascii(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def ago(ns: int) -> str:
    """A span of time with a unit that suits it."""
    for unit, size in (("h", 3600 * 10**9), ("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6)):
        if ns >= size or unit == "ms":
            return f"{ns / size:.3g} {unit}"
    raise AssertionError(ns)


def who(pushes: Pushes, place: int) -> str:
    """The caller, the channel and the ref of an exchange."""
    ref = pushes.ref[place]
    called = f"ref {quoted(str(pushes.refs[ref]))}" if ref >= 0 else "no ref"
    return f"user {pushes.token[place]} on {channel(pushes, place)} with {called}"


def channel(pushes: Pushes, place: int) -> str:
    return str(pushes.channels[pushes.channel[place]])[:LONGEST] if pushes.channel[place] >= 0 else "no channel"


def answer(pushes: Pushes, place: int) -> str:
    """What an exchange was answered: its id, or its status and error code."""
    if pushes.success[place]:
        given = f"challenge {quoted(str(pushes.ids[pushes.id[place]]))}"
        return given if pushes.status[place] == 200 else f"{pushes.status[place]} and {given}"
    code = pushes.code[place]
    return f"{pushes.status[place]}" + (f" {quoted(str(pushes.codes[code]))[1:-1]}" if code >= 0 else "")

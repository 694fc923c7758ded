"""The fewest calls that still contradict each other, found by no longer holding the target to the rest."""

from collections.abc import Sequence
from typing import Final

from harness.rules.search.calls import MAYBE, MAYBE_SETTLED, SERVED, SETTLED, Call, Terms
from harness.rules.search.frontier import search

TRIAL: Final = 3_000  # configurations; a trial that takes more counts as one that could not be spared


def reduce(calls: Sequence[Call], terms: Terms, failed: int) -> list[Call]:
    """Calls of which none can be spared, in order of sending; the call at place `failed` is where a search gave up.

    Leaving calls out is not sound: a replay looks wrong without what it replays. So a call is *weakened* instead: its
    answer is not checked, and its effect may be left out. That only adds orders, so one pass finds what is needed.
    """
    wrong = calls[failed]
    used = _used(calls, wrong.end)
    if not _contradict(used, set(range(len(used))), terms):
        used = list(calls)  # what shows that the token was not settled before the run may come later
    related = {n for n, call in enumerate(used) if call.op == wrong.op or call.kind in (SETTLED, MAYBE_SETTLED)}
    kept = related if _contradict(used, related, terms) else set(range(len(used)))
    size = max(len(kept) // 2, 1)
    while True:
        for part in _parts(sorted(kept), size):
            if _contradict(used, kept - part, terms):
                kept -= part
        if size == 1:
            return sorted((used[n] for n in kept if _binds(used[n])), key=lambda call: (call.start, call.row))
        size = max(size // 2, 1)


def _used(calls: Sequence[Call], until: int) -> list[Call]:
    """The calls sent until then, and what else could explain them, weakened."""
    sent = [call for call in calls if call.start <= until]
    ops = {call.op for call in sent}
    last = max(call.end for call in sent if _binds(call))
    later = [weakened(call) for call in calls if until < call.start and (call.start <= last or call.op in ops)]
    return sent + [call for call in later if call is not None]


def _contradict(calls: Sequence[Call], kept: set[int], terms: Terms) -> bool:
    """Whether the kept calls still fit no order when the others are not held against the target."""
    weaker = [call if n in kept else weakened(call) for n, call in enumerate(calls)]
    outcome = search([call for call in weaker if call is not None], terms, TRIAL)
    return outcome.decided and outcome.failed >= 0


def weakened(call: Call) -> Call | None:
    """The call with its effect optional; None where it has none."""
    if call.kind == SERVED:
        return call._replace(kind=MAYBE)
    if call.kind == SETTLED:
        return call._replace(kind=MAYBE_SETTLED)
    return call if not _binds(call) and call.kind in (MAYBE, MAYBE_SETTLED) else None


def _binds(call: Call) -> bool:
    return call.kind not in (MAYBE, MAYBE_SETTLED)


def _parts(items: list[int], size: int) -> list[set[int]]:
    return [set(items[n : n + size]) for n in range(0, len(items), size)]

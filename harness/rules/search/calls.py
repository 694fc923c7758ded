"""A person's calls as the search sees them, and the terms on which a correct endpoint answers them."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from harness.rules.reading.operations import FOREVER

# SERVED: a 200; its operation's challenge exists from some moment of the interval on. MAYBE: it may have been issued.
# LIMITED, REFUSED: refused for the challenge limit, for the token's state. SETTLED: accepted or declined, or maybe.
SERVED, MAYBE, LIMITED, REFUSED, SETTLED, MAYBE_SETTLED = range(6)
MUST_REFUSE: Final = 2
MAY_REFUSE: Final = 1


class Call(NamedTuple):
    """One exchange. Its moment lies in `[start, end]` (ns), ends included.

    `token` and `op` are numbers; `op` is the operation, or the one whose challenge is settled (-1: not seen). `effect`
    adds up what a settle does: MAY_REFUSE, MUST_REFUSE; 0 leaves the token free.
    """

    row: int
    kind: int
    token: int
    op: int
    start: int
    end: int
    effect: int = 0


@dataclass(frozen=True)
class Terms:
    """On which terms a token gets a challenge. Windows in ns; `surely` is the shorter, `possibly` the longer reading.

    `one_pending`: none while one is pending, that is for `pending_surely` (FOREVER: until it is settled); it may be
    refused then where `refuses_pending`. `begin` is when the calls begin. `fewest` challenges in `window_possibly`
    explain a refusal for the limit that was sent after `cold`; before it anything does. More than `most` in
    `window_surely` cannot be (None: no limit). `settled_before`: tokens may be in a state from before in which they may
    be refused though they may still get challenges.
    """

    one_pending: bool = False
    refuses_pending: bool = False
    pending_surely: int = FOREVER
    pending_possibly: int = FOREVER
    begin: int = 0
    most: int | None = None
    fewest: int = 0
    window_surely: int = FOREVER
    window_possibly: int = FOREVER
    cold: int = FOREVER
    settled_before: bool = False

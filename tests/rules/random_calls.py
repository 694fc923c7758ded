"""Random small histories and terms for the search, so dense that many of them fit no order."""

import random

from harness.rules.reading.operations import FOREVER
from harness.rules.search import LIMITED, MAYBE, MAYBE_SETTLED, REFUSED, SERVED, SETTLED, Call, Terms

KINDS = [SERVED] * 5 + [MAYBE] * 2 + [LIMITED] * 2 + [REFUSED] * 2 + [SETTLED, MAYBE_SETTLED]


def random_terms(rng: random.Random) -> Terms:
    """Limits of one to three, windows inside and beyond the calls, one pending challenge or many."""
    limited, one = rng.random() < 0.6, rng.random() < 0.4
    lasts = rng.choice([FOREVER, 3, 6])
    window = rng.choice([FOREVER, 4, 8])
    count = rng.randint(1, 3)
    return Terms(
        one_pending=one,
        refuses_pending=one and rng.random() < 0.8,
        pending_surely=lasts,
        pending_possibly=lasts + (lasts < FOREVER) * rng.randint(0, 1),
        begin=0,
        most=count if limited else None,
        fewest=count,
        window_surely=window,
        window_possibly=window + (window < FOREVER) * rng.randint(0, 1),
        cold=-1 if limited and rng.random() < 0.8 else rng.choice([4, FOREVER]),
        settled_before=rng.random() < 0.1,
    )


def random_calls(rng: random.Random, most: int = 7) -> list[Call]:
    """Three to `most` calls of one or two tokens in order of sending."""
    tokens = rng.choice([1, 1, 2])
    lost = rng.choice([0, 6])  # how long a lost call may go on; 0: for ever
    starts = sorted(rng.randint(1, 12) for _ in range(rng.randint(3, most)))
    ops = rng.randint(2, most)
    return [_call(rng, row, start, tokens, ops, lost) for row, start in enumerate(starts)]


def crowded_calls(rng: random.Random) -> tuple[list[Call], Terms]:
    """Up to eight overlapping calls, mostly served, on a limit whose window slides within them."""
    window, count = rng.randint(5, 14), rng.randint(1, 4)
    terms = Terms(most=count, fewest=count, window_surely=window, window_possibly=window + rng.randint(0, 1), cold=-1)
    starts = sorted(rng.randint(1, 9) for _ in range(rng.randint(4, 8)))
    kinds = rng.choices([SERVED, MAYBE, LIMITED, SETTLED], [8, 1, 1, 0.3], k=len(starts))
    tokens = rng.choice([1, 1, 1, 2])
    calls = []
    for row, (start, kind) in enumerate(zip(starts, kinds, strict=True)):
        end = FOREVER if kind == MAYBE and rng.random() < 0.5 else start + rng.randint(1, 9)
        op = row if rng.random() < 0.9 else rng.randrange(len(starts))
        calls.append(Call(row, kind, rng.randrange(tokens), op, start, end, 3 * (kind == SETTLED)))
    return calls, terms


def _call(rng: random.Random, row: int, start: int, tokens: int, ops: int, lost: int) -> Call:
    kind = rng.choice(KINDS)
    end = start + rng.randint(0, 5)
    if kind in (MAYBE, MAYBE_SETTLED):
        end = end + lost if lost else FOREVER
    effect = rng.choice([3, 3, 3, 1, 2, 0]) if kind in (SETTLED, MAYBE_SETTLED) else 0
    op = -1 if kind == MAYBE_SETTLED and rng.random() < 0.3 else rng.randrange(ops)
    return Call(row, kind, rng.randrange(tokens), op, start, end, effect)

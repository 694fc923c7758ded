"""Where a duplicate is refused while the first call is being worked on: which refusals may have met another call."""

import numpy as np

from harness.rules.reading.columns import Flags, Ints, Pushes
from harness.rules.reading.groups import count_until


def may_meet_another(pushes: Pushes, place: Ints, over: Ints, apart: int = 0) -> Flags:
    """Whether another exchange that may be of the same operation may be under way at the time of each `place`.

    `over` says when each exchange has ended at the latest, `apart` (ns) how much clocks may differ. No place is vague;
    what is vague may ask for any operation of its person.
    """
    clear, vague = np.where(pushes.vague, -1, pushes.op), np.where(pushes.vague, pushes.person, -1)
    meets = np.zeros(len(place), np.bool_)
    for group, asked, itself in ((clear, pushes.op[place], 1), (vague, pushes.person[place], 0)):
        rows = np.flatnonzero((group >= 0) & np.isin(group, asked))
        begun = count_until(group[rows], pushes.sent[rows], asked, pushes.received[place] + apart)
        ended = count_until(group[rows], over[rows], asked, pushes.sent[place] - 1 - apart)
        meets |= begun - ended > itself
    return meets

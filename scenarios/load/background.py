"""Steady mixed traffic on a schedule of its own, mostly replays, from which latency is measured.

Exercises idempotent-replay, ref-exact, channel-registered, channel-supported, and all rules about one exchange; shows
that scopes under their limit stay unharmed by those at theirs. Wants thousands of requests: a defect that strikes one
in a thousand is seen with 95 % by 3,000.
"""

from scenarios.load import capacity
from scenarios.load.phases import phases_of
from scenarios.load.rows import Row
from scenarios.load.schedule import arrivals
from scenarios.load.traffic import Traffic, offer
from scenarios.load.work import Work


def run(work: Work) -> None:
    """Send by the stage's schedule until the part's end; in the closed model, as fast as answers come."""
    traffic, stage = Traffic(work), work.part.stage
    if stage.arrivals == "search":
        capacity.run(work, traffic)
        return
    work.phases += phases_of(stage, work.start_ns)
    if stage.arrivals == "closed":
        _closed(work, traffic)
        return
    offsets = arrivals(stage, work.rng("arrivals"))
    offered = offer(work, traffic, offsets, work.start_ns, work.deadline_ns, traffic.answered)
    work.done["arrivals"] += offered.due
    for name, many in (("left out as too many waited", offered.left_out), ("held back for a limit", offered.held_back)):
        if many:
            work.done[name] += many


def _closed(work: Work, traffic: "Traffic") -> None:
    """Keep every connection that nobody else wants busy until the end."""
    desk = work.session.desk

    def answered(row: Row) -> None:
        if row.call.intent == "valid":
            traffic.answered(row.exchange)

    stream = desk.stream(traffic.next, answered)
    try:
        while work.nap(1.0):
            desk.stir()  # connections whose traffic was held back start again
    finally:
        stream.ended = True

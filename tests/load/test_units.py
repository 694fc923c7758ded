"""The small parts of the load stage: options, orders, the watch, what earlier stages have used up."""

import resource
from collections import Counter
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.history import Exchange
from harness.plan import load_plan
from scenarios.load.desk import Desk
from scenarios.load.options import plan_of_options, read_options
from scenarios.load.order import Order, order_of
from scenarios.load.planner import deal
from scenarios.load.rows import Call, Row, Said
from scenarios.load.session import Session, base36, run_prefix
from scenarios.load.setup import raise_file_limit
from scenarios.load.usage import Usage, usage_of
from scenarios.load.watch import REFUSED_S, Watch
from scenarios.load.wire import Dialler
from tests.load.profiles import profile

NEEDED = ["--profile", "p.toml", "--run", "dir"]


def test_options_are_read_from_arguments() -> None:
    options = read_options([*NEEDED, "--processes", "3", "--scenario", "background", "--worker", "127.0.0.1:77"])
    assert (options.processes, options.scenarios, options.join) == (3, ("background",), ("127.0.0.1", 77))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--profile"),
        ([*NEEDED, "--processes", "0"], "0 is not from 1 to 64"),
        ([*NEEDED, "--processes", "many"], "invalid"),
        ([*NEEDED, "--seed", "x"], "invalid int"),
        ([*NEEDED, "--worker", "here"], "'here' is not HOST:PORT"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        read_options(arguments)


def test_only_the_scenarios_asked_for_are_left_of_a_plan() -> None:
    plan = plan_of_options(read_options([*NEEDED, "--scenario", "lifecycle", "--scenario", "background"]))
    assert {stage.scenario for stage in plan.stages} == {"lifecycle", "background"}
    with pytest.raises(HarnessError, match="no such file, and no plan of this name"):
        plan_of_options(read_options([*NEEDED, "--plan", "nowhere"]))


def test_an_order_survives_its_journey() -> None:
    made = deal(load_plan(), profile(200, rate={"count": 5, "window": "1s"}), Usage(), range(200), 2)
    usage = Usage(Counter({3: 4}), {1: 1 << 62}, frozenset({7}))
    order = Order("run", 1, 1, 0, 2.5, 32, tuple(made.of(1)), usage)
    import msgpack  # type: ignore[import-untyped]

    travelled = msgpack.loads(msgpack.dumps(order.facts()), strict_map_key=False)
    assert order_of(travelled) == order


def exchange(status: int, error: str = "", **other: Any) -> Exchange:
    now = monotonic_ns()
    values = {
        "scenario": "s", "case": "c", "operation": "push", "intent": "valid", "allowed": "200", "method": "POST",
        "user": 0, "key": 0, "channel": "AUTHY", "ref": "r", "intended": now, "sent": now, "received": now,
        "status": status, "outcome": "ok", "error_code": "", "challenge_id": "", "retry_after": None, "body_fault": "",
        "error": error, "connection": 1, "headers": None, "body": None, "told": 0,
    }  # fmt: skip
    return Exchange(**{**values, **other})


def ended(one: Exchange) -> Row:
    said = Said(one.status, one.outcome, "", "", None, "", one.error, None, None, 0)
    return Row(Call(*one[:10], b""), said, one.intended, one.sent, one.received, one.connection)


class Late(Watch):
    """A watch to which it seems that the last answer came a while ago."""

    def age(self, seconds: float) -> bool:
        self._answered = monotonic_ns() - round(seconds * 1e9)
        return self.look()


def test_a_target_is_gone_when_all_is_refused_for_long_enough() -> None:
    watch = Late()
    assert not watch.age(1000)  # nothing was sent
    for _ in range(5):
        watch.note([ended(exchange(0, "connect: Connection refused"))])
    assert not watch.age(REFUSED_S - 1)
    assert watch.age(REFUSED_S + 1)
    assert "5 requests failed; the last: connect: Connection refused" in watch.gone


def test_a_target_that_may_still_answer_is_waited_for() -> None:
    watch = Late()
    for _ in range(50):
        watch.note([ended(exchange(0, "timeout: no complete answer"))])
    assert not watch.age(REFUSED_S + 1)
    assert watch.age(REFUSED_S + 11)


def test_an_answer_or_our_own_doing_is_no_sign_of_a_target_that_is_gone() -> None:
    watch = Late()
    for _ in range(50):
        watch.note([ended(exchange(0, "closed by us before the answer"))])
    assert not watch.age(1000)
    for _ in range(50):
        watch.note([ended(exchange(0, "read: Connection reset"))])
    watch.note([ended(exchange(503))])
    assert not watch.age(1000)


NOW = monotonic_ns()


def row(user: int, ref: str | None, outcome: str, at: int, operation: str = "push") -> dict[str, Any]:
    return {
        "operation": operation, "user": user, "channel": "AUTHY", "ref": ref, "sent": NOW + at,
        "received": NOW + at + 1, "outcome": outcome, "challenge_id": "",
    }  # fmt: skip


def test_what_earlier_stages_used_up_is_counted_once_a_ref_and_since_the_last_reset() -> None:
    of = profile(4, challenges={"count": 5, "window": "24h", "scope": "user"})
    rows = [
        row(0, "old", "ok", 10),
        row(-1, None, "ok", 20, "reset"),
        row(0, "a", "ok", 30), row(0, "a", "ok", 40), row(0, "b", "refused", 50), row(0, None, "ok", 60),
        row(0, None, "unknown", 70), row(1, "a", "unknown", 80),
        row(2, None, "ok", 90, "accept"), row(3, None, "refused", 95, "accept"),
    ]  # fmt: skip
    usage = usage_of(rows, of)
    persons = [user.person for user in of.pool.users]
    assert usage.challenges == Counter({persons[0]: 3, persons[1]: 1})
    assert usage.settled == frozenset({2})
    assert usage.pending == {}


def test_a_settled_token_that_was_given_another_challenge_is_free_again() -> None:
    first = {**row(0, "a", "ok", 10), "challenge_id": "c-1"}
    replay, other = {**first, "sent": NOW + 30}, {**row(0, "b", "ok", 40), "challenge_id": "c-2"}
    settled = row(0, None, "ok", 20, "decline")
    assert usage_of([settled, first, replay], profile(2)).settled == frozenset({0})
    assert usage_of([other, settled, first, replay], profile(2)).settled == frozenset()


def test_a_challenge_counts_no_longer_once_its_window_has_passed() -> None:
    of = profile(4, challenges={"count": 5, "window": "1s", "scope": "user"})
    long_ago, just_now = -2 * 10**9, 10**12  # as seen when the test is over, however slow the machine is
    rows = [row(0, "a", "ok", long_ago), row(0, "a", "ok", just_now), row(1, "b", "unknown", long_ago)]
    rows.append(row(2, "c", "ok", just_now))
    persons = [user.person for user in of.pool.users]
    assert usage_of(rows, of).challenges == Counter({persons[1]: 1, persons[2]: 1})


def test_a_pending_challenge_is_remembered_where_only_one_may_be() -> None:
    usage = usage_of([row(0, "a", "ok", 30)], profile(2, in_flight="reject"))
    assert usage.pending == {0: 1 << 62}


def test_refs_of_other_runs_seeds_processes_and_turns_begin_differently() -> None:
    prefixes = {
        run_prefix(run, seed, process, turn)
        for run in ("a", "b") for seed in (1, 2) for process in (0, 1) for turn in (0, 1)
    }  # fmt: skip
    assert len(prefixes) == 16
    assert {len(prefix) for prefix in prefixes} == {8}
    assert [base36(n) for n in (0, 35, 36, 1295, 1296)] == ["0", "z", "10", "zz", "100"]


def test_nothing_of_an_earlier_history_is_needed(tmp_path: Path) -> None:
    from scenarios.load.usage import read_usage

    assert read_usage(tmp_path, profile(2)) == Usage()


def test_more_connections_than_descriptors_are_refused_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    with pytest.raises(HarnessError, match="5,000 connections in one process need 5,100 file descriptors; the limit"):
        raise_file_limit(5000)
    raise_file_limit(900)
    raise_file_limit(100)
    assert raised == [(1000, 1000)]


def test_a_session_remembers_old_and_new_refs_of_a_token_but_not_ever_more() -> None:
    of = profile(1200)
    session = Session(of, Dialler(of.target.base_url, None, 1.0), Desk(), Usage(), "prefix")
    token = session.token(0)
    for number in range(1000):
        session.remember(exchange(200, ref=f"r{number}"))
        session.remember(exchange(200, ref=f"r{number}"))  # a replay
    assert len(token.made) == len(token.known) == 20
    assert token.made[:10] == [("AUTHY", f"r{number}") for number in range(10)]
    assert ("AUTHY", "r999") in token.made

"""Rate limit rules: whose requests count together, clocks that differ, Retry-After in its forms, phases of windows."""

from email.utils import formatdate
from typing import Any, Final

import pytest

from harness.history import History
from harness.judge import verdict_on, with_known_gaps
from harness.profile import Profile
from harness.rules import RULES
from harness.rules.registry import concluded, merged
from harness.verdict import Verdict
from tests.history_files import make_history

Row = dict[str, Any]
RATE: Final[dict[str, Any]] = {"count": 3, "window": "1s", "scope": "user", "retry_after": True, "counts_replays": True}


def profile(target: dict[str, Any] | None = None, **rate: Any) -> dict[str, Any]:
    return {"limits": {"rate": {**RATE, **rate}}, "target": target or {}}


def ok(at: float, **more: Any) -> Row:
    return {"t": [at, at + 1], **more}


def no(at: float, **more: Any) -> Row:
    return {"t": [at, at + 1], "status": 429, "retry_after": "1", **more}


def three(at: float, **more: Any) -> list[Row]:
    return [ok(at + 10 * n, **more) for n in range(3)]


def verdict(rule: str, rows: list[Row], settings: dict[str, Any], **more: Any) -> Verdict:
    history: History
    declared: Profile
    history, declared = make_history(rows, settings, **more)
    return verdict_on(RULES[rule], with_known_gaps(history), declared)


BEGIN: Final = [ok(0, user=7)]
MACHINES: Final = [
    {"stage": "load", "worker": f"w{n}", "host": f"machine-{n}", "sent": 2, "recorded": 2} for n in range(2)
]


def test_a_limit_by_address_is_kept_for_each_load_machine() -> None:
    rows = [ok(10 * n, worker=f"w{n % 2}", seq=n // 2) for n in range(4)]
    settings = profile(scope="ip")
    assert verdict("rate-limit-upper", rows, settings, tallies=MACHINES).status != "fail"
    assert verdict("rate-limit-upper", rows, settings).status == "fail"


def test_clocks_of_several_machines_may_differ_by_more_than_one_clock_does() -> None:
    # Four within 950 ms is too many for one clock; two clocks that are 50 ms off each may see just as much.
    rows = [ok(310 * n, worker=f"w{n % 2}", seq=n // 2) for n in range(4)]
    assert verdict("rate-limit-upper", rows, profile()).status == "fail"
    assert verdict("rate-limit-upper", rows, profile(), tallies=MACHINES).status != "fail"


def test_a_coarse_clock_of_the_target_is_given_its_step() -> None:
    rows = [ok(310 * n) for n in range(4)]
    assert verdict("rate-limit-upper", rows, profile()).status == "fail"
    assert verdict("rate-limit-upper", rows, profile({"clock_step": "100ms"})).status != "fail"


@pytest.mark.parametrize("intent", ["token-unknown", "key-missing"])
def test_who_cannot_be_told_may_have_used_up_anybodys_limit(intent: str) -> None:
    rows = [*BEGIN, ok(2000), ok(2010), {"t": [2020, 2021], "status": 401, "user": -1, "key": -1, "intent": intent}]
    assert verdict("rate-limit-lower", [*rows, no(2050)], profile()).status == "pass"
    assert verdict("rate-limit-lower", [*rows[:-1], no(2050)], profile()).status == "fail"


def test_a_request_with_anothers_key_counts_for_either() -> None:
    foreign = {"t": [2020, 2021], "status": 403, "user": 8, "key": 0, "intent": "key-foreign"}
    settings = profile(scope="api-key")
    assert verdict("rate-limit-lower", [*BEGIN, ok(2000), ok(2010), foreign, no(2050)], settings).status == "pass"
    of_the_other = [*BEGIN, ok(2000, user=8), ok(2010, user=9), foreign, no(2050, user=8)]
    assert verdict("rate-limit-lower", of_the_other, settings).status == "pass"


@pytest.mark.parametrize("broken", [{"user": 10}, {"user": -1, "key": -1}, {"intent": "token-twice"}])
def test_a_429_to_callers_without_credentials_is_not_judged(broken: Row) -> None:
    assert verdict("rate-limit-lower", [*BEGIN, no(2050, **broken)], profile()).status != "fail"


def test_control_calls_do_not_count() -> None:
    calls = [{"t": [2000 + 10 * n, 2001 + 10 * n], "op": "pushes", "told": 0} for n in range(4)]
    assert verdict("rate-limit-lower", [*BEGIN, *calls, ok(2100), no(2200)], profile()).status == "fail"


def test_a_lost_request_counts_for_as_long_as_it_may_work_on() -> None:
    lost = [{"t": [2000 + n, 2100 + n], "status": 0} for n in range(3)]
    rows = [*BEGIN, *lost, no(9000)]
    assert verdict("rate-limit-recovers", rows, profile()).status != "fail"
    assert verdict("rate-limit-recovers", rows, profile({"late_effect": "30s"})).status != "fail"
    assert verdict("rate-limit-recovers", rows, profile({"late_effect": "1s"})).status == "fail"


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("1", False), ("0001", False), (" 1 ", False), ("3", True), ("-1", True), ("1s", True), ("1.0", True),
        ("", True), ("\u0661", True), ("soon", True), ("Fri, 31 Feb 2026 25:61:00 GMT", True), ("9" * 400, True),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_the_rfc_says(text: str, fails: bool) -> None:
    rows = [*BEGIN, *three(2000), no(2050, retry_after=text)]
    assert (verdict("rate-limit-retry-after", rows, profile()).status == "fail") == fails


@pytest.mark.parametrize(("ahead_s", "fails"), [(2, False), (900, True)])
def test_retry_after_may_be_a_date(ahead_s: int, fails: bool) -> None:
    # The test's histories begin at 0 of the wall clock.
    date = formatdate(ahead_s + 1, usegmt=True)
    rows = [*BEGIN, *three(2000), no(2050, retry_after=date)]
    found = verdict("rate-limit-retry-after", rows, profile())
    assert (found.status == "fail") == fails, found.message


def test_a_wait_that_the_bucket_cannot_need_is_a_lie() -> None:
    rows = [*BEGIN, *three(2000), no(2050, retry_after="3")]
    slow = profile(algorithm="token-bucket", burst=9)
    assert verdict("rate-limit-retry-after", rows, slow).status != "fail"
    assert verdict("rate-limit-retry-after", rows, profile(algorithm="token-bucket")).status == "fail"


def test_coming_back_is_not_judged_where_others_use_the_limit_or_other_hosts_answer() -> None:
    lie = [*BEGIN, ok(2000), ok(2500), ok(2510), no(2520, retry_after="0"), no(2530)]
    free: dict[str, Any] = {"counts_refusals": False}
    assert verdict("rate-limit-retry-after", lie, profile(**free)).status == "fail"
    assert verdict("rate-limit-retry-after", lie, profile({"exclusive": False}, **free)).status != "fail"
    assert verdict("rate-limit-retry-after", lie, profile({"hosts": 2}, **free)).status != "fail"


def test_who_is_not_enrolled_may_come_back_as_well() -> None:
    """Enrolment is looked at behind the limit: a 429 on a channel that the user lacks is the limit's all the same."""
    user = {"user": 12, "intent": "unregistered"}
    here, lacking = {**user, "intent": "valid"}, {**user, "channel": "BIOMETRIC"}
    rows = [*BEGIN, *(ok(at, **here) for at in (2000, 2500, 2510))]
    rows += [no(at, retry_after="0", **lacking) for at in (2520, 2530)]
    free: dict[str, Any] = {"counts_refusals": False}
    assert verdict("rate-limit-retry-after", rows, profile(**free)).status == "fail"


def test_refusals_for_the_channel_are_admissions_only_where_the_limit_stands_before_them() -> None:
    lacking = {"user": 12, "channel": "BIOMETRIC", "intent": "unregistered"}
    burst = [ok(2000 + 10 * n, status=409, code="CHANNEL_NOT_REGISTERED", **lacking) for n in range(9)]
    elsewhere = [ok(5000), ok(5010), ok(5020), no(5030)]
    limited = no(8000, **lacking)
    for rows, blamed in (
        ([*BEGIN, *burst, *elsewhere], False),  # enrolment may be looked at first
        ([*BEGIN, *burst, *elsewhere, limited], True),
        ([*BEGIN, *burst], True),  # nothing was refused: there may be no limiter at all
    ):
        assert (verdict("rate-limit-upper", rows, profile()).status == "fail") is blamed, rows[-1]


def test_windows_aligned_to_the_epoch_are_refuted_at_their_own_edge() -> None:
    # Windows of 10 s begin at 0, 10, 20 s: a burst of four across 10 s is allowed, one in the middle of a window not.
    settings = profile(algorithm="fixed-window", window="10s", phase="epoch")
    across = [ok(9900 + 80 * n) for n in range(4)]
    amid = [ok(14900 + 80 * n) for n in range(4)]
    assert verdict("rate-limit-upper", [ok(0, user=7), *across], settings).status != "fail"
    assert verdict("rate-limit-upper", [ok(0, user=7), *amid], settings).status == "fail"
    anywhere = profile(algorithm="fixed-window", window="10s", phase="shared")
    assert verdict("rate-limit-upper", [ok(0, user=7), *amid], anywhere).status != "fail"


def test_two_users_settle_where_shared_windows_begin_and_two_windows_of_their_own_do_not() -> None:
    bursts = [ok(2000 + 10 * n, user=1) for n in range(4)] + [ok(2500 + 10 * n, user=2) for n in range(4)]
    shared = profile({"exclusive": False}, algorithm="fixed-window", phase="shared")
    own = profile({"exclusive": False}, algorithm="fixed-window", phase="first-request")
    assert verdict("rate-limit-upper", [*BEGIN, *bursts], shared).status == "fail"
    assert verdict("rate-limit-upper", [*BEGIN, *bursts], own).status != "fail"


def test_a_reset_may_begin_the_count_anew() -> None:
    rows = [*three(0), {"t": [50, 60], "op": "reset"}, *three(100)]
    assert verdict("rate-limit-upper", rows, profile()).status != "fail"
    assert verdict("rate-limit-upper", [*three(0), *three(100)], profile()).status == "fail"


def test_two_limits_of_two_hosts_add_up() -> None:
    rows = [ok(10 * n) for n in range(7)]
    assert verdict("rate-limit-upper", rows[:6], profile({"hosts": 2})).status != "fail"
    assert verdict("rate-limit-upper", rows, profile({"hosts": 2})).status == "fail"


def test_undeclared_limits_say_what_the_profile_lacks() -> None:
    for name in RULES:
        if name.startswith("rate-limit"):
            found = verdict(name, [*three(0), no(50)], {})
            assert (found.status, "limits.rate" in found.hint) == ("not-exercised", True), name


def test_why_nobody_surely_came_back_follows_from_all_parts_in_any_order() -> None:
    """A call without an answer, of which only one part knows, may count for ever where the profile sets no bound."""
    check = RULES["rate-limit-retry-after"].of_all
    assert check is not None
    rows = [*BEGIN, *three(2000), no(2050)]
    lost = [{"t": [2100, 2101], "user": 1, "status": 0, "error": "timeout"}]
    parts = [check(*make_history(part, profile({"exclusive": True}))) for part in (rows, [*rows, *lost])]
    told = [concluded(merged(order)) for order in (parts, parts[::-1])]
    assert told[0] == told[1]
    assert "target.late_effect" in told[0].lacks

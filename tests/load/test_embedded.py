"""Every scenario against the embedded service: occasions are made, and nothing is answered that is not allowed."""

from pathlib import Path

import pytest

from harness.case import allows
from harness.errors import ExitCode
from harness.judge import judge
from harness.plan import Plan, Stage
from harness.profile import load_profile
from harness.targets.embedded import embedded
from scenarios.load.planner import deal
from scenarios.load.usage import Usage
from tests.load.profiles import profile as made_up
from tests.load.targets import load, plan_file, run_folder
from tests.load.test_stage import whole

SCENARIOS = ("background", "idempotency", "rate-limit", "challenge-limit", "lifecycle", "chaos")
PLAN = "connections = 48\n" + "".join(
    f'[[stages]]\nscenario = "{name}"\nduration = "4s"\n'
    + {"background": "rate = 150\nbacklog = 48\n", "chaos": "rate = 1.5\n"}.get(name, "")
    for name in SCENARIOS
)
POLICIES = {
    "default": (),
    "reject": ("in_flight=reject", "in_flight_for=3"),
    "small pool": ("users=3",),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_scenario_makes_its_occasions(tmp_path: Path, policy: str) -> None:
    with embedded(1, None, POLICIES[policy]) as profile:
        done = load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, PLAN))
    assert done.code == ExitCode.PASS, done.output
    whole(done)
    shown = SCENARIOS if policy != "reject" else tuple(name for name in SCENARIOS if name != "challenge-limit")
    assert set(done.facts["done"]) == set(shown)
    assert ("so nobody reaches the limit in time" in " ".join(done.facts["notes"])) == (policy == "reject")
    frame = done.history.frame
    sent = set(frame[frame["operation"] == "push"]["scenario"])
    assert sent == set(shown) or (policy == "small pool" and len(sent) >= 3)  # whose slots are fractions of a second
    wrong = [
        (row.scenario, row.intent, row.status, row.error_code)
        for row in frame[frame["status"] > 0].itertuples()
        if not allows(tuple(str(row.allowed).split(",")), int(row.status), str(row.error_code))  # type: ignore[arg-type]
    ]
    assert wrong == []


def test_refs_that_a_restart_loses_are_found_by_killing_workers(tmp_path: Path) -> None:
    text = 'connections = 16\n[[stages]]\nscenario = "chaos"\nduration = "8s"\nrate = 2\n'
    with embedded(1, "refs-lost-on-restart", ("rate_count=none",)) as path:
        done = load(path, run_folder(tmp_path / "run", path), plan_file(tmp_path, text))
        profile = load_profile(path)
    assert done.code == ExitCode.PASS, done.output
    assert done.facts["done"]["chaos"]["duplicates under way when a worker was killed"] > 1
    red = {verdict.rule for verdict in judge(done.history, profile) if verdict.status == "fail"}
    assert red & {"ref-retention", "idempotent-replay"}, done.facts["done"]


def test_a_target_without_calls_for_it_is_not_disturbed() -> None:
    stage = Stage("chaos", 5.0)
    made = deal(Plan("chaos", (stage,)), made_up(60), Usage(), range(60), 1)
    assert made.parts == []
    assert made.notes == [
        "chaos: the profile declares no control call that kills or stalls the target, as only the embedded service has"
    ]

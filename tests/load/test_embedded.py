"""Every scenario against the embedded service: occasions are made, and nothing is answered that is not allowed."""

from pathlib import Path

import pytest

from harness.case import allows
from harness.errors import ExitCode
from harness.targets.embedded import embedded
from tests.load.targets import load, plan_file, run_folder
from tests.load.test_stage import whole

SCENARIOS = ("background", "idempotency", "rate-limit", "challenge-limit", "lifecycle")
PLAN = "connections = 48\n" + "".join(
    f'[[stages]]\nscenario = "{name}"\nduration = "4s"\n'
    + ("rate = 150\nbacklog = 48\n" if name == "background" else "")
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

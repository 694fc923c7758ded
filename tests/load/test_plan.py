"""Plans: what a wrong one is told, and what the bundled ones say."""

from pathlib import Path

import pytest

from harness.config import schema
from harness.errors import ExitCode, HarnessError
from harness.gates import FIGURES
from harness.plan import BUNDLED, bundled, load_plan

GOOD = '[[stages]]\nscenario = "background"\nduration = "5s"\nrate = 100\n'


def plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


WRONG = {
    "empty": ("", "'stages'"),
    "not TOML": ("stages = [", "not TOML"),
    "no stages": ("stages = []", "stages"),
    "unknown scenario": (GOOD.replace("background", "backgruond"), "Did you mean 'background'"),
    "unknown key": (GOOD + "raet = 5\n", "Did you mean 'rate'"),
    "negative rate": (GOOD.replace("rate = 100", "rate = -1"), "rate"),
    "rate of words": (GOOD.replace("rate = 100", 'rate = "fast"'), "rate"),
    "no rate": (GOOD.replace("rate = 100", ""), "'rate' is missing"),
    "no duration": (GOOD.replace('duration = "5s"', ""), "duration"),
    "nothing long": (GOOD.replace('"5s"', '"0s"'), "no length for a stage"),
    "unit unknown": (GOOD.replace('"5s"', '"5 sec"'), "duration"),
    "unknown arrivals": (GOOD + 'arrivals = "posson"\n', "poisson"),
    "ramp to nowhere": (GOOD + 'arrivals = "ramp"\n', "does not fit arrivals"),
    "to without ramp": (GOOD + "to = 500\n", "does not fit arrivals"),
    "closed with rate": (GOOD + 'arrivals = "closed"\n', "as fast as it is answered"),
    "weights all 0": (GOOD + "weights = {replay = 0, fresh = 0, near = 0, refused = 0}\n", "weights: all are 0"),
    "weight unknown": (GOOD + "weights = {repaly = 1}\n", "repaly"),
    "overlap": (GOOD + GOOD, "overlap at 0 s"),
    "gate without metric": (GOOD + '[gates]\nlatency_p42 = "1s"\n', "latency_p42"),
    "gate of no duration": (GOOD + "[gates]\nlatency_p99 = 5\n", "latency_p99"),
    "gate of a scenario that is not sent": (GOOD + '[gates.lifecycle]\nlatency_p99 = "1s"\n', "no stage of this plan"),
    "gate of no scenario": (GOOD + '[gates.backgruond]\nlatency_p99 = "1s"\n', "Did you mean 'background'"),
    "gate of a scenario without metric": (GOOD + "[gates.background]\nlatency = 1\n", "latency"),
    "gates of nothing": (GOOD + "gates = 5\n", "gates"),
    "search downwards": (GOOD + 'arrivals = "search"\nto = 50\n', "goes upwards"),
    "hold without search": (GOOD + 'hold = "1s"\n', "only arrivals = 'search' takes it"),
    "few connections": ("connections = 1\n" + GOOD, "connections"),
    "timeout of nothing": ('timeout = "0s"\n' + GOOD, "timeout"),
    "rate of another scenario": (
        '[[stages]]\nscenario = "lifecycle"\nduration = "5s"\narrivals = "poisson"\n', "only background takes it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_plan_is_told_what_and_where(tmp_path: Path, name: str) -> None:
    text, says = WRONG[name]
    path = plan(tmp_path, text)
    with pytest.raises(HarnessError) as caught:
        load_plan(path)
    assert says in str(caught.value)
    assert str(path) in caught.value.message
    assert caught.value.code == ExitCode.USAGE


def test_a_plan_that_is_not_there_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="Did you mean 'default'"):
        load_plan(Path("defualt"))
    with pytest.raises(HarnessError, match=r"nowhere\.toml"):
        load_plan(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_plan_is_found_by_its_name(name: str) -> None:
    assert load_plan(Path(name)).stages == load_plan(BUNDLED / f"{name}.toml").stages


def test_the_default_plan_runs_every_scenario() -> None:
    assert {stage.scenario for stage in load_plan().stages} == {
        "background", "idempotency", "rate-limit", "challenge-limit", "lifecycle",
    }  # fmt: skip


def test_gates_may_be_of_one_scenario_and_are_those_that_can_be_decided(tmp_path: Path) -> None:
    text = GOOD + '[gates]\nlateness_p99 = "5ms"\n[gates.background]\nlatency_p99 = "20ms"\nlateness_max = "1s"\n'
    made = load_plan(plan(tmp_path, text))
    assert made.gates == {"lateness_p99": 5e6, "background.latency_p99": 20e6, "background.lateness_max": 1e9}
    table = schema("plan.schema.json")
    metrics = {name for name, of in table["properties"]["gates"]["properties"].items() if "of_scenario" not in str(of)}
    assert metrics == set(table["$defs"]["of_scenario"]["properties"]) == set(FIGURES)


def test_durations_and_gates_are_taken_from_the_file(tmp_path: Path) -> None:
    text = 'timeout = "500ms"\n' + GOOD + 'start = "1m"\n[gates]\nlatency_p99 = "20ms"\nerror_rate = 0.5\n'
    made = load_plan(plan(tmp_path, text))
    assert (made.timeout_s, made.seconds, made.stages[0].start_s) == (0.5, 65.0, 60.0)
    assert made.gates == {"latency_p99": 20e6, "error_rate": 0.5}

"""Run folders in any state: a report always comes, says what it lacks, and ends with the right exit code."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ExitCode, HarnessError
from harness.history import compact
from harness.run_folder import open_run, write_json
from harness.verbs import report_folder
from tests.reports.runs import extra, make_run, record, traffic

FORMS = ("report.html", "summary.md", "junit.xml", "summary.json", "exports/report.sarif", "exports/metrics.prom")
STRANGE: tuple[Any, ...] = (None, True, -1, 1e300, "", "日本語\x00\x1b[2J", [], {}, [[]], {"a": {}}, 2**70, ["x", 1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with every file that stages leave, of few exchanges."""
    path = tmp_path_factory.mktemp("whole") / "run"
    make_run(path, "failing", count=150)
    for name, told in extra("failing").items():
        write_json(path / f"{name}.json", told)
    return path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def reported(run: Path) -> tuple[ExitCode, dict[str, Any]]:
    """Report on the folder; its exit code and summary, every form being there."""
    for name in FORMS:
        (run / name).unlink(missing_ok=True)
    (code,) = report_folder(run)
    assert [name for name in FORMS if not (run / name).stat().st_size] == []
    told: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert told["outcome"]["exit_code"] == code
    return code, told


def test_a_whole_one_lacks_nothing(run: Path) -> None:
    code, told = reported(run)
    assert (code, told["history"]["gaps"], told["outcome"]["partial"]) == (ExitCode.FAILED, [], False)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no run.json"), ("", "cannot be read"), ('{"version": 1, "poo', "cannot be read"), ("[]", "version unk"),
     ('{"version": 0}', "version 0"), ('{"version": 99}', "version 99"), ('{"version": 1}', "damaged")],
)  # fmt: skip
def test_without_a_usable_run_json(run: Path, content: str | None, says: str) -> None:
    (run / "run.json").unlink()
    if content is not None:
        (run / "run.json").write_text(content)
    code, told = reported(run)
    assert (code, told["outcome"]["title"], told["outcome"]["partial"]) == (ExitCode.USAGE, "Damaged", True)
    assert says in told["history"]["gaps"][0]
    assert told["history"]["pushes"] == 150  # what is there is shown


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1, "verdicts": [{"rule": 5}]}', '{"version": 9}', "[[]]"])
def test_without_usable_verdicts(run: Path, content: str) -> None:
    (run / "verdicts.json").write_text(content)
    code, told = reported(run)
    assert (code, told["rules"]) == (ExitCode.INCONCLUSIVE, [])
    assert "verdicts.json: damaged" in told["history"]["gaps"][0]
    assert "were recorded and not judged" in told["outcome"]["sentence"]


def test_without_a_history(run: Path) -> None:
    shutil.rmtree(run / "history")
    code, told = reported(run)
    assert (code, told["outcome"]["partial"]) == (ExitCode.FAILED, True)  # its verdicts stand
    assert "no such folder" in told["history"]["gaps"][0]


def test_with_a_history_that_is_none(run: Path) -> None:
    compact(run / "history")
    (run / "history" / "history.parquet").write_bytes(b"PAR1 and nothing else")
    write_json(run / "verdicts.json", {"version": 1, "verdicts": []})
    code, told = reported(run)
    assert (code, told["history"]["exchanges"]) == (ExitCode.INCONCLUSIVE, 0)
    assert "cannot be read" in told["history"]["gaps"][0]


@pytest.mark.parametrize("merged", [False, True])
def test_a_history_cut_anywhere(run: Path, merged: bool) -> None:
    if merged:
        compact(run / "history")
    (path,) = [one for one in (run / "history").iterdir() if one.suffix in (".arrow", ".parquet")]
    content, rng = path.read_bytes(), random.Random(5)
    for _ in range(12):
        path.write_bytes(content[: rng.randrange(len(content))])
        _, told = reported(run)
        assert told["history"]["gaps"]
        assert told["history"]["pushes"] < 150 or not merged


def changed(value: Any, rng: random.Random) -> Iterator[Any]:
    """The value with something strange in place of any one part, once for each part."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            for other in (rng.choice(STRANGE), *list(changed(part, rng))[:6]):
                copy: Any = dict(value) if isinstance(value, dict) else list(value)
                copy[key] = other
                yield copy


@pytest.mark.parametrize("name", ["run.json", "verdicts.json", "conformance.json", "load.json"])
def test_any_part_of_any_file_may_be_strange(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.EXPORTS", ".")  # tables are the same work again
    told = json.loads((run / name).read_text())
    if name == "verdicts.json":
        told["verdicts"] = told["verdicts"][:5]
    if name == "load.json":
        told["phases"] = told["phases"][:1]
    if name == "run.json":
        told["pool"] = told["pool"][:2]
    for strange in list(changed(told, random.Random(1)))[:: 5 if name == "run.json" else 2]:
        (run / name).write_text(json.dumps(strange))
        (code,) = report_folder(run)  # which one it is depends on the part
        assert code in ExitCode


@pytest.mark.parametrize("name", ["conformance.json", "load.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "\x00"])
def test_what_a_stage_did_not_finish_is_left_out(run: Path, name: str, content: str) -> None:
    (run / name).write_text(content)
    code, told = reported(run)
    assert code == ExitCode.FAILED
    assert told["history"]["gaps"] == [f"{name} cannot be read: what the stage says of itself is left out"]


def test_clocks_that_jump_within_a_run(run: Path) -> None:
    """A worker whose clock is years off, and calls that took no time or a century."""
    odd = [row._replace(intended=row.intended + 10**18, sent=row.sent + 10**18, received=row.received + 3 * 10**18)
           for row in traffic(20)]  # fmt: skip
    record(open_run(run), odd, worker="w1")
    _, told = reported(run)
    assert told["history"]["pushes"] == 170
    assert len(told["over_time"]) < 200


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not a run folder"):
        report_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_in_any_script(run: Path, tmp_path: Path) -> None:
    folder = run.rename(tmp_path / "запуск 日本語 تشغيل 🙂")
    assert reported(folder)[0] == ExitCode.FAILED

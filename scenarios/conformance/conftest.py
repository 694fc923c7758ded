"""Joins pytest to the stage: one sender for all tests, progress, and what is left in the run folder."""

import contextlib
import os
import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.errors import ExitCode, HarnessError
from harness.profile import load_profile
from harness.resume import RESUMED
from harness.run_folder import open_run
from scenarios.conformance import ENV_PROFILE, ENV_RUN, ENV_SEED, OURS
from scenarios.conformance.desk import Desk
from scenarios.conformance.interrupt import end_if_asked
from scenarios.conformance.outcome import Outcome
from scenarios.conformance.stage import Stage, UsedBefore

STAGE: Final = pytest.StashKey[Stage]()
OUTCOME: Final = pytest.StashKey[Outcome]()
DESK: Final = pytest.StashKey[Desk]()
NAME: Final = re.compile(r"[\w\[\]+.:/-]+")  # what `-k` takes as one name
PROGRESS_S: Final = 1.0
# What says most for a challenge comes first, what settles tokens and uses up limits last, so that a small pool does.
ORDER: Final = (
    "test_resume", "test_refs", "test_effects", "test_credentials", "test_gateways", "test_matrix", "test_pipelined",
    "test_http", "test_generated", "test_kept", "test_rate", "test_settle", "test_stateful", "test_limits",
    "test_later",
)  # fmt: skip
# Only a run that resumes another has refs to ask for again.
collect_ignore = [] if (Path(os.environ.get(ENV_RUN, "")) / RESUMED).is_file() else ["test_resume.py"]
SPOILS: Final = ("limited", "accepted", "declined")  # rows of the matrix that leave a user in such a state come last


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stepup-seed", type=int, default=None, help="Makes what is sent the same again.")
    parser.addoption("--stepup-pairs", type=int, default=1, help="Of two unusual values together, try one in so many.")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.collectonly or config.getoption("help", default=False):
        return
    try:
        stage, deal = _begin(config)
    except HarnessError as error:
        pytest.exit(str(error), returncode=OURS + int(error.code))
    config.stash[STAGE] = stage
    config.stash[DESK] = Desk(stage, deal["conformance"], frozenset(deal.get("load", ())))
    config.stash[OUTCOME] = Outcome()


def _begin(config: pytest.Config) -> tuple[Stage, dict[str, list[int]]]:
    profile_path, run = os.environ.get(ENV_PROFILE), os.environ.get(ENV_RUN)
    if not profile_path or not run:
        raise HarnessError(
            f"conformance: {ENV_PROFILE} and {ENV_RUN} are not set",
            hint="Start the scenarios with `stepup conformance -- ARGUMENTS`; it sets them and judges the history.",
        )
    profile = load_profile(Path(profile_path))
    deal = {"conformance": [user.index for user in profile.pool.users], **(open_run(Path(run)).facts.get("deal") or {})}
    usable = sum(user.index in deal["conformance"] and bool(user.usable) for user in profile.pool.active)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return Stage(profile, Path(run), worker, _seed(config), usable), deal


def _seed(config: pytest.Config) -> int:
    given = config.getoption("--stepup-seed")
    return int(os.environ.get(ENV_SEED, "1")) if given is None else int(given)


def pytest_runtest_setup() -> None:
    end_if_asked()


def pytest_unconfigure(config: pytest.Config) -> None:
    stage = config.stash.get(STAGE, None)
    if stage is not None:
        config.stash[OUTCOME].write(stage)
        stage.close()


@pytest.fixture(scope="session")
def stage(pytestconfig: pytest.Config) -> Stage:
    """The one sender."""
    return pytestconfig.stash[STAGE]


@pytest.fixture(scope="session")
def desk(pytestconfig: pytest.Config) -> Desk:
    """The users of the pool."""
    return pytestconfig.stash[DESK]


@pytest.fixture(autouse=True)
def _named(request: pytest.FixtureRequest, stage: Stage) -> None:
    whole = request.node.name
    name = whole if NAME.fullmatch(whole) else whole.partition("[")[0]
    stage.begin(request.node.path.stem.removeprefix("test_"), name)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test that came upon a token settled before this run begins anew with others, as long as there are any."""
    try:
        return (yield)
    except UsedBefore:
        return _again(pyfuncitem)


def _again(item: pytest.Function) -> bool:
    names = item._fixtureinfo.argnames
    for _ in range(len(item.config.stash[STAGE].profile.pool.users)):
        with contextlib.suppress(UsedBefore):
            item.obj(**{name: item.funcargs[name] for name in names})
            return True
    raise UsedBefore("each fitting token is refused as a settled one is: the pool was used before")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = _part_of_pairs(items, config.getoption("--stepup-pairs"), _seed(config))
    items.sort(key=_place)


def _part_of_pairs(items: list[pytest.Item], pairs: int, seed: int) -> list[pytest.Item]:
    """All tests, but of the rows with two unusual values one in `pairs`; as many seeds as that cover all."""
    doubles = [item for item in items if getattr(item, "originalname", "") == "test_two"]
    left_out = {item for place, item in enumerate(doubles) if (place + seed) % pairs}
    return [item for item in items if item not in left_out]


def _place(item: pytest.Item) -> tuple[int, str, int]:
    """Where a test stands in the order; rows that need the same spoilt user stand together."""
    callspec: Any = getattr(item, "callspec", None)
    row = callspec.params.get("row") if callspec is not None else None
    spoilt = 0 if row is None or row.role not in SPOILS else SPOILS.index(row.role) + 1
    place = ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER)
    return spoilt, "" if row is None or not spoilt else row.channel, place


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """No dots: progress is told in lines, which a log can hold."""
    if report.passed:
        return ("passed" if report.when == "call" else ""), "", "PASSED"
    return (report.outcome if report.when != "teardown" or report.failed else ""), "", report.outcome.upper()


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    PROGRESS.note(report)


class Progress:
    """Counts cases and prints a line about once a second."""

    def __init__(self) -> None:
        self.config: pytest.Config | None = None
        self._told = 0.0

    def note(self, report: pytest.TestReport) -> None:
        if self.config is None:
            return
        self.config.stash[OUTCOME].note(report)
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            self.tell()

    def tell(self) -> None:
        assert self.config is not None
        reporter: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(self.config.stash[OUTCOME].line(self.config.stash[STAGE]))


PROGRESS: Final = Progress()


def pytest_sessionstart(session: pytest.Session) -> None:
    PROGRESS.config = session.config if OUTCOME in session.config.stash else None


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = OURS + int(ExitCode.USAGE)
    if PROGRESS.config is not None:
        with contextlib.suppress(pytest.exit.Exception, pytest.skip.Exception):
            session.config.stash[STAGE].recheck()
        PROGRESS.tell()

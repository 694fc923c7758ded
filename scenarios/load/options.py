"""The arguments of the load stage, and the plan and run folder that they name."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from harness.errors import HarnessError, suggest
from harness.plan import Plan, load_plan

Address = tuple[str, int]


@dataclass(frozen=True)
class Options:
    """How to load. `processes` 1 sends from this process, more start that many workers. `listen` is where to wait for
    that many workers of other hosts instead; `join` is the address of the master whose worker this process is, which
    needs no run folder: its records go to the master."""

    profile: Path
    run: Path | None = None
    seed: int = 1
    plan: Path | None = None
    processes: int = 1
    web_ui: int | None = None
    scenarios: tuple[str, ...] = ()
    fast_http: bool = False
    locust_reports: bool = False
    listen: Address | None = None
    join: Address | None = None


def read_options(arguments: Sequence[str]) -> Options:
    """The options in these arguments; HarnessError where they are wrong."""
    values = vars(_parser().parse_args(arguments))
    options = Options(**{**values, "scenarios": tuple(values["scenarios"])})
    if options.run is None and options.join is None:
        raise HarnessError("load: --run is missing", hint="Name the run folder; `stepup load` makes one.")
    return options


def plan_of_options(options: Options) -> Plan:
    """The plan with the scenarios that were asked for; HarnessError where it has none of that name."""
    plan = load_plan(options.plan)
    known = list(dict.fromkeys(stage.scenario for stage in plan.stages))
    for name in options.scenarios:
        if name not in known:
            raise HarnessError(f"--scenario {name}: not in plan '{plan.name}'", hint=suggest(name, known))
    wanted = options.scenarios or known
    return replace(plan, stages=tuple(stage for stage in plan.stages if stage.scenario in wanted))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise HarnessError(f"load: {message}", hint=self.format_usage().strip())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m scenarios.load", description=__doc__)
    parser.add_argument("--profile", type=Path, required=True, metavar="FILE", help="the target")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a run folder, made by `stepup`")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is sent is the same for the same seed")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="what load to send; default: the default plan")
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="load from so many workers")
    parser.add_argument("--web-ui", type=int, metavar="PORT", help="serve Locust's own web page on loopback")
    parser.add_argument(
        "--scenario", dest="scenarios", action="append", default=[], metavar="NAME", help="only this one; repeatable"
    )
    parser.add_argument("--fast-http", action="store_true", help="send with Locust's FastHttpUser")
    parser.add_argument("--locust-reports", action="store_true", help="keep Locust's own CSV and HTML reports as well")
    parser.add_argument(
        "--master", dest="listen", type=_address, metavar="HOST:PORT",
        help="wait here for --processes workers of other hosts",
    )  # fmt: skip
    parser.add_argument("--worker", dest="join", type=_address, metavar="HOST:PORT", help="work for this master")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 64")
    return number


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)

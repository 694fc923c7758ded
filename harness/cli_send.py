"""The verbs of `stepup` that send requests, run, conformance and load: their flags, and what becomes of them."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from harness.allowances import Allowance

REQUIRE = click.option(
    "--require", multiple=True, metavar="RULE", help="End with exit code 4 unless this rule is decided. Repeatable."
)
ALLOW = click.option(
    "--allow", multiple=True, metavar="RULE=REASON[@YYYY-MM-DD]",
    help="Let this rule fail as a known failure, until that day; it is judged and shown all the same. Repeatable.",
)  # fmt: skip


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every verb that sends requests."""
    options = [
        click.option("--profile", type=click.Path(path_type=Path), metavar="FILE",
                     help="The target, in TOML. Without it, the embedded service is started and tested."),
        click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
                     help="The run folder, new or empty. Default: runs/<time>-<name>, and runs/latest names it."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True,
                     help="What is sent is the same again for the same seed."),
        click.option("--fault", metavar="NAME", help="Plant a fault in the embedded service: `stepup serve --faults`."),
        click.option("--policy", multiple=True, metavar="KEY=VALUE",
                     help="Let the embedded service keep another policy, such as in_flight=reject. Repeatable."),
        REQUIRE,
        ALLOW,
        click.option("--plain", is_flag=True, help="One line every few seconds instead of a live display."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _load_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--processes", type=click.IntRange(1, 64), metavar="N", help="Load from N worker processes."),
        click.option("--master", metavar="HOST:PORT",
                     help="Listen there for the --processes N workers, which other machines start; see the README."),
        click.option("--web-ui", type=click.IntRange(1, 65535), metavar="PORT",
                     help="Serve Locust's own web page on this loopback port; ends with Ctrl-C."),
        click.option("--scenario", multiple=True, metavar="NAME", help="Only this scenario of the plan. Repeatable."),
        click.option("--fast-http", is_flag=True, help="Send with Locust's FastHttpUser instead of the lean client."),
        click.option("--locust-reports", is_flag=True, help="Also keep Locust's own CSV and HTML reports, DIR/locust."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_common
@_load_flags
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE", help="What load to send, in TOML.")
def run(plan: Path | None, **flags: Any) -> None:
    """Test a target with everything: conformance, then load, one judgement and one report over both.

    Ctrl-C once ends the run and still judges and reports what was recorded.
    """
    _execute(("conformance", "load"), plan, flags)


@click.command(context_settings={"ignore_unknown_options": False})
@_common
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="First ask again for the refs of this earlier run of the same target: they must be remembered 24 h.",
)
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST ARGUMENTS]")
def conformance(pytest_args: tuple[str, ...], **flags: Any) -> None:
    """Send one request at a time, every kind the contract speaks of, and judge the answers.

    What stands after `--` goes to pytest: `stepup conformance -- -k token -x`.
    """
    if flags["resume"] and not flags["profile"]:
        raise HarnessError("--resume: needs --profile", hint="The embedded service forgets with each run.")
    _execute(("conformance",), None, flags, pytest_args)


@click.command()
@_common
@_load_flags
@click.option("--worker", metavar="HOST:PORT", help="Work for the master that listens there, with this --profile.")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
def load(plan: Path | None, worker: str | None, **flags: Any) -> None:
    """Send load with Locust, every response checked and recorded, and judge the whole history.

    PLAN is a TOML file of stages and arrival rates; without it, the default plan is run.
    """
    if worker is not None:
        _work_for(worker, flags["profile"])
    _execute(("load",), plan, flags)


def _work_for(master: str, profile: Path | None) -> NoReturn:
    """Become a worker of a load, which leaves no run folder: its records go to the master."""
    if profile is None:
        raise HarnessError("--worker: needs --profile", hint="A copy of the master's, with its credentials pool.")
    argv = [sys.executable, "-m", "scenarios.load", "--profile", str(profile), "--worker", master]
    os.execv(argv[0], argv)  # noqa: S606  no shell is wanted


def _execute(stages: tuple[str, ...], plan: Path | None, flags: dict[str, Any], extra: tuple[str, ...] = ()) -> None:
    from harness.live.screen import Screen
    from harness.run import Options, execute
    from harness.verbs import tell_ci

    for name in ("fault", "policy"):
        if flags[name] and flags["profile"]:
            raise HarnessError(f"--{name}: only the embedded service can be given one", hint="Leave out --profile.")
    allow = given_allowances(flags["allow"])
    if flags["require"] or allow:
        from harness.judge import check_rules

        check_rules("--require", flags["require"])
        check_rules("--allow", [one.rule for one in allow])
    options = Options(
        stages=stages, profile=flags["profile"], plan=plan, out=flags["out"], seed=flags["seed"], fault=flags["fault"],
        policy=flags["policy"], require=flags["require"], allow=allow, extra=extra, load=_load_arguments(flags),
        unlimited=bool(flags.get("web_ui")), resume=flags.get("resume"),
        command=shlex.join(["stepup", *sys.argv[1:]]),
    )  # fmt: skip
    with Screen(plain=flags["plain"]) as screen:
        folder, codes = execute(options, screen)
    tell_ci(folder.path)
    conclude(codes, folder.path)


def given_allowances(texts: tuple[str, ...]) -> "tuple[Allowance, ...]":
    """What --allow was given; HarnessError where it is of another form or names a rule twice."""
    from harness.allowances import allowances_of, parse_allowance

    return allowances_of([parse_allowance(text).facts() for text in texts], "--allow")


def _load_arguments(flags: dict[str, Any]) -> tuple[str, ...]:
    given: list[str] = []
    if flags.get("processes"):
        given += ["--processes", str(flags["processes"])]
    if flags.get("master"):
        given += ["--master", flags["master"]]
    if flags.get("web_ui"):
        given += ["--web-ui", str(flags["web_ui"])]
    if flags.get("fast_http"):
        given.append("--fast-http")
    if flags.get("locust_reports"):
        given.append("--locust-reports")
    for name in flags.get("scenario", ()):
        given += ["--scenario", name]
    return tuple(given)


def conclude(codes: set[ExitCode], folder: Path, *, quiet: bool = False) -> None:
    """Show the verdicts of a run folder and end with the one exit code for all that applies."""
    from harness.errors import worst
    from harness.verbs import codes_of

    code = worst(codes | codes_of(folder))
    if not quiet:
        from harness.screen import show_verdicts

        show_verdicts(folder, code)
    raise SystemExit(int(code))

"""The command `stepup`: its verbs and their flags. Heavy imports are inside the verbs, so that --help is immediate."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.cli_send import ALLOW, REQUIRE, conclude, conformance, given_allowances, load, run
from harness.errors import ExitCode, HarnessError

FOLDER = click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
QUIET = click.option("--quiet", is_flag=True, hidden=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stepup")
def cli() -> None:
    """Test whether a deployment keeps the contract of POST /stepup/challenges/push/{channel}.

    Every exchange of a conformance or load run goes into one history, and one set of rules decides over it: a failure
    comes with the exchanges that prove it, and what was not seen is never a pass.

    \b
      stepup run                          the embedded service, conformance and load, in two minutes or so
      stepup run --profile target.toml    a deployment of your own
      stepup explain                      the rules; `stepup explain RULE` for one of them

    Exit codes: 0 pass, 1 a rule failed, 2 wrong use or configuration, 3 only a gate missed, 4 a required rule not
    decided, 5 the target could not be tested, 70 a defect of this harness, 130 interrupted; of several that apply, the
    first of 70, 2, 1, 130, 5, 4, 3, 0: `stepup explain exit-codes`.
    """


for verb in (run, conformance, load):
    cli.add_command(verb)


@cli.command()
@FOLDER
@REQUIRE
@ALLOW
@click.option("--dask", metavar="ADDRESS", default="", help="Let the workers of this Dask scheduler do the work.")
@QUIET
def judge(folder: Path, require: tuple[str, ...], allow: tuple[str, ...], dask: str, quiet: bool) -> None:
    """Decide every rule over the history in run folder DIR; needs no target."""
    from harness.verbs import judge_folder

    conclude(judge_folder(folder, list(require), given_allowances(allow), dask), folder, quiet=quiet)


@cli.command()
@FOLDER
@QUIET
def report(folder: Path, quiet: bool) -> None:
    """Write the reports of run folder DIR anew; needs no target. Of a damaged folder, with what is left."""
    from harness.errors import worst
    from harness.screen import show_verdicts
    from harness.verbs import report_folder

    code = worst(report_folder(folder))
    if not quiet:
        show_verdicts(folder, code)
    raise SystemExit(int(code))


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--baseline", "baselines", multiple=True, type=click.Path(path_type=Path), metavar="RUN",
              help="Compare all of RUN... with this earlier run. Repeatable.")  # fmt: skip
@click.option("--tolerance", type=float, help="The share by which a figure may worsen. Default: 0.05, five per cent.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write the comparison as a page.")
@click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write it as Markdown.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE",
              help="Compare nothing; keep the figures of these runs as a baseline for later.")  # fmt: skip
def compare(
    runs: tuple[Path, ...], baselines: tuple[Path, ...], tolerance: float | None, save: Path | None,
    **forms: Path | None,
) -> None:  # fmt: skip
    """Compare the last RUN with the ones before it, each a run folder or a baseline file.

    Tells which verdicts and figures differ, with confidence intervals: nothing is called slower without evidence. Ends
    with exit code 3 when a figure has worsened by more than the tolerance, with 1 when a rule fails that did not.

    \b
      stepup compare EARLIER RUN                        two runs
      stepup compare --baseline A --baseline B RUN...   several on each side: their noise is measured
    """
    from harness.screen import say
    from reports.commands import compare_runs, save_baseline
    from reports.compare import TOLERANCE

    if save is not None:
        lines, code = save_baseline(list(runs), save), ExitCode.PASS
    else:
        allowed = TOLERANCE if tolerance is None else tolerance
        lines, code = compare_runs(list(runs), allowed, baselines=baselines, **forms)
    for line in lines:
        say(line)
    raise SystemExit(int(code))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR", default=Path("runs"))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write the trend as a page.")
@click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Also write it as Markdown.")
def history(folder: Path, **forms: Path | None) -> None:
    """Show the trend over the runs below DIR: verdicts, latency and throughput, oldest first."""
    from harness.screen import say
    from reports.commands import show_history

    for line in show_history(folder, **forms):
        say(line)


@cli.command()
@click.argument("topic", required=False)
def explain(topic: str | None) -> None:
    """Say what a rule means, where it comes from and what to do when it fails; without TOPIC, list all rules.

    TOPIC is a rule, or one of: profile, users, plan (what the files may hold), exit-codes.
    """
    from harness.screen import show_rules, show_topic

    show_topic(topic) if topic else show_rules()


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8921, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Worker processes.")
@click.option("--fault", metavar="NAME", help="Plant this fault; see --faults.")
@click.option(
    "--policy", multiple=True, metavar="KEY=VALUE", help="Another policy, such as in_flight=reject. Repeatable."
)
@click.option("--faults", is_flag=True, help="List the faults that can be planted, and end.")
@click.option("--dir", "directory", type=click.Path(path_type=Path), default=Path("stepup-service"), show_default=True,
              help="Where profile.toml, users.json and the database go; kept over restarts.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Makes the users.")
@click.option("--users", type=click.IntRange(1, 100_000), default=400, show_default=True, help="Size of the pool.")
def serve(faults: bool, **flags: Any) -> None:
    """Run the embedded service by itself, and write a profile and credentials pool for it.

    In another terminal: `stepup run --profile stepup-service/profile.toml`.
    """
    from harness.screen import show_faults
    from harness.verbs import serve_until_interrupted

    if faults:
        show_faults()
        return
    serve_until_interrupted(**flags)


@cli.command()
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="Only this fault. Repeatable. Default: all.")
@click.option("--family", "families", multiple=True, metavar="NAME",
              help="Only faults that a rule of this family catches, such as 'who may'. Repeatable.")  # fmt: skip
@click.option("--stage", type=click.Choice(["conformance", "load"]), help="By this stage alone. Default: by all.")
@click.option(
    "--correct/--no-correct",
    default=True,
    show_default=True,
    help="Whether the correct service is tried too, under every policy.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs of each, one a seed.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Runs at a time. Default: three for every two cores.")
@click.option("--plan", default="quick", show_default=True, help="The load of each run: a plan's file or name.")
@click.option("--compare", is_flag=True, help="Also show what `st run` and a plain Locust script find of each fault.")
@click.option("--quick", is_flag=True, help="One fault of each family and the default policy alone.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where the run folders go; new or empty.")
def selftest(**flags: Any) -> None:
    """Prove the harness: every planted fault must turn one of its rules red, the correct service none.

    Prints which rule caught which fault, with which exchange and when; what was missed; and false alarms.
    """
    from harness.selftest.whole import run_selftest

    raise SystemExit(int(run_selftest(**flags)))


def main() -> None:
    """Run the command line; every way to end is one of the documented exit codes, and never a traceback."""
    # The processes started from here take no file for a module that lies where the user stands, such as a queue.py.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        cli.main(standalone_mode=False)
    except HarnessError as error:
        _end(str(error), error.code)
    except click.ClickException as error:
        error.show()
        raise SystemExit(int(ExitCode.USAGE)) from None
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted; what was recorded is in the run folder: stepup judge DIR", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as with `| head`; nobody is left to tell
        raise SystemExit(int(ExitCode.PASS)) from None
    except Exception as error:
        from harness.screen import save_crash

        _end(f"a defect of the harness: {type(error).__name__}: {error}\n  {save_crash()}", ExitCode.INTERNAL)


def _end(message: str, code: ExitCode) -> None:
    click.echo(f"stepup: {message}", err=True)
    raise SystemExit(int(code)) from None

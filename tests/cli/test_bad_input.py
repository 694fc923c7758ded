"""Whatever a user gets wrong ends in one or two lines that say what, where and what to do, with the documented code."""

import json
import os
import socket
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import ExitCode

USER = {"token": "token-0123456789abcdef", "api_key": "key-0123456789abcdef", "channels": ["AUTHY"]}
NOBODY = 9  # the discard port; nothing listens there on loopback


def stepup(*argv: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command line here; gives exit code and everything printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["stepup", *map(str, argv)])
        patch.setenv("PYTHONSAFEPATH", "")  # which main() sets for all processes to come
        with pytest.raises(SystemExit) as ended:
            main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


def profile(folder: Path, text: str | None = None, users: object = (USER,), port: int = NOBODY) -> Path:
    path = folder / "profile.toml"
    path.write_text(text or f'[target]\nbase_url = "http://127.0.0.1:{port}"\n[credentials]\nusers = "users.json"\n')
    (folder / "users.json").write_text(users if isinstance(users, str) else json.dumps(users))
    return path


TARGET = '[target]\nbase_url = "http://127.0.0.1:9"\n'
CREDENTIALS = '[credentials]\nusers = "users.json"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n", "'target' is missing"),
        ("[target\n", "not TOML"),
        (TARGET + CREDENTIALS + "[polcy]\n", "Did you mean 'policy'?"),
        (TARGET + CREDENTIALS + '[policy]\nin_flight = "rejct"\n', "Did you mean 'reject'?"),
        (TARGET + CREDENTIALS + '[limits.rate]\ncount = "many"\nwindow = "1s"\n', "limits.rate.count"),
        (TARGET + CREDENTIALS + "[limits.rate]\ncount = 5\n", "'window' is missing"),
        (TARGET + CREDENTIALS + '[outcomes]\nafter-acept = ["409"]\n', "Did you mean 'after-accept'?"),
        ('[target]\nbase_url = "127.0.0.1:80"\n' + CREDENTIALS, "no scheme or host"),
        ('[target]\nbase_url = "https://bank.example"\n' + CREDENTIALS, "`allow = true`"),
        (TARGET + '[credentials]\nusers = "none.json"\n', "none.json: No such file"),
    ],
)
def test_a_wrong_profile(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = stepup("run", "--profile", profile(tmp_path, text), capsys=capsys)
    assert says in told
    assert (code, "Traceback" in told) == (ExitCode.USAGE, False)


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ([], "has no users"),
        ("{", "not JSON"),
        ([USER, USER], "users 0 and 1 have the same token"),
        ([{**USER, "channels": []}], "no active user is enrolled"),
        ([{**USER, "channels": ["SMS"]}], "'SMS' is no channel"),
        ([{**USER, "tokn": 1}], "Did you mean 'token'?"),
        ([{**USER, "token": 12345}], "user 0"),
    ],
)
def test_a_wrong_pool_is_told_without_its_secrets(
    users: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = stepup("run", "--profile", profile(tmp_path, users=users), capsys=capsys)
    assert says in told
    assert (code, "0123456789" in told) == (ExitCode.USAGE, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'stages' is missing"),
        ("[[stages]]\nscenario = 'backgroud'\nduration = '1s'\n", "Did you mean 'background'?"),
        ("[[stages]]\nscenario = 'background'\nduration = '1s'\nrate = -5\n", "stages.0.rate"),
        ("[[stages]]\nscenario = 'background'\nduration = '1s'\n", "'rate' is missing"),
        ("[[stages]]\nscenario = 'lifecycle'\nduration = '5s'\n" * 2, "overlap"),
        ("[gates]\nlatency_p99 = '1s'\n", "'stages' is missing"),
    ],
)
def test_a_wrong_plan(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_text(text)
    code, told = stepup("load", tmp_path / "plan.toml", "--profile", profile(tmp_path), capsys=capsys)
    assert says in told
    assert (code, "Traceback" in told) == (ExitCode.USAGE, False)


def test_a_plan_or_rule_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = stepup("load", "quik", "--profile", profile(tmp_path), capsys=capsys)
    assert (code, "Did you mean 'quick'?" in told) == (ExitCode.USAGE, True)
    code, told = stepup("explain", "idempotent-replya", capsys=capsys)
    assert (code, "Did you mean 'idempotent-replay'?" in told) == (ExitCode.USAGE, True)
    argv = ("run", "--profile", profile(tmp_path), "--require", "no-such-rule", "--out", tmp_path / "out")
    code, told = stepup(*argv, capsys=capsys)
    assert (code, "no-such-rule" in told, (tmp_path / "out").exists()) == (ExitCode.USAGE, True, False)


def test_an_allowance_for_no_rule_or_without_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "--profile", profile(tmp_path), "--out", tmp_path / "out")
    for given, says in (
        ("idempotent-replya=known", "Did you mean 'idempotent-replay'?"),
        ("idempotent-replay", "needs a rule and a reason"),
        ("idempotent-replay=known@2026-02-30", "'2026-02-30' is no date"),
    ):
        code, told = stepup(*run, "--allow", given, capsys=capsys)
        assert (code, says in told, (tmp_path / "out").exists()) == (ExitCode.USAGE, True, False), told
    known = '[[allowed]]\nrule = "idempotent-replya"\nreason = "known"\nuntil = 2026-12-31\n'
    profile(tmp_path, TARGET + CREDENTIALS + known)
    code, told = stepup(*run, capsys=capsys)
    assert (code, "Did you mean 'idempotent-replay'?" in told, (tmp_path / "out").exists()) == (2, True, False), told


def test_nobody_listening_ends_with_code_5_before_any_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    argv = ("run", "--profile", profile(tmp_path, port=port), "--out", tmp_path / "out")
    code, told = stepup(*argv, capsys=capsys)
    assert code == ExitCode.UNREACHABLE
    assert "cannot be reached" in told
    assert "Is it running?" in told


def test_a_port_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code, told = stepup("serve", "--port", port, "--dir", tmp_path / "service", capsys=capsys)
    assert code in (ExitCode.USAGE, ExitCode.UNREACHABLE)
    assert port in told
    assert "in use" in told
    assert "Traceback" not in told


def test_a_run_folder_that_is_in_use_or_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    for out, says in ((tmp_path, "not empty"), (tmp_path / "file" / "below", "Not a directory")):
        code, told = stepup("run", "--profile", profile(tmp_path), "--out", out, capsys=capsys)
        assert says in told
        assert code == ExitCode.USAGE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, told = stepup("run", "--profile", profile(tmp_path), "--out", tmp_path / "locked" / "run", capsys=capsys)
    assert (code, "Permission denied" in told) == (ExitCode.USAGE, True)


@pytest.mark.parametrize("verb", ["judge", "report"])
def test_what_is_no_run_folder(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        "nowhere": (None, "not a run folder"),
        "empty": ("", "cannot be read"),
        "half": ('{"version": 1, "poo', "cannot be read"),
        "other": ('{"version": 99}', "version 99, but this harness reads 1"),
        "bare": ('{"version": 1}', "damaged"),
        "list": ("[]", "version unknown"),
    }
    for name, (text, says) in cases.items():
        folder = tmp_path / name
        if text is not None:
            folder.mkdir()
            (folder / "run.json").write_text(text)
        code, told = stepup(verb, folder, capsys=capsys)
        assert says in told, name
        assert (code, "Traceback" in told) == (ExitCode.USAGE, False)


def test_an_unknown_fault_or_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = stepup("run", "--fault", "idempotency-rac", capsys=capsys)
    assert (code, "Did you mean" in told) == (ExitCode.USAGE, True)
    code, told = stepup("run", "--fault", "x", "--profile", profile(tmp_path), capsys=capsys)
    assert (code, "only the embedded service" in told) == (ExitCode.USAGE, True)
    code, told = stepup("run", "--sed", "1", capsys=capsys)
    assert (code, "--seed" in told) == (ExitCode.USAGE, True)

"""What a run asks for once more at its end: its first refs since the last reset, at the age that the plan names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.control import ControlClient
from harness.history import Recorder, read_history
from harness.judge import verdict_on
from harness.profile import Profile, load_profile
from harness.redact import Redactor
from harness.reference.server import Server
from harness.reference.settings import Settings
from harness.rules import RULES
from harness.targets.look_back import look_back
from harness.targets.probe import Probe

REFS = ("first", "second")


@contextmanager
def looking_back(
    profile: Profile, folder: Path, *, ended: bool = False, forgotten: bool = False
) -> Iterator[list[str]]:
    """A history in `folder` of a few refs, `forgotten` by a reset or asked for again when they are 400 ms old; what was
    told meanwhile."""
    recorder = Recorder(folder, "setup", "main", Redactor(profile.secrets()))
    probe, control, told = Probe(profile, recorder), ControlClient(profile, recorder), list[str]()
    user = profile.pool.active[0]
    try:
        for ref in REFS:
            probe.ask(user, user.usable[0], "valid", ref)
        if forgotten:
            control.reset()
        recorder.flush()
        look_back(profile, folder, probe, control.reset, 0.4, lambda: ended, told.append)
    finally:
        probe.close()
        control.close()
        recorder.close(sent=probe.sent + control.calls)
    yield told


@pytest.mark.parametrize("fault", ["", "ref-ttl"])
def test_first_refs_are_asked_for_again_at_the_age_asked_for(fault: str, tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=4, ref_retention=0.1 if fault else 86400.0), tmp_path / "service") as server:
        profile = load_profile(server.profile_path)
        with looking_back(profile, tmp_path / "history") as told:
            history = read_history(tmp_path / "history")
    again = history.frame[history.frame["scenario"].astype(str) == "look-back"]
    assert again["ref"].tolist() == ["first", "second"]
    first = history.frame[history.frame["ref"] == "first"]["received"].min()
    assert again["sent"].min() - first >= 0.39 * 1e9
    assert any("until the first of 2 refs" in text for text in told)
    assert (verdict_on(RULES["idempotent-replay"], history, profile).status == "fail") == bool(fault)


@pytest.mark.parametrize("fault", ["", "ref-ttl"])
def test_where_a_reset_has_left_no_ref_some_are_sent_and_asked_for_again(fault: str, tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=4, ref_retention=0.1 if fault else 86400.0), tmp_path / "service") as server:
        profile = load_profile(server.profile_path)
        with looking_back(profile, tmp_path / "history", forgotten=True):
            history = read_history(tmp_path / "history")
    back = history.frame[history.frame["scenario"].astype(str) == "look-back"]
    asked: dict[str, list[int]] = {}
    for ref, sent in zip(back["ref"], back["sent"], strict=True):
        asked.setdefault(ref, []).append(sent)
    assert len(asked) == len({user.person for user in profile.pool.active if user.usable})
    assert all(len(times) == 2 and times[1] - times[0] >= 0.4 * 1e9 for times in asked.values())
    assert (verdict_on(RULES["idempotent-replay"], history, profile).status == "fail") == bool(fault)


def test_who_has_ended_the_run_is_asked_nothing_more(tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=4), tmp_path / "service") as server:
        profile = load_profile(server.profile_path)
        with looking_back(profile, tmp_path / "history", ended=True):
            history = read_history(tmp_path / "history")
    assert "look-back" not in set(history.frame["scenario"].astype(str))


def test_what_a_limit_had_refused_is_asked_for_again(tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=4, challenge_count=1, challenge_window=0.3), tmp_path / "service") as server:
        profile = load_profile(server.profile_path)
        with looking_back(profile, tmp_path / "history"):
            history = read_history(tmp_path / "history")
    calls = history.frame[history.frame["ref"] == "second"]
    assert calls["status"].tolist() == [409, 200]
    assert calls["intent"].astype(str).tolist() == ["valid", "valid"]

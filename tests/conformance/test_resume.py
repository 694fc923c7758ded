"""A later run asks again for the refs of an earlier one: kept over a restart, forgotten, or not to be blamed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.errors import HarnessError
from harness.history import read_history
from harness.history.earlier import EARLIER, write_earlier
from harness.judge import judge
from harness.profile import Profile, load_profile
from harness.reference.server import Server
from harness.reference.settings import Settings
from harness.resume import RESUMED, marks_of, resume
from harness.run_folder import create, open_run, write_json
from harness.verdict import Verdict
from tests.conformance.stage import Done, run_in

FAST = Settings(workers=1, users=24)
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def port(service: Path) -> int:
    """The port of a service that was up while the first run was made, and is down now."""
    with Server(FAST, service) as server:
        done = made(server.profile_path, service / "first", "test_left_for_a_later_run")
        assert done.told["passed"] == 1, done.output[-2000:]
    return int(server.base_url.rpartition(":")[2])


def made(profile_path: Path, out: Path, chosen: str, earlier: Path | None = None) -> Done:
    """A run of some tests, which resumes an earlier one where it is given."""
    profile = load_profile(profile_path)
    folder = create(out, "test", profile, seed=1, command="test")
    folder.facts["marks"] = marks_of(profile.pool)
    folder.save()
    if earlier is not None:
        write_json(out / RESUMED, {"refs": resume(earlier, profile).exchanges})
    return run_in(profile_path, out, "-k", chosen)


def copied(service: Path, folder: Path) -> Path:
    """What the service remembers, for one test alone."""
    return Path(shutil.copytree(service, folder / "service", ignore=shutil.ignore_patterns("first", "kept")))


def verdicts(done: Done, profile: Profile) -> dict[str, Verdict]:
    return {one.rule: one for one in judge(done.history, profile)}


@pytest.fixture(scope="module")
def kept(service: Path, port: int) -> Done:
    """A run that resumed the first one on the service as it was."""
    with Server(replace(FAST, port=port), service) as server:
        return made(server.profile_path, service / "kept", "test_ref_of_an_earlier_run", service / "first")


def test_refs_are_kept_over_a_restart(service: Path, kept: Done) -> None:
    found = verdicts(kept, load_profile(service / "profile.toml"))
    assert (kept.told["failed"], kept.told["skipped"]) == (0, 0), kept.output[-2000:]
    assert found["ref-retention"].examined == kept.told["passed"] >= 20
    assert found["idempotent-replay"].status == "pass"
    assert [one.rule for one in found.values() if one.status == "fail"] == []


def test_what_was_forgotten_is_shown_and_a_token_settled_since_is_not_blamed(
    service: Path, port: int, tmp_path: Path
) -> None:
    """Who is refused all calls by now shows nothing of refs; whoever is served has to be served the same."""
    left = resume(service / "first", load_profile(service / "profile.toml")).exchanges
    settled = {one["user"] for one in left[::2]}
    with Server(replace(FAST, port=port, ref_retention=0.01), copied(service, tmp_path)) as server:
        for one in left[::2]:
            httpx.post(f"{server.base_url}/simulate/challenges/{one['challenge_id']}/accept")
        done = made(server.profile_path, tmp_path / "run", "test_ref_of_an_earlier_run", service / "first")
        found = verdicts(done, load_profile(server.profile_path))
    refused = sum(one["user"] in settled for one in left)
    assert done.told["reasons"] == {
        "settled, logged out or shut out since: its user is refused other calls too": refused
    }
    assert (done.told["passed"], done.told["failed"]) == (0, len(left) - refused)
    assert {one.rule for one in found.values() if one.status == "fail"} <= {"ref-retention", "idempotent-replay"}
    first, again = found["ref-retention"].witness
    assert [first["stage"], again["stage"]] == ["earlier", "conformance"]
    assert first["ref"] == again["ref"]
    assert first["challenge_id"] != again["challenge_id"]
    assert first["received"] < 0 < again["received"]


@pytest.mark.parametrize(("hours", "status"), [(23.9, "fail"), (24.1, "not-exercised")])
def test_within_a_day_a_changed_id_is_wrong(
    hours: float, status: str, service: Path, kept: Done, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = json.loads((kept.folder / "history" / EARLIER).read_text())
    aged = int(hours * HOUR_S * 1e9)
    earlier = [
        {
            **one,
            "challenge_id": f"was-{number}",
            **{name: one[name] - aged for name in ("intended", "sent", "received")},
        }
        for number, one in enumerate(told)
    ]
    shutil.copytree(kept.folder / "history", tmp_path / "history")
    write_earlier(tmp_path / "history", earlier)
    found = {one.rule: one for one in judge(read_history(tmp_path / "history"), load_profile(service / "profile.toml"))}
    assert found["ref-retention"].status == status


def changed(folder: Path, to: Path, **facts: Any) -> Path:
    """A copy of a run folder with other facts."""
    to.mkdir()
    (to / "history").symlink_to(folder / "history")
    write_json(to / "run.json", {**open_run(folder).facts, **facts})
    return to


def test_what_cannot_be_resumed_is_said(service: Path, port: int, tmp_path: Path) -> None:
    first, profile = service / "first", load_profile(service / "profile.toml")
    elsewhere = replace(profile, target=replace(profile.target, base_url="http://127.0.0.1:1"))
    strangers = replace(profile, pool=replace(profile.pool, users=tuple(
        replace(user, token=f"{user.token}x", name="") for user in profile.pool.users)))  # fmt: skip
    no_marks = changed(first, tmp_path / "marks", marks=None)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text('{"version": 1, "pro')
    later = read_history(first / "history").wall_offset_ns / 1e9 + 25 * HOUR_S
    for folder, target, at, says in (
        (first, elsewhere, None, "that run tested http://127"),
        (first, strangers, None, "had another pool: none of its"),
        (first, profile, later, "over 24 hours old"),
        (no_marks, profile, None, "no marks of the pool"),
        (damaged, profile, None, "cannot be read"),
        (tmp_path / "nowhere", profile, None, "not a run folder"),
    ):
        with pytest.raises(HarnessError, match=says):
            resume(folder, target, at)


def test_a_person_is_known_by_name_where_the_token_is_new(service: Path, port: int) -> None:
    profile = load_profile(service / "profile.toml")
    users = tuple(replace(user, token=f"{user.token}x", name="") for user in profile.pool.users)
    named = (replace(users[0], name=profile.pool.users[0].name or "x"), *users[1:])
    assert profile.pool.users[0].name, "the embedded service names its persons"
    found = resume(service / "first", replace(profile, pool=replace(profile.pool, users=named)))
    assert {one["user"] for one in found.exchanges} == {0}
    assert list(found.left_out) == ["the token was replaced, and the pool does not name whose it is"]


def test_marks_tell_no_secret(service: Path, port: int) -> None:
    profile = load_profile(service / "profile.toml")
    first, second = marks_of(profile.pool), marks_of(profile.pool)
    assert first["users"] != second["users"]
    assert {len(mark) for marks in first["users"] for mark in marks if mark} == {5}

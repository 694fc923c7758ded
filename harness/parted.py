"""Judges a history that is too large for one table: by parts of some persons each, in several processes.

Every rule is asked of each part, or of all pushes at once where it compares persons or counts for all of them; then
only the columns that rules read are in memory. The limits are judged by part, too, where no scope of theirs lies in
several (see `circles`, `scopes`). Findings are merged, and become the same verdicts as those of one table.
"""

import io
import tempfile
import time
from collections import Counter
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.circles import Places, places_of
from harness.history import History, read_history
from harness.history.parts import Parts, link, scatter
from harness.history.reader import Ints, with_earlier
from harness.history.recorder import Tally
from harness.history.survey import Survey, size_of, survey
from harness.judge import UNKNOWN_RUN, broken, judge, verdict_from
from harness.profile import Profile
from harness.reproduce import Run
from harness.rules import RULES, Finding, Rule
from harness.rules.reading.columns import Elsewhere, Whole, forget, pushes_of
from harness.rules.reading.lean import keep, together
from harness.rules.registry import concluded, merged
from harness.rules.run import gaps_of
from harness.scopes import judge_scopes, wild_of
from harness.verdict import Verdict
from harness.workers import cluster, done, processes

LARGE: Final = 500_000  # exchanges; up to here one table takes less than processes need to start
A_PART: Final = 250_000  # exchanges; judging them takes a process some 300 MB
SHARING: Final = (("run", "responses", "who may", "state"), ("challenge limit",), ("rate limit", "idempotency"))


@dataclass(frozen=True)
class Persons:
    """Who sent a token, by its number in the pool; what is not in the pool is a person of its own."""

    known: Ints
    strangers: int

    def __call__(self, user: Ints) -> Ints:
        inside = (user >= 0) & (user < len(self.known))
        own = np.append(self.known, -1)[np.where(inside, user, -1)]
        return np.where(user >= len(self.known), self.strangers + user - len(self.known), own)


@dataclass(frozen=True)
class Facts:
    """What every part of a history has in common."""

    tallies: tuple[Tally, ...]
    gaps: tuple[str, ...]
    wall_offset_ns: int
    earlier: pd.DataFrame | None = None

    def earlier_of(self, persons: Persons, users: Ints) -> pd.DataFrame | None:
        """What an earlier run was answered for the persons of these tokens."""
        if self.earlier is None:
            return None
        whose = persons(self.earlier["user"].to_numpy(np.int64))
        return self.earlier[np.isin(whose, persons(users))]


def judge_folder(folder: Path, profile: Profile, run: Run = UNKNOWN_RUN, *, dask: str = "") -> list[Verdict]:
    """The verdict of every rule over the history in `folder`, in one table or in parts as its size asks for.

    `dask` is the address of a scheduler whose workers are to look at the parts, '' where this machine is to.
    """
    if dask:
        with cluster(dask) as examiners:
            return judge_in_parts(folder, profile, run, examiners=examiners)
    if size_of(folder) > LARGE:
        return judge_in_parts(folder, profile, run)
    return judge(read_history(folder), profile, seed=run.seed, command=run.command)


def judge_in_parts(
    folder: Path,
    profile: Profile,
    run: Run = UNKNOWN_RUN,
    *,
    local: Executor | None = None,
    examiners: Executor | None = None,
    a_part: int = A_PART,
    spent: Counter[str] | None = None,
) -> list[Verdict]:
    """The verdict of every rule over the history in `folder`, which is split up beside it meanwhile.

    `local` are processes of this machine; left out: some are started. `examiners` need no access to its disk, as those
    of a Dask cluster; left out: the local ones do their work. `a_part` is about how many exchanges one of them takes at
    once. In `spent` is added up for how many seconds of all processes each rule was looked at.
    """
    spent = Counter() if spent is None else spent
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".parts-") as place,
        processes() if local is None else nullcontext(local) as workers,
    ):
        seen = survey(folder)
        begun = with_earlier(History(seen.shards, seen.tallies, seen.gaps, seen.wall_offset_ns), folder)
        facts = Facts(seen.tallies, gaps_of(begun), seen.wall_offset_ns, begun.earlier)
        del begun
        size = len(seen.place)
        parts = Parts(Path(place), max(-(-size // a_part), 1), size)
        places = _places(seen, profile, parts.count, 2 * a_part)
        _split(seen, parts, places, workers)
        del seen
        found, wild = _examined(parts, facts, profile, examiners, workers, spent)
        scoped = judge_scopes(parts, places.limits, wild, facts, profile, workers, spent)
        return _verdicts(found, scoped, _whole(parts, facts), profile, run, spent)


def persons_in(profile: Profile) -> Persons:
    """The persons of a profile's pool."""
    known = np.array([user.person for user in profile.pool.users], np.int64)
    programmes = [user.programme for user in profile.pool.users]
    return Persons(known, 1 + max([*known.tolist(), *programmes], default=-1))


def _places(seen: Survey, profile: Profile, count: int, most: int) -> Places:
    asked: Ints = seen.asked.reindex(range(len(profile.pool.users)), fill_value=0).to_numpy(np.int64)
    return places_of(profile, asked, count, most)


def _split(seen: Survey, parts: Parts, places: Places, local: Executor) -> None:
    jobs = (
        (scatter, source, seen.place[source.first : source.first + source.rows], seen.start_ns, places, parts)
        for source in seen.sources
    )
    for _ in done(local, jobs):
        pass
    link(parts)


def _examined(
    parts: Parts, facts: Facts, profile: Profile, examiners: Executor | None, local: Executor, spent: Counter[str]
) -> tuple[dict[str, list[Finding | Verdict]], list[Elsewhere]]:
    """What each part shows of each rule, and has for other scopes of limits; its columns are kept beside it."""
    near = ((examine_part, parts, part, facts, profile) for part in range(parts.count))
    far = ((examine, *parts.table(part), facts, profile) for part in range(parts.count))
    found: dict[str, list[Finding | Verdict]] = {}
    wild: list[Elsewhere] = [Elsewhere() for _ in range(parts.count)]
    for part, seen in done(examiners or local, far if examiners else near):
        parts.columns()[part].write_bytes(seen.columns)
        wild[part] = seen.wild
        spent.update(seen.spent)
        for name, finding in seen.findings.items():
            found.setdefault(name, []).append(finding)
    return found, wild


@dataclass(frozen=True)
class Seen:
    """What a part shows of each rule, the columns of its pushes (see `lean`), and the seconds that each rule took.

    `wild` is what those need to know who look at other scopes of a limit.
    """

    findings: dict[str, Finding | Verdict]
    columns: bytes
    wild: Elsewhere
    spent: Counter[str]


def examine_part(parts: Parts, part: int, facts: Facts, profile: Profile) -> Seen:
    """As `examine`, of a part on this machine's disk."""
    return examine(*parts.table(part), facts, profile)


def examine(table: pa.Table, numbers: Ints, guests: Ints, facts: Facts, profile: Profile) -> Seen:
    """What the exchanges of some persons show of each rule that asks for no others, and the columns of their pushes."""
    frame = table.to_pandas()
    own = np.delete(frame["user"].to_numpy(np.int64), guests)
    history = History(
        frame, facts.tallies, facts.gaps, facts.wall_offset_ns, facts.earlier_of(persons_in(profile), own),
        numbers=numbers, guests=guests,
    )  # fmt: skip
    del table, own
    pushes, columns = pushes_of(history, profile), io.BytesIO()
    keep(pushes, history.number(pushes.row), columns)
    seen = Seen({}, columns.getvalue(), wild_of(history, profile), Counter())
    for rule in RULES.values():
        begun = time.perf_counter()
        try:
            if rule.by_person is not None:
                seen.findings[rule.id] = _numbered(rule.by_person(history, profile), history)
        except Exception as error:  # whatever it is, the other rules still have to be decided
            seen.findings[rule.id] = broken(rule, error)
        seen.spent[rule.id] += time.perf_counter() - begun  # type: ignore[assignment]  # stubs count in integers
    return seen


def _numbered(finding: Finding, history: History) -> Finding:
    """The finding with its exchanges numbered as in the whole history."""
    told = [
        replace(one, rows=tuple(history.number(np.array(one.rows, np.int64)).tolist())) for one in finding.violations
    ]
    return replace(finding, violations=tuple(told))


def _whole(parts: Parts, facts: Facts) -> Whole:
    columns = together(parts.columns(), parts.size, parts.at)
    return Whole(
        parts.control(), facts.tallies, facts.gaps, facts.wall_offset_ns, facts.earlier,
        columns=columns, total=parts.size, rows=parts,
    )  # fmt: skip


def _verdicts(
    found: dict[str, list[Finding | Verdict]],
    scoped: dict[str, list[Finding]],
    whole: Whole,
    profile: Profile,
    run: Run,
    spent: Counter[str],
) -> list[Verdict]:
    """The verdicts that follow from what the parts show by person and by scope, and from what all pushes do."""
    made = {}
    # Families that share what they need to know of a history follow each other, and let go of it before others begin.
    for families in SHARING:
        for rule in (rule for rule in RULES.values() if rule.family in families):
            begun = time.perf_counter()
            made[rule.id] = _verdict(rule, found.get(rule.id, []), scoped.get(rule.id), whole, profile, run)
            spent[rule.id] += time.perf_counter() - begun  # type: ignore[assignment]  # stubs count in integers
        forget()
    return [made[name] for name in RULES]


def _verdict(
    rule: Rule, seen: list[Finding | Verdict], scoped: list[Finding] | None, whole: Whole, profile: Profile, run: Run
) -> Verdict:
    try:
        lost = next((one for one in seen if isinstance(one, Verdict)), None)
        findings = [one for one in seen if isinstance(one, Finding)]
        return lost or verdict_from(rule, _told(rule, findings, scoped or [], whole, profile), whole, profile, run)
    except Exception as error:  # whatever it is, the other rules still have to be decided
        return broken(rule, error)


def _told(rule: Rule, seen: list[Finding], scoped: list[Finding], whole: Whole, profile: Profile) -> Finding:
    if scoped:
        told = concluded(merged([*seen, *scoped]))
        # What is wrong with all parts together only has its witness in none of them.
        if told.all_told == sum(one.all_told for one in (*seen, *scoped)):
            return told
    of_all = [] if rule.of_all is None else [rule.of_all(whole, profile)]
    return concluded(merged([*seen, *of_all]))


__all__ = ["A_PART", "Facts", "Persons", "examine", "examine_part", "judge_folder", "judge_in_parts", "persons_in"]

"""Deals users and time to scenarios so that none spoils another's evidence, and says what the pool is too small for."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Final

from harness.plan import Plan, Stage
from harness.pool import User
from harness.profile import Profile
from scenarios.load.scopes import challenge_scope, rate_scope, usable, windows_of
from scenarios.load.usage import Usage

WIDE: Final = 10  # islands of users that share no limit; with fewer, scenarios run one after another
APART: Final = 10  # persons; with fewer, scenarios that run one after another use the same ones
MOST: Final = {
    "rate-limit": 6,
    "challenge-limit": 30,
    "lifecycle": 40,
    "idempotency": 120,
}  # persons that can be of use
LOGINS: Final = (
    "rate-limit",
    "lifecycle",
    "challenge-limit",
    "idempotency",
)  # to whom persons with several tokens are of use
STRETCH_S: Final = 60.0  # how much longer than planned a stage may take where the target's window needs it
# Where scenarios run one after another: their order and their part of the time. What leaves lost requests behind comes
# late, as a lost request may count against a limit for ever; what settles tokens comes last.
APART_ORDER: Final = ("rate-limit", "traffic", "challenge-limit", "cuts", "lifecycle")
SHARED_ORDER: Final = ("traffic", "challenge-limit", "rate-limit", "cuts", "lifecycle")
SLOTS: Final = {"traffic": 0.33, "rate-limit": 0.3, "challenge-limit": 0.18, "cuts": 0.11, "lifecycle": 0.08}
SCENARIOS_OF: Final = {"traffic": ("idempotency", "background"), "cuts": ("idempotency",)}


@dataclass(frozen=True)
class Part:
    """One scenario's work in one process: `users` are indices, times seconds from the start of the load. `cuts` says
    whether idempotency cuts requests off: "none", "some", "only". `reset`: the target is reset before it begins."""

    stage: Stage
    start_s: float
    end_s: float
    users: tuple[int, ...]
    process: int = 0
    cuts: str = "some"
    reset: bool = False

    def facts(self) -> dict[str, Any]:
        return {
            "scenario": self.stage.scenario, "start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3),
            "users": list(self.users), "process": self.process, "reset": self.reset,
        }  # fmt: skip


@dataclass
class Deal:
    """Who does what when, and what could not be dealt: `notes`, a sentence each."""

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max((part.end_s for part in self.parts), default=0.0)

    def of(self, process: int) -> list[Part]:
        return [part for part in self.parts if part.process == process]

    def facts(self) -> dict[str, Any]:
        return {"parts": [part.facts() for part in self.parts], "notes": self.notes}


def deal(plan: Plan, profile: Profile, usage: Usage, indices: Iterable[int], processes: int) -> Deal:
    """Deal the users with these indices to the plan's stages and to processes."""
    made = Deal()
    pool = profile.pool.users
    users = [user for user in usable(pool[index] for index in indices) if user.index not in usage.settled]
    if not users:
        made.notes.append("no active user is left for load: earlier stages have settled or used them all")
        return made
    stages = _possible(plan, profile, usage, users, made)
    islands = _islands(profile, users)
    if len(islands) >= WIDE:
        _side_by_side(made, stages, islands, processes)
    else:
        if processes > 1:
            made.notes.append("all users share a few limits, so one process sends everything and the others idle")
        _one_after_another(made, stages, profile, users)
    return made


def _possible(plan: Plan, profile: Profile, usage: Usage, users: list[User], made: Deal) -> list[Stage]:
    """The plan's stages without those that this target cannot be shown, each with a note."""
    kept = []
    for stage in plan.stages:
        why = _why_not(stage, profile, usage, users)
        if why:
            made.notes.append(f"{stage.scenario}: {why}")
        else:
            kept.append(_stretched(stage, profile, made))
    return kept


def _why_not(stage: Stage, profile: Profile, usage: Usage, users: list[User]) -> str:
    """Why a scenario cannot be shown, '' where it can."""
    challenges, policy = profile.challenges, profile.policy
    if stage.scenario == "rate-limit" and profile.rate is None:
        return "the profile declares no rate limit"
    if stage.scenario == "challenge-limit":
        if challenges is None:
            return "the profile declares no challenge limit"
        if challenges.count + 10 > stage.most:
            return (
                f"driving a {challenges.scope} to {challenges.count:,} challenges takes more than {stage.most} requests"
            )
        if policy.in_flight == "reject" and (policy.in_flight_for_ns is None or policy.in_flight_for_ns > 2 * 10**9):
            return "a token can have one challenge in flight, so nobody reaches the limit in time"
        if profile.control.reset is None and all(
            usage.challenges[challenge_scope(profile, user)] >= challenges.count for user in users
        ):
            return "every user has reached the limit before"
    settles = profile.control.accept or profile.control.decline
    if stage.scenario == "lifecycle" and not settles and policy.in_flight != "reject":
        return "the profile declares no control call that accepts or declines a challenge"
    return ""


def _stretched(stage: Stage, profile: Profile, made: Deal) -> Stage:
    """A rate limit shows itself over three of its windows."""
    if stage.scenario != "rate-limit" or profile.rate is None:
        return stage
    needed = 3.5 * windows_of(profile.rate)[1] / 1e9 + 2
    longer = min(max(stage.duration_s, needed), stage.duration_s + STRETCH_S)
    if longer < needed:
        window_s = windows_of(profile.rate)[1] / 1e9
        made.notes.append(f"rate-limit: a window of {window_s:g} s needs {needed:.0f} s; the stage has {longer:.0f} s")
    return replace(stage, duration_s=longer)


def _islands(profile: Profile, users: list[User]) -> list[list[User]]:
    """Users in groups that share neither person, nor rate scope, nor challenge scope with another group."""
    leader: dict[object, object] = {}

    def find(mark: object) -> object:
        while leader.setdefault(mark, mark) != mark:
            leader[mark] = mark = leader[leader[mark]]
        return mark

    for user in users:
        marks: list[object] = [("person", user.person)]
        if profile.rate is not None:
            marks.append(("rate", rate_scope(profile, user)))
        if profile.challenges is not None:
            marks.append(("limit", challenge_scope(profile, user)))
        for mark in marks[1:]:
            leader[find(mark)] = find(marks[0])
    islands: dict[object, list[User]] = {}
    for user in users:
        islands.setdefault(find(("person", user.person)), []).append(user)
    return list(islands.values())


def _side_by_side(made: Deal, stages: list[Stage], islands: list[list[User]], processes: int) -> None:
    """Each scenario gets islands of its own, spread over the processes; the stages run when the plan says."""
    scenarios = list(dict.fromkeys(stage.scenario for stage in stages))
    shares = {name: next(stage.share for stage in stages if stage.scenario == name) for name in scenarios}
    dealt = _shared_out(shares, islands)
    for stage in stages:
        mine = dealt[stage.scenario]
        for process in range(processes):
            users = [user.index for island in mine[process::processes] for user in island]
            if users:
                part = replace(stage, rate=stage.rate * len(mine[process::processes]) / len(mine))
                made.parts.append(Part(part, stage.start_s, stage.end_s, tuple(users), process))
        if not mine:
            made.notes.append(f"{stage.scenario}: the pool of {len(islands)} independent users is too small for it")


def _shared_out(shares: dict[str, float], islands: list[list[User]]) -> dict[str, list[list[User]]]:
    """Islands for each scenario by its share, those of every kind first to whom few are dealt."""
    whole = sum(shares.values())
    wanted = {
        name: max(2, min(MOST.get(name, len(islands)), ceil(len(islands) * share / whole)))
        for name, share in shares.items()
    }
    first = _several_logins(wanted, islands)
    taken = {id(island) for mine in first.values() for island in mine}
    rest = _varied([island for island in islands if id(island) not in taken])
    dealt: dict[str, list[list[User]]] = {}
    for name in sorted(wanted, key=lambda one: (one == "background", wanted[one])):
        left = wanted[name] - len(first.get(name, []))
        count = len(rest) if name == "background" else min(left, max(len(rest) - 1, 0))
        if name == "rate-limit":
            # Largest number of enrolled channels last: a channel that is not enrolled is free to ask for.
            rest.sort(key=lambda island: len(island[0].usable))
        dealt[name], rest = first.get(name, []) + rest[:count], rest[count:]
        rest = _varied(rest)
    if "background" not in shares and rest:
        largest = max(dealt, key=lambda one: MOST.get(one, 0))
        dealt[largest] += rest[: max(MOST.get(largest, 0) - len(dealt[largest]), 0)]
    return dealt


def _several_logins(wanted: dict[str, int], islands: list[list[User]]) -> dict[str, list[list[User]]]:
    """Islands with persons who have several tokens, in turn to those who need them, a third of what each wants.

    Limits and refs are kept for the person, and a settled token is not: only these can show it.
    """
    several = [island for island in islands if len({user.person for user in island}) < len(island)]
    names = [name for name in LOGINS if name in wanted]
    return {
        name: several[place :: len(names)][: ceil(wanted[name] / 3)] for place, name in enumerate(names)
    }  # fmt: skip


def _varied(islands: list[list[User]]) -> list[list[User]]:
    """The islands, those with both channels first, alternating between programmes."""
    seen: dict[int, int] = {}
    keyed = []
    for island in islands:
        programme = island[0].programme
        seen[programme] = seen.get(programme, 0) + 1
        keyed.append(((-len(island[0].usable), seen[programme], programme), island))
    return [island for _, island in sorted(keyed, key=lambda one: one[0])]


def _one_after_another(made: Deal, stages: list[Stage], profile: Profile, users: list[User]) -> None:
    """Scenarios share limits, so each has its slot; with few persons they also share users, and reset in between."""
    by_name: dict[str, Stage] = {}
    for stage in stages:
        by_name.setdefault(stage.scenario, stage)
    persons = sorted({user.person for user in users})
    apart = len(persons) >= APART
    order = [slot for slot in (APART_ORDER if apart else SHARED_ORDER) if _members(slot, by_name)]
    if not order:
        return
    shown = max(stage.end_s for stage in stages if stage.scenario != "rate-limit") if len(by_name) > 1 else 0.0
    whole = max(shown, by_name["rate-limit"].duration_s if len(order) == 1 and "rate-limit" in by_name else 0.0, 1.0)
    weight = sum(SLOTS[slot] for slot in order)
    begin = 0.0
    for number, slot in enumerate(order):
        length = whole * SLOTS[slot] / weight
        if slot == "rate-limit" and profile.rate is not None:
            needed = 3.5 * windows_of(profile.rate)[1] / 1e9 + 2
            length = max(length, min(needed, STRETCH_S))
        for stage in _members(slot, by_name):
            mine = _of_slot(slot, users, order, profile, apart=apart)
            cuts = "only" if slot == "cuts" else "none"
            reset = number > 0 and not apart and profile.control.reset is not None
            made.parts.append(Part(stage, begin, begin + length, mine, 0, cuts, reset))
        begin += length
    if not apart:
        made.notes.append(f"the pool has {len(persons)} person(s), so scenarios share them one after another")


def _members(slot: str, by_name: dict[str, Stage]) -> list[Stage]:
    return [by_name[name] for name in SCENARIOS_OF.get(slot, (slot,)) if name in by_name]


def _of_slot(slot: str, users: list[User], order: list[str], profile: Profile, *, apart: bool) -> tuple[int, ...]:
    """The users of a slot: all, or every n-th person where there are enough to keep slots apart."""
    if not apart:
        return tuple(user.index for user in users)
    scoped = profile.challenges is not None and profile.challenges.scope == "programme"
    if scoped and slot == "challenge-limit":
        return _smallest_programme(users)
    persons = list(dict.fromkeys(user.person for user in users))
    # Traffic takes two of each round, so that it has the most.
    hands = [*order, "traffic"] if "traffic" in order else list(order)
    mine = {person for place, person in enumerate(persons) if hands[place % len(hands)] == slot}
    return tuple(user.index for user in users if user.person in mine)


def _smallest_programme(users: list[User]) -> tuple[int, ...]:
    sizes: dict[int, list[int]] = {}
    for user in users:
        sizes.setdefault(user.programme, []).append(user.index)
    smallest = min(sizes, key=lambda programme: len(sizes[programme]))
    return tuple(sizes[smallest])

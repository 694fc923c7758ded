"""Deals users and time to scenarios so that none spoils another's evidence, and says what the pool is too small for."""

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Final

from harness.plan import Plan, Stage
from harness.pool import User
from harness.profile import Profile
from scenarios.load.part import Deal, Part
from scenarios.load.possible import possible
from scenarios.load.scopes import challenge_scope, rate_scope, usable
from scenarios.load.shares import Island, shared_out
from scenarios.load.slots import in_turns, slowed
from scenarios.load.usage import Usage

WIDE: Final = 10  # islands of users that share no limit; with fewer, scenarios share limits
SEVERAL: Final = 4  # islands; with fewer, none can be set apart to be driven to its rate
SET_APART: Final = 4  # one island in so many is driven to its rate while the others go about their work


def deal(plan: Plan, profile: Profile, usage: Usage, indices: Iterable[int], processes: int) -> Deal:
    """Deal the users with these indices to the plan's stages and to processes."""
    made = Deal()
    pool = profile.pool.users
    users = [user for user in usable(pool[index] for index in indices) if user.index not in usage.settled]
    if not users:
        made.notes.append("no active user is left for load: earlier stages have settled or used them all")
        return made
    stages, made.notes = possible(plan, profile, usage, users)
    islands = islands_of(profile, users)
    if len(islands) >= WIDE:
        _side_by_side(made, stages, islands, processes)
    else:
        if processes > 1:
            made.notes.append("all users share a few limits, so one process sends everything and the others idle")
        _sharing(made, stages, profile, islands)
    return made


def islands_of(profile: Profile, users: list[User], *, rates: bool = True) -> list[Island]:
    """Users in groups that share neither person, nor challenge scope, nor rate scope with another group; groups may
    share rate scopes where not `rates`."""
    leader: dict[Hashable, Hashable] = {}

    def find(mark: Hashable) -> Hashable:
        while leader.setdefault(mark, mark) != mark:
            leader[mark] = mark = leader[leader[mark]]
        return mark

    for user in users:
        marks: list[Hashable] = [("person", user.person)]
        if rates and profile.rate is not None:
            marks.append(("rate", rate_scope(profile, user)))
        if profile.challenges is not None:
            marks.append(("limit", challenge_scope(profile, user)))
        for mark in marks[1:]:
            leader[find(mark)] = find(marks[0])
    islands: dict[Hashable, Island] = {}
    for user in users:
        islands.setdefault(find(("person", user.person)), []).append(user)
    return list(islands.values())


def _side_by_side(made: Deal, stages: list[Stage], islands: list[Island], processes: int) -> None:
    """Each scenario gets islands of its own, spread over the processes; the stages run when the plan says."""
    scenarios = list(dict.fromkeys(stage.scenario for stage in stages))
    shares = {name: next(stage.share for stage in stages if stage.scenario == name) for name in scenarios}
    dealt = shared_out(shares, islands)
    for stage in stages:
        mine = dealt[stage.scenario]
        # What one process finds out would be spoilt by what others try meanwhile.
        if stage.arrivals == "search" or stage.scenario == "chaos":
            users = [user.index for island in mine for user in island]
            made.parts += [Part(stage, stage.start_s, stage.end_s, tuple(users))] if users else []
            continue
        for process in range(processes):
            users = [user.index for island in mine[process::processes] for user in island]
            if users:
                part = replace(stage, rate=stage.rate * len(mine[process::processes]) / len(mine))
                made.parts.append(Part(part, stage.start_s, stage.end_s, tuple(users), process))
        if not mine:
            made.notes.append(f"{stage.scenario}: the pool of {len(islands)} independent users is too small for it")


def _sharing(made: Deal, stages: list[Stage], profile: Profile, islands: list[Island]) -> None:
    """Scenarios share limits. Who drives one has it alone: a few islands of its own, or else a time of its own."""
    driven = [stage for stage in stages if stage.scenario == "rate-limit"]
    if driven and len(islands) >= SEVERAL:
        apart, islands = _set_apart(islands)
        made.parts += [Part(stage, stage.start_s, stage.end_s, apart) for stage in driven]
        stages = [stage for stage in stages if stage not in driven]
    users = [user for island in islands for user in island]
    groups = islands_of(profile, users, rates=False)
    if len(groups) >= WIDE and not any(stage.scenario == "rate-limit" for stage in stages):
        _side_by_side(made, slowed(stages, profile, users, made.notes), groups, 1)
    else:
        in_turns(made, stages, profile, users, groups)


def _set_apart(islands: list[Island]) -> tuple[tuple[int, ...], list[Island]]:
    """Some islands to be driven and one to be kept quiet, those first that others have least use for; and the others.

    Persons with several tokens are few and others need them; then the smallest islands are the least loss.
    """
    persons = {id(island): len({user.person for user in island}) for island in islands}
    islands = sorted(islands, key=lambda one: (len(one) > persons[id(one)], persons[id(one)], one[0].index))
    many = max(2, -(-len(islands) // SET_APART))
    return tuple(user.index for island in islands[:many] for user in island), islands[many:]

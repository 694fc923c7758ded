"""Scenarios one after another, where whoever drives a limit would else drive everybody's."""

from dataclasses import dataclass, replace
from typing import Final

from harness.plan import Stage
from harness.pool import User
from harness.profile import Profile
from scenarios.load.part import Deal, Part
from scenarios.load.possible import driving_s, needed_s, per_second
from scenarios.load.shares import Island, shared_out

APART: Final = 10  # persons; with fewer, scenarios that run one after another use the same ones
# The order of the slots where all share the same users, and the slots' parts of the time. What leaves lost requests
# behind comes late, as a lost request may count against a limit for ever; what settles tokens comes last.
SHARED_ORDER: Final = ("traffic", "challenge-limit", "rate-limit", "cuts", "chaos", "lifecycle")
SLOTS: Final = {
    "traffic": 0.45,
    "rate-limit": 0.25,
    "challenge-limit": 0.14,
    "cuts": 0.08,
    "chaos": 0.15,
    "lifecycle": 0.08,
}
SCENARIOS_OF: Final = {"traffic": ("idempotency", "background"), "cuts": ("idempotency",)}
MARGIN: Final = 1.5  # of the time that driving a scope to its challenge limit takes at best
TRAFFIC: Final = 1 / 3  # of what shared limits allow, that steady traffic may use: the other scenarios need the rest


@dataclass(frozen=True)
class _Slot:
    """Scenarios that run at one time, each with its users."""

    name: str
    users: dict[str, tuple[int, ...]]


def in_turns(made: Deal, stages: list[Stage], profile: Profile, users: list[User], groups: list[Island]) -> None:
    """Deal these users, of whom only `groups` share no challenge limit, to slots of time; stages of the same scenario
    are one here."""
    by_name: dict[str, Stage] = {}
    for stage in slowed(stages, profile, users, made.notes):
        by_name.setdefault(stage.scenario, stage)
    persons = len({user.person for user in users})
    few = persons < APART
    slots = _one_by_one(by_name, users) if few else _together(by_name, profile, users, groups)
    begin = 0.0
    for number, (slot, length) in enumerate(zip(slots, _lengths(slots, by_name, profile, users), strict=True)):
        cuts = {"cuts": "only", "traffic": "none" if few else "some"}.get(slot.name, "some")
        reset = number > 0 and (few or len(groups) == 1) and profile.control.reset is not None
        for name, mine in slot.users.items():
            made.parts.append(Part(by_name[name], begin, begin + length, mine, 0, cuts, reset))
        begin += length
    if few:
        made.notes.append(f"the pool has {persons} person(s), so scenarios share them one after another")


def slowed(stages: list[Stage], profile: Profile, users: list[User], notes: list[str]) -> list[Stage]:
    """The stages with no more steady traffic than limits leave that others need as well."""
    most = TRAFFIC * per_second(profile, users)
    told = []
    for stage in stages:
        peak = max(stage.rate, stage.to) if stage.scenario == "background" else 0.0
        if peak > most:
            notes.append(f"background: at most {most:,.0f} requests a second, as all scenarios share the rate limit")
            stage = replace(stage, rate=stage.rate * most / peak, to=stage.to * most / peak)
        told.append(stage)
    return told


def _one_by_one(by_name: dict[str, Stage], users: list[User]) -> list[_Slot]:
    """Every slot has everybody."""
    everyone = tuple(user.index for user in users)
    members = [(slot, [name for name in SCENARIOS_OF.get(slot, (slot,)) if name in by_name]) for slot in SHARED_ORDER]
    return [_Slot(slot, dict.fromkeys(names, everyone)) for slot, names in members if names]


def _together(by_name: dict[str, Stage], profile: Profile, users: list[User], groups: list[Island]) -> list[_Slot]:
    """The rate limit by itself; all the rest side by side, but for a challenge limit that everybody shares."""
    everyone = _indices([users])
    slots = [_Slot("rate-limit", {"rate-limit": everyone})] if "rate-limit" in by_name else []
    shares = {name: stage.share for name, stage in by_name.items() if name != "rate-limit"}
    mine: dict[str, tuple[int, ...]] = {}
    last = []
    if "challenge-limit" in shares and profile.challenges is not None and profile.challenges.scope == "programme":
        del shares["challenge-limit"]
        if len(groups) > 1:
            driven = _indices([min(groups, key=lambda group: (len(group), group[0].index))])
            mine["challenge-limit"] = driven
            users = [user for user in users if user.index not in driven]
        else:
            last = [_Slot("challenge-limit", {"challenge-limit": everyone})]
    dealt = shared_out(shares, _persons(users)) if shares else {}
    mine |= {name: _indices(islands) for name, islands in dealt.items() if islands}
    return [*slots, *([_Slot("traffic", mine)] if mine else []), *last]


def _persons(users: list[User]) -> list[Island]:
    persons: dict[int, Island] = {}
    for user in users:
        persons.setdefault(user.person, []).append(user)
    return list(persons.values())


def _indices(islands: list[Island]) -> tuple[int, ...]:
    return tuple(user.index for island in islands for user in island)


def _lengths(slots: list[_Slot], by_name: dict[str, Stage], profile: Profile, users: list[User]) -> list[float]:
    """How long each slot is: its part of the plan's time, and no longer than its stages; traffic has what is left. A
    limit gets as long as it takes to drive it, if that is in the plan."""
    whole = max((stage.end_s for name, stage in by_name.items() if name != "rate-limit"), default=1.0)
    weight = sum(SLOTS[slot.name] for slot in slots)
    longest = {slot.name: max(by_name[name].duration_s for name in slot.users) for slot in slots}
    lengths = {name: min(whole * SLOTS[name] / weight, longest[name]) for name in longest}
    if "traffic" in lengths:
        lengths["traffic"] += whole - sum(lengths.values())
    for name, needed in (("rate-limit", needed_s(profile)), ("challenge-limit", MARGIN * driving_s(profile, users))):
        if name in lengths:
            lengths[name] = max(lengths[name], min(needed, longest[name]))
    return [lengths[slot.name] for slot in slots]

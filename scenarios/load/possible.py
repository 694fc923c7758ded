"""What of a plan a target can be shown at all, in the time that the plan gives: the rest is left out, with a note."""

from collections import defaultdict
from dataclasses import replace
from typing import Final

from harness.plan import Plan, Stage
from harness.pool import User
from harness.profile import Profile
from scenarios.load.limits import Pacer
from scenarios.load.scopes import challenge_scope, rate_scope, windows_of
from scenarios.load.usage import Usage

STRETCH_S: Final = 60.0  # how much longer than planned a stage may take where the target's window needs it
WINDOWS: Final = 3.5  # of a rate limit, over which it shows itself
BEYOND: Final = 10  # challenges asked for beyond the limit
QUICKEST: Final = 150.0  # challenges a second that a scope is driven with, whatever its rate allows


def possible(plan: Plan, profile: Profile, usage: Usage, users: list[User]) -> tuple[list[Stage], list[str]]:
    """The plan's stages without those that this target cannot be shown, and a note on each of these."""
    kept, notes = [], []
    for stage in plan.stages:
        why = _why_not(stage, profile, usage, users)
        if why:
            notes.append(f"{stage.scenario}: {why}")
            continue
        kept.append(_stretched(stage, profile))
        notes += _too_short(kept[-1], profile)
    return kept, notes


def needed_s(profile: Profile) -> float:
    """How long the rate limit has to be driven until it shows itself; 0 where none is declared."""
    return WINDOWS * windows_of(profile.rate)[1] / 1e9 + 2 if profile.rate else 0.0


def per_second(profile: Profile, users: list[User]) -> float:
    """How many requests a second these users may make for ever by the declared rate."""
    scopes = {rate_scope(profile, user) for user in users}
    return len(scopes) * Pacer(profile.rate).per_second


def driving_s(profile: Profile, users: list[User]) -> float:
    """How long it takes at best to drive one of these users' scopes beyond the challenge limit; 0 without a limit."""
    if profile.challenges is None:
        return 0.0
    scopes: dict[int, list[User]] = defaultdict(list)
    for user in users:
        scopes[challenge_scope(profile, user)].append(user)
    rate = max(per_second(profile, members) for members in scopes.values())
    return (profile.challenges.count + BEYOND) / min(rate, QUICKEST)


def _why_not(stage: Stage, profile: Profile, usage: Usage, users: list[User]) -> str:
    """Why a scenario cannot be shown, '' where it can."""
    policy = profile.policy
    if stage.scenario == "rate-limit" and profile.rate is None:
        return "the profile declares no rate limit"
    if stage.scenario == "challenge-limit":
        return _no_challenge_limit(stage, profile, usage, users)
    if stage.scenario == "chaos" and not (profile.control.kill or profile.control.stall):
        return "the profile declares no control call that kills or stalls the target, as only the embedded service has"
    settles = profile.control.accept or profile.control.decline
    if stage.scenario == "lifecycle" and not settles and policy.in_flight != "reject":
        return "the profile declares no control call that accepts or declines a challenge"
    return ""


def _no_challenge_limit(stage: Stage, profile: Profile, usage: Usage, users: list[User]) -> str:
    challenges, policy = profile.challenges, profile.policy
    if challenges is None:
        return "the profile declares no challenge limit"
    if challenges.count + BEYOND > stage.most:
        return f"driving a {challenges.scope} to {challenges.count:,} challenges takes more than {stage.most} requests"
    takes_s = driving_s(profile, users)
    if takes_s > stage.duration_s:
        return (
            f"driving a {challenges.scope} to {challenges.count:,} challenges takes {takes_s:,.0f} s at the rate that "
            f"is declared; the stage has {stage.duration_s:.0f} s"
        )
    if policy.in_flight == "reject" and (policy.in_flight_for_ns is None or policy.in_flight_for_ns > 2 * 10**9):
        return "a token can have one challenge in flight, so nobody reaches the limit in time"
    scopes = {challenge_scope(profile, user) for user in users}
    if profile.control.reset is None and all(usage.challenges[scope] >= challenges.count for scope in scopes):
        return "every user has reached the limit before"
    return ""


def _stretched(stage: Stage, profile: Profile) -> Stage:
    """A rate limit shows itself over some of its windows."""
    if stage.scenario != "rate-limit":
        return stage
    longer = min(max(stage.duration_s, needed_s(profile)), stage.duration_s + STRETCH_S)
    return replace(stage, duration_s=longer)


def _too_short(stage: Stage, profile: Profile) -> list[str]:
    if stage.scenario != "rate-limit" or profile.rate is None or stage.duration_s >= needed_s(profile):
        return []
    window_s, has_s = windows_of(profile.rate)[1] / 1e9, stage.duration_s
    return [f"rate-limit: a window of {window_s:g} s needs {needed_s(profile):.0f} s; the stage has {has_s:.0f} s"]

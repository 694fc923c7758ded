"""Rules on the rate limit: never more than declared, never refused below it, honest about when to come back."""

import math
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile, RateLimit
from harness.rules.bounds import sliding
from harness.rules.bounds.sliding import Crowd
from harness.rules.challenge_limit import ALONE, CLOSE, counts_not, heights, how_low, how_often
from harness.rules.limits.limited import Limited
from harness.rules.limits.rate_refusals import OTHERS, REF, STALE, Refusals, refusals_of, served
from harness.rules.limits.rate_requests import Requests, requests_of
from harness.rules.limits.rate_upper import Upper, upper_of
from harness.rules.limits.retry_after import MISSING, UNREADABLE, longest, returns_of, told_of
from harness.rules.limits.wrongful import SHOWN, beside
from harness.rules.reading.operations import Flags, Ints
from harness.rules.registry import Finding, Most, Violation, rule
from harness.rules.told import ago, quoted, who

UNDECLARED: Final = "limits.rate (count and window) in the profile."
MORE: Final = "A plan with a rate-limit stage drives scopes to the limit."
SOURCE: Final = "openapi.yaml 429, RFC 6585 section 4; count, window and algorithm are those of the profile"
LISTED: Final = sliding.LISTED


@rule(
    "rate-limit-upper",
    family="rate limit",
    severity="must",
    scope="history",
    statement="In no interval of any length are more requests admitted than the declared way of counting allows.",
    source=SOURCE,
    advice="Count and decide in one atomic step that all workers share; check the window's unit and the count's edge.",
    by_person=False,
    by_scope=("rate",),
)
def rate_limit_upper(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    requests = requests_of(history, profile)
    upper, limit = upper_of(history, requests, profile), requests.limit
    count = _height(limit) * profile.target.hosts
    violations = tuple(_too_many(requests, upper, crowds) for crowds in upper.broken[:LISTED])
    examined, total = max(upper.filled, len(violations)), max(upper.total, len(violations))
    enough, refused = Most(math.ceil(_enough(limit, count))), len(requests.limited.refused)
    facts = {"most": Most(upper.most), "count": Most(count), "enough": enough, "refused": refused}
    return Finding(examined, violations, total, facts=facts, conclude=_how_full)


def _how_full(finding: Finding) -> Finding:
    most, count, enough, refused = (finding.facts[name] for name in ("most", "count", "enough", "refused"))
    if not finding.violations and most < enough:
        lowest = f"a limit of {most:,} would explain all that was admitted, where {count:,} is declared"
        return replace(finding, examined=0, shortfall=lowest if refused else "", note=lowest, lacks=MORE)
    if not finding.examined:
        told = f"{count:,} were admitted, and nothing more was asked for meanwhile"
        return replace(finding, shortfall=told, lacks=MORE)
    return replace(finding, note=f"filled to {count:,} while more was refused")


def _height(limit: RateLimit) -> int:
    return limit.bucket if limit.algorithm == "token-bucket" else limit.count


def _enough(limit: RateLimit, count: int) -> float:
    """How much must have been admitted for a pass: a bucket gains tokens while requests are under way."""
    if limit.algorithm == "token-bucket":
        return min(count - 1, count * (1 - CLOSE))
    return count if limit.phase is not None or limit.algorithm == "sliding-window" else count / 2


def _too_many(requests: Requests, upper: Upper, crowds: tuple[Crowd, ...]) -> Violation:
    limit, limited = requests.limit, requests.limited
    whole = [upper.admitted.within(crowd.scope, crowd.start, crowd.end)[: crowd.many] for crowd in crowds]
    places = upper.admitted.place[np.concatenate(whole)]
    parts = "; ".join(_crowd(limited, upper, crowd) for crowd in crowds[:3])
    told = f"{parts}, where the limit is {_declared(limit)}"
    if len(crowds) > 1:
        told += ": wherever windows begin, one of them held too many"
    return Violation(_rows(limited, places), told)


def _crowd(limited: Limited, upper: Upper, crowd: Crowd) -> str:
    first = int(upper.admitted.place[upper.admitted.within(crowd.scope, crowd.start, crowd.end)[0]])
    caller = who(limited.pushes, first).split(" on ")[0]
    return f"{caller} and its scope: {crowd.many:,} admitted within {ago(crowd.end - crowd.start)}"


def _declared(limit: RateLimit) -> str:
    told = f"{limit.count:,} in {ago(limit.window_ns)} ({limit.algorithm}"
    return told + (f", burst {limit.bucket:,})" if limit.algorithm == "token-bucket" else ")")


def _rows(limited: Limited, places: Ints) -> tuple[int, ...]:
    return tuple(int(row) for row in np.unique(limited.pushes.row[places]))


@rule(
    "rate-limit-lower",
    family="rate limit",
    severity="must",
    scope="history",
    statement="Nobody is answered 429 who was provably under the limit.",
    source=SOURCE,
    advice="Look for an off-by-one, a window longer than declared, or counting what is declared not to count.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("rate",),
)
def rate_limit_lower(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    refusals = refusals_of(history, profile)
    limited, chosen = refusals.requests.limited, _unexplained(refusals, idle=False)
    open_ended = profile.target.late_effect_ns is None
    facts = heights(refusals, len(limited.refused), refusals.count)
    facts["unknown"] = int(limited.pushes.unknown.sum()) if open_ended else 0
    since = "of them long enough after the beginning of the run"
    return how_low(facts, _wrong(refusals, chosen), len(chosen), profile, since, LATE)


LATE: Final = "Does a request stop working when its caller has gone? Then say target.late_effect in the profile."


def _unexplained(refusals: Refusals, *, idle: bool) -> Ints:
    """Wrong for no known cause: while nothing can have counted, or while something had."""
    chosen = refusals.explained("")
    empty: Flags = (refusals.counted[chosen] <= 0) == idle
    return chosen[empty]


# What the target did if it is wrong for a cause.
SPEAKS: Final = {
    REF: "; it fits if the first refusal was kept under the ref",
    OTHERS: "; it fits if the requests of others were counted",
    STALE: "; it fits if earlier requests were counted for longer than a window",
}


def _wrong(refusals: Refusals, chosen: Ints, cause: str = "") -> tuple[Violation, ...]:
    """Wrong refusals, each with all that can have counted."""
    limited = refusals.requests.limited
    made = []
    for n in chosen[:SHOWN].tolist():
        place = int(refusals.at.place[n])
        told = f"{who(limited.pushes, place)}: refused with 429 though at most "
        told += f"{max(int(refusals.counted[n]), 0):,} can have counted, where the limit is "
        told += f"{_declared(refusals.requests.limit)}{SPEAKS.get(cause, '')}"
        places = [place, *refusals.counted_at(n)]
        if cause:
            places += refusals.shown(cause, n).tolist()
        made.append(Violation(_rows(limited, np.array(places)), told))
    return tuple(made)


def _explained(refusals: Refusals, cause: str) -> tuple[tuple[Violation, ...], int, int]:
    """The wrong refusals with a cause, their number, and how often the cause could have shown."""
    chosen = refusals.explained(cause)
    return _wrong(refusals, chosen, cause), len(chosen), refusals.blame.occasions[cause] + len(chosen)


@rule(
    OTHERS,
    family="rate limit",
    severity="must",
    scope="history",
    statement="The requests of one scope never use up the limit of another.",
    source=SOURCE,
    advice="Look at the key of the counter: it must hold the whole scope and nothing less.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("rate",),
)
def rate_limit_isolated(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    if profile.rate.scope in ("global", "ip"):
        return Finding(0, note=f"the limit's scope is {profile.rate.scope}, so all share it")
    refusals = refusals_of(history, profile)
    violations, total, _ = _explained(refusals, OTHERS)
    passed = beside(served(refusals.requests), refusals.requests.limited.admitted)
    conclude = partial(how_often, note="served beside so many requests of others")
    facts = {"beside": passed, "count": Most(refusals.enough)}
    return Finding(total, violations, total, lacks=MORE, facts=facts, conclude=conclude)


@rule(
    STALE,
    family="rate limit",
    severity="must",
    scope="history",
    statement="After a window without requests a caller is served again.",
    source=SOURCE,
    advice="Look at the window's unit and length, at what removes old entries, and whether refusals prolong the wait.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("rate",),
)
def rate_limit_recovers(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    refusals = refusals_of(history, profile)
    idle = _unexplained(refusals, idle=True)
    stale, total, _ = _explained(refusals, STALE)
    violations = tuple(sorted((*_wrong(refusals, idle), *stale), key=lambda one: one.order))
    total += len(idle)
    served = _recovered(refusals.requests)
    note = "served again a window after a refusal" if served else ""
    return Finding(served + total, violations, total, note=note, lacks=MORE)


def _recovered(requests: Requests) -> int:
    """Admissions for which a refusal of their scope lies a window or more back."""
    refused, admitted = requests.limited.refused, requests.limited.admitted
    if not len(refused) or admitted.scopes > refused.scopes:
        return 0
    first = np.full(refused.scopes, np.iinfo(np.int64).max // 2, np.int64)
    np.minimum.at(first, refused.scope, refused.end)
    return int((admitted.start > first[admitted.scope] + requests.horizon_ns).sum())


@rule(
    REF,
    family="rate limit",
    severity="must",
    scope="history",
    statement="A request refused with 429 has no effect: its ref stays free, and it uses up no challenge.",
    source=f"{SOURCE}; RFC 9110 section 15.5: a client error is no success",
    advice="Ask the rate limiter before anything is written, and keep no answer of it under the idempotency-ref.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("rate", "challenges"),
)
def rate_limit_no_effect(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    kept, again, occasions = _explained(refusals_of(history, profile), REF)
    counted = counts_not(REF, history, profile)
    violations = tuple(sorted((*kept, *counted.violations), key=lambda one: one.order))
    occasions, total = occasions + counted.examined, again + (counted.total or 0)
    note = "served with a ref that had been refused with 429, or beside so many 429" if occasions else ""
    return Finding(occasions, violations, total, note=note, lacks=MORE)


@rule(
    "rate-limit-retry-after",
    family="rate limit",
    severity="must",
    scope="history",
    statement="A 429 says when to come back where that is declared; coming back then works, and the wait is no longer "
    "than needed.",
    source="RFC 6585 section 4 and RFC 9110 section 10.2.3; limits.rate.retry_after in the profile",
    advice="Give the time until the oldest request leaves the window, in whole seconds rounded up.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("rate",),
)
def rate_limit_retry_after(history: History, profile: Profile) -> Finding:
    if profile.rate is None:
        return Finding(0, lacks=UNDECLARED)
    requests = requests_of(history, profile)
    told, pushes = told_of(history, requests), requests.limited.pushes
    returns = returns_of(requests, profile, told)
    refusals = refusals_of(history, profile)
    # A refusal that is wrong by the count is another rule's.
    late = pushes.limited[returns.place] & ~np.isin(returns.place, refusals.at.place[refusals.wrong])
    lied, later = returns.refusal[late], returns.place[late]
    limit_ns = longest(requests, profile, told)
    made: list[Violation] = []
    faults = {
        "carries no Retry-After": (told.wait == MISSING) & profile.rate.retry_after,
        "carries a Retry-After that is neither seconds nor a date": told.wait == UNREADABLE,
        f"tells a longer wait than {_declared(profile.rate)} can need": told.wait > limit_ns,
    }
    total = len(lied)
    for says, found in faults.items():
        total += int(found.sum())
        for n in np.flatnonzero(found)[:SHOWN].tolist():
            text = told.text.iloc[n]
            what = f": Retry-After: {quoted(str(text))}" if isinstance(text, str) else ""
            place = int(told.place[n])
            made.append(
                Violation(_rows(requests.limited, np.array([place])), f"{who(pushes, place)}: 429 {says}{what}")
            )
    for n, place in list(zip(lied.tolist(), later.tolist(), strict=True))[:SHOWN]:
        says = (
            f"{who(pushes, place)}: refused with 429 after the wait that Retry-After {quoted(told.text.iloc[n])} named"
        )
        made.append(Violation(_rows(requests.limited, np.array([told.place[n], place])), says))
    made.sort(key=lambda one: one.order)
    facts = {"said": int((told.wait >= 0).sum()), "came back": len(returns.place)}
    facts["unknown"] = int(pushes.unknown.sum()) if profile.target.late_effect_ns is None else 0
    silent = MORE if profile.rate.retry_after else DECLARE
    conclude = partial(_how_honest, silent=silent, exclusive=profile.target.exclusive)
    return Finding(len(told.place), tuple(made), total, facts=facts, conclude=conclude)


def _how_honest(finding: Finding, silent: str, exclusive: bool) -> Finding:
    refused, said, came_back = finding.examined, finding.facts["said"], finding.facts["came back"]
    if not refused:
        return replace(finding, lacks=MORE)
    if not said and not finding.violations:
        return replace(finding, examined=0, note="no 429 said when to come back", lacks=silent)
    shortfall = "" if came_back else f"{said:,} told when to come back, but nobody surely came back just then"
    lacks = ALONE if not exclusive else LATE if finding.facts["unknown"] else MORE
    return replace(finding, note=f"{came_back:,} came back as told and were served", shortfall=shortfall, lacks=lacks)


DECLARE: Final = "limits.rate.retry_after = true in the profile, where a 429 has to carry it."

"""Each planted fault does what its name says: what the correct service answers one way, it answers another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.reference.faults import FAULTS
from tests.reference.conftest import MakeDesk
from tests.reference.looking import Make
from tests.reference.looks_at_answers import (
    all_at_once,
    broken_http,
    credentials,
    effects_of_no_credentials,
    forms,
    odd_input,
    paths,
    pending,
    pending_at_once,
    pending_of_two_logins,
    refusals,
    settled,
    settled_where_asked,
    statuses_of_many,
)
from tests.reference.looks_at_hostile import (
    hostile_credentials,
    hostile_headers,
    hostile_methods,
    hostile_order,
    hostile_paths,
    hostile_places,
    hostile_refs,
)
from tests.reference.looks_at_limits import (
    bucket,
    challenges,
    challenges_at_once,
    challenges_of_programmes,
    challenges_over_edges,
    effects_of_refusal,
    fixed_windows,
    many_at_a_low_rate,
    many_users,
    pushes,
    rate,
    rate_at_once,
    rate_below,
    rate_of_keys,
    rate_over_edges,
    replay_at_the_limit,
    retry_after,
    what_costs_a_challenge,
)
from tests.reference.looks_at_refs import (
    callers_that_leave,
    conflicting,
    distinct_ids,
    duplicates_at_once,
    near_refs,
    refs_after_refusal,
    replays,
    replays_after_many,
    replays_later,
    replays_of_another_login,
    same_ref_elsewhere,
    served,
    users_at_once,
    without_refs,
)


@dataclass(frozen=True)
class Look:
    """What the correct service shows from one side, and the faults that show something else there."""

    look: Callable[[Make], Any]
    correct: Any
    faults: str


LIMIT, STATE = "CHALLENGE_LIMIT_EXCEEDED", "STATE_INVALID"
CHANNEL_FIELD = {"invalidFields": [{"fieldName": "channel", "error": "IN", "params": ["AUTHY", "BIOMETRIC"]}]}
LOOKS = [
    Look(served, {(200, "application/json", "uuid")}, """created-201 id-renamed id-number id-empty body-with-tail
         text-not-json ids-by-worker ids-by-time ids-too-short ids-by-ref ids-by-user ids-sequential"""),
    Look(distinct_ids, 41, "ids-recycled ids-by-user"),
    Look(replays, [True, True], """ref-ignored ref-ignored-on-biometric replay-refused replay-new-id
         replica-lag"""),
    Look(replays_later, True, "ref-forgotten-soon refs-flushed"),
    Look(replays_after_many, (True, True), "ref-evicted-by-user ref-evicted ref-last-only replay-latest"),
    Look(replays_of_another_login, True, "ref-per-token"),
    Look(same_ref_elsewhere, 4, "ref-shared-by-users ref-shared-by-programme ref-shared-by-channels"),
    Look(near_refs, 0, "ref-case-folded ref-cut-at-32 ref-cut-at-64 ref-normalised ref-hashed-short"),
    Look(without_refs, 5, "no-ref-as-empty no-ref-deduplicated in-flight-refused"),
    Look(refs_after_refusal, ([200, 429, 429], 200), "refusal-remembered ref-spent-by-refusal"),
    Look(duplicates_at_once, 1, "idempotency-race idempotency-race-narrow idempotency-race-bare"),
    Look(users_at_once, 0, "request-mixed-up answers-swapped"),
    Look(rate_at_once, 4, "rate-race"),
    Look(challenges_at_once, 4, "challenges-race"),
    Look(pending_at_once, 1, "in-flight-race"),
    Look(all_at_once, {200}, "dropped-under-load"),
    Look(rate, [10, 10, 0, 0, 0, 0, 10, 10, 10], """rate-off-by-one rate-one-short rate-window-short rate-window-long
         rate-unlimited rate-shared rate-by-channel rate-per-token rate-skips-replays rate-fails-open
         rate-counts-refusals rate-never-recovers"""),
    Look(rate_over_edges, 10, "rate-fixed-window rate-window-from-first rate-off-by-one"),
    Look(rate_below, 1, "rate-never-recovers"),
    Look(bucket, [20, 10, 20, 20], "bucket-refilled-at-once bucket-too-deep bucket-slow"),
    Look(rate_of_keys, ([200, 429], [429], [200]), "rate-by-user-of-key rate-for-all-keys"),
    Look(fixed_windows, [10, 0, 10], "fixed-window-twice fixed-window-off-by-one"),
    Look(challenges_of_programmes, ([200, LIMIT], [LIMIT], [200]), "programme-limit-by-user programme-limit-for-all"),
    Look(refusals, True, "logged-out-told"),
    Look(broken_http, (400, 413), "host-unchecked"),
    Look(retry_after, "1", """retry-after-too-long retry-after-missing retry-after-too-early retry-after-no-number
         retry-after-negative"""),
    Look(effects_of_refusal, 1, "rate-refused-yet-done"),
    Look(effects_of_no_credentials, ([200, 200], 2), "work-before-credentials"),
    Look(challenges, [[200] * 4 + [LIMIT] * 2, [LIMIT], [LIMIT], [200], [LIMIT], [200]], """challenges-off-by-one
         challenges-one-short challenges-window-short challenges-window-long challenges-unlimited challenges-shared
         challenges-by-channel challenges-per-token challenges-told-as-429 challenges-told-as-state"""),
    Look(challenges_over_edges, 4, "challenges-fixed-window"),
    Look(what_costs_a_challenge, [200, 200, LIMIT, LIMIT, 200], """challenges-count-replays challenges-count-refusals
         challenges-prolonged"""),
    Look(replay_at_the_limit, ([200, LIMIT], True), "challenges-refuse-replays"),
    Look(many_users, {200}, "challenges-random-refusals"),
    Look(pushes, (60, 60), "replay-sends-push push-sent-twice push-lost push-before-checks retry-storm"),
    Look(statuses_of_many, {200}, "commit-lost"),
    Look(many_at_a_low_rate, {200}, "rate-random-refusals"),
    Look(callers_that_leave, 10, "forgotten-when-caller-leaves"),
    Look(settled, [STATE, STATE, 200] * 2, """settled-served declined-served settled-by-channel settled-late
         settled-for-the-person"""),
    Look(settled_where_asked, [STATE, 200], "settled-where-last-asked"),
    Look(pending, [200, STATE, STATE, 200, STATE, 200], """in-flight-ignored in-flight-by-channel in-flight-for-all
         in-flight-for-ever in-flight-too-short"""),
    Look(pending_of_two_logins, [200, 200], "in-flight-by-person"),
    Look(conflicting, [200, 200], "claim-left-behind"),
    Look(credentials, (
        {"no key": [401] * 3, "empty key": [401] * 3, "unknown key": [401] * 3, "foreign key": [403] * 3,
         "no token": [401] * 3, "unknown token": [401] * 3, "scheme": [401] * 3, "prefix": [401] * 3,
         "extension": [401] * 3, "logged_out": [401], "impersonator": [403], "two keys": [401]}, 0),
         """key-missing-served key-empty-served key-unknown-served key-of-any-tenant key-twice-served
         token-scheme-ignored token-prefix-served token-padded-served logged-out-served impersonator-served
         token-unknown-forbidden tenant-unauthorised form-before-credentials state-before-credentials
         work-before-credentials"""),
    Look(forms, [(401, True), (409, {"errorCode": "CHANNEL_NOT_SUPPORTED"}), "CHANNEL_NOT_REGISTERED",
                 (400, CHANNEL_FIELD), (405, "POST"), 200, 405, 405], """no-authenticate-header body-as-html
         conflict-as-problem conflict-code-unknown error-field-unknown bad-request-bare bad-request-wrong-field
         method-without-allow method-not-found method-get-served method-put-served unregistered-as-unsupported
         unsupported-as-unregistered unregistered-served unsupported-served conflict-as-400"""),
    Look(odd_input, [400, 400, 200, 400, 200, 200], """empty-ref-fails long-ref-fails odd-ref-fails odd-channel-fails
         odd-accept-fails body-fails"""),
    Look(paths, [400, 400, 400, 400, 400, 400, 404, 404, 404, 400], """channel-any-case channel-trimmed
         channel-with-suffix channel-by-prefix channel-sms-served channel-unknown-as-default channel-empty-served
         slash-served path-deeper-served channel-twice-decoded"""),
    Look(hostile_methods, ([405, 405], 0), "method-override method-head-served method-refused-yet-done"),
    Look(hostile_paths, [404, 404, 400, 200], "path-rewritten path-any-case channel-cut-at-nul channel-from-query"),
    Look(hostile_headers, [200, 200, "46", ["id"], "application/json", 1], """not-modified range-served body-utf-16
         compressed-unasked form-error-as-page bad-request-no-fields"""),
    Look(hostile_places, [200, 200, 2, 401, 401, 200], """accept-refused-yet-done prefer-async ref-from-other-header
         key-underscored token-in-cookie channel-from-header"""),
    Look(hostile_credentials, [401] * 6, """key-any-case key-unquoted token-followed-by-anything token-in-query
         access-cached-by-token replay-before-credentials connection-remembered"""),
    Look(hostile_order, [200, LIMIT, 401, 403, 401, True], """limit-before-credentials impersonator-told-enrolment
         logged-out-told-enrolment foreign-user-told"""),
    Look(hostile_refs, 4, "id-recased-on-replay ref-cut-at-comma ref-decoded"),
]  # fmt: skip
BY_PROCESSES = {  # which test_processes looks at, as they need several workers
    "idempotency-race-bare",
    "refs-per-worker",
    "rate-per-worker",
    "challenges-per-worker",
    "refs-lost-on-restart",  # which the load's chaos looks at, as it takes a restart
}
PAIRS = [(look, name) for look in LOOKS for name in look.faults.split()]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.look.__name__)
def test_the_correct_service_shows_what_it_should(desk: MakeDesk, look: Look) -> None:
    assert look.look(desk) == look.correct


@pytest.mark.parametrize(("look", "name"), PAIRS, ids=[f"{name}-{look.look.__name__}" for look, name in PAIRS])
def test_a_fault_shows_something_else(desk: MakeDesk, look: Look, name: str) -> None:
    assert look.look(lambda **settings: desk(name, **settings)) != look.correct


def test_every_fault_is_looked_at() -> None:
    assert {name for _, name in PAIRS} | BY_PROCESSES == set(FAULTS)

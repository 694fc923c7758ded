"""Rules on who may ask for a challenge, and on which channel."""

from typing import Any, Final

from harness.history import History
from harness.profile import Profile
from harness.rules.answers.blame import CREDENTIAL_RULES, meant, rule_of
from harness.rules.answers.kinds import OTHER, Kind, kinds_of
from harness.rules.answers.sessions import lost_tokens
from harness.rules.answers.single import (
    Doubt,
    blamed,
    by_intent,
    definite,
    finding_of,
    invalid_fields,
    joined,
    kept,
    those,
    with_rows,
)
from harness.rules.reading.columns import Ints
from harness.rules.registry import Finding, Violation, rule
from harness.spec import load_spec

SPEC: Final = load_spec()
SECURITY: Final = "openapi.yaml#/security"
POOL_LACKS: Final = "The credentials pool has no user for it; see `stepup explain users`."


@rule(
    "auth-required",
    family="who may",
    severity="must",
    scope="exchange",
    statement="Without a valid token and a valid api-key no challenge is issued.",
    source=SECURITY,
    advice="Check both credentials before anything else, and compare them as a whole and exactly.",
)
def auth_required(history: History, profile: Profile) -> Finding:
    return by_intent(history, profile, "auth-required")


@rule(
    "credentials-once",
    family="who may",
    severity="should",
    scope="exchange",
    statement="Two different tokens or two different api-keys in one request are refused, whichever of them is valid.",
    source="RFC 9110, section 5.3: no sender may repeat these headers, and what a recipient makes of it is left open",
    advice="A gateway may check the first of two and the service act on the last: take two of a kind for none.",
)
def credentials_once(history: History, profile: Profile) -> Finding:
    return by_intent(history, profile, "credentials-once")


@rule(
    "tenant-isolation",
    family="who may",
    severity="must",
    scope="exchange",
    statement="A token with the api-key of another programme is refused with 403.",
    source=SPEC.pointer("responses", "403"),
    advice="Compare the programme of the token with that of the key; that each is valid by itself is not enough.",
)
def tenant_isolation(history: History, profile: Profile) -> Finding:
    """A 401 to a token that has expired is right, whatever key it comes with."""
    kinds = kinds_of(history, profile)

    def alive(rows: Ints) -> Ints:
        good = blamed(history, profile, "documented-status")
        denied = kinds.rows_of([number for number in good if kinds.each[number].status == 401])
        return rows[~history.frame["user"].iloc[rows].isin(lost_tokens(history, denied).silent).to_numpy()]

    expired = Doubt(lambda kind: kind.status == 401, alive)
    lacks = "It takes users of two programmes in the credentials pool."
    return by_intent(history, profile, "tenant-isolation", expired, lacks=lacks)


@rule(
    "impersonator-refused",
    family="who may",
    severity="must",
    scope="exchange",
    statement="The token of a back-office impersonator gets no challenge: 403.",
    source=SPEC.pointer("responses", "403"),
    advice="A push goes to the user's device: whoever acts for the user may not cause one. Check the token's kind.",
)
def impersonator_refused(history: History, profile: Profile) -> Finding:
    return by_intent(
        history, profile, "impersonator-refused", lacks="It takes a user with state 'impersonator' in the pool."
    )


@rule(
    "logged-out-refused",
    family="who may",
    severity="must",
    scope="exchange",
    statement="A token that was logged out is refused with 401.",
    source=SPEC.pointer("responses", "401"),
    advice="Look at how sessions are cached: a logout must reach every worker and every host.",
)
def logged_out_refused(history: History, profile: Profile) -> Finding:
    return by_intent(
        history, profile, "logged-out-refused", lacks="It takes a user with state 'logged_out' in the pool."
    )


@rule(
    "auth-first",
    family="who may",
    severity="must",
    scope="exchange",
    statement="Without valid credentials nothing else is told: no 400 for channel or ref, no 409 or 429 for the user.",
    source=f"{SECURITY}; RFC 9110, section 15.5.2",
    advice="Answer 401 or 403 before channel, enrolment, state and limits of the user are looked at.",
)
def auth_first(history: History, profile: Profile) -> Finding:
    """An occasion is a request in which something else is wrong too, that a careless target would tell of."""
    kinds = kinds_of(history, profile)
    tempting = those(kinds, lambda kind: definite(kind) and _unauthorised(kind, profile) and _tempts(kind))
    found = finding_of(kinds, tempting, blamed(history, profile, "auth-first"), lacks=POOL_LACKS)
    # A 400 may be right where the key is missing; then its body tells what it is for.
    rows = with_rows(kinds, lambda kind: kind.status == 400 and _unauthorised(kind, profile))
    telling = {row: _told_fields(body) for row, body in kept(history, "body", rows).items()}
    sentence = "without valid credentials, a 400 tells that {} is wrong"
    more = [Violation((row,), sentence.format(" and ".join(names))) for row, names in telling.items() if names]
    return joined(found, more, len(more))


def _unauthorised(kind: Kind, profile: Profile) -> bool:
    return rule_of(meant(kind, profile).intent) in CREDENTIAL_RULES


def _tempts(kind: Kind) -> bool:
    """Whether more than the credentials is wrong: a channel that does not exist, or that this user cannot use."""
    usable = kind.state == "" or (kind.enrolled and kind.offered)
    return kind.channel == OTHER or (kind.channel != "" and not usable)


def _told_fields(body: Any) -> list[str]:
    """The fields other than the credentials that a 400's body names."""
    names = {str(field.get("fieldName")) for field in invalid_fields(body)}
    return sorted(name for name in names if name.lower() in ("channel", SPEC.ref_header.lower()))


@rule(
    "channel-enum",
    family="who may",
    severity="must",
    scope="exchange",
    statement=f"The channel is exactly one of {' and '.join(SPEC.channels)}: anything else is 400, in another case, "
    "padded or with a suffix too.",
    source=SPEC.pointer("parameters", "0"),
    advice="Match the decoded path segment as a whole, by its letters' case, before anything trims or folds it.",
)
def channel_enum(history: History, profile: Profile) -> Finding:
    return by_intent(history, profile, "channel-enum")


@rule(
    "trailing-slash",
    family="who may",
    severity="should",
    scope="exchange",
    statement="A path with a slash after the channel is redirected or refused, and not served as if it were the same.",
    source="RFC 3986, section 6.2.3",
    advice="Two spellings that are both served are two entries in every cache, log, limit and access rule before the "
    "service. Let the router redirect or refuse one.",
)
def trailing_slash(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    examined = those(kinds, lambda kind: kind.intent == "channel-slash" and definite(kind))
    return finding_of(kinds, examined, blamed(history, profile, "trailing-slash"))


@rule(
    "channel-registered",
    family="who may",
    severity="must",
    scope="exchange",
    statement="A user who is not enrolled on the channel, and nobody else, gets 409 CHANNEL_NOT_REGISTERED.",
    source=SPEC.pointer("responses", "409"),
    advice="Look up the enrolment of this user on this channel alone, and answer with the code that is its own.",
)
def channel_registered(history: History, profile: Profile) -> Finding:
    return _by_channel(history, profile, "channel-registered", "It takes a user enrolled on one channel only.")


@rule(
    "channel-supported",
    family="who may",
    severity="must",
    scope="exchange",
    statement="A channel that the programme does not offer, and no other, gets 409 CHANNEL_NOT_SUPPORTED.",
    source=SPEC.pointer("responses", "409"),
    advice="Look up the channels of the programme that owns the api-key, and answer with the code that is its own.",
)
def channel_supported(history: History, profile: Profile) -> Finding:
    return _by_channel(
        history, profile, "channel-supported", "It takes a user with `unsupported` channels in the pool."
    )


def _by_channel(history: History, profile: Profile, rule_id: str, lacks: str) -> Finding:
    """By intent, but a token whose state may forbid any challenge can be told so first: which goes first is open."""

    def stateless(rows: Ints) -> Ints:
        return rows[[not _may_be_stated(history, profile, int(row)) for row in rows]]

    settled = Doubt(lambda kind: kind.code == "STATE_INVALID", stateless)
    return by_intent(history, profile, rule_id, settled, lacks=lacks)


def _may_be_stated(history: History, profile: Profile, row: int) -> bool:
    """Whether the token of this row may have been settled before, or may have a challenge pending that forbids more."""
    frame = history.frame
    mine = frame[(frame["user"] == frame["user"].iloc[row]) & (frame["sent"] <= frame["received"].iloc[row])]
    settling = mine["operation"].isin(["accept", "decline"]) & (mine["outcome"] != "refused")
    pending = (mine["operation"] == "push") & (mine["outcome"] != "refused")
    return bool(settling.any() or (profile.policy.in_flight == "reject" and pending.any()))

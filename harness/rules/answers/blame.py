"""Decides which rule an answer breaks that its case does not allow: one rule at most, and none where another judges."""

from typing import Final

from harness.case import INTENTS, allowed_for, allows, overload_declared
from harness.profile import Profile
from harness.rules.answers.kinds import OTHER, Kind
from harness.spec import load_spec

CREDENTIAL_RULES: Final = ("auth-required", "tenant-isolation", "impersonator-refused", "logged-out-refused")
# Requests with nothing wrong about them: what the pool says of their user decides, whatever the intent says.
PLAIN: Final = ("valid", "replay", "pending", "new-login")
# What the history calls their channel is not what a server has to make of it.
OTHER_SPELLING: Final = ("http-broken", "channel-slash", "path-odd")
# A gateway may answer these before the service sees them, in a form of its own.
GATEWAY: Final = ("http-broken", "path-missed")
REGISTERED_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
LIMIT: Final = "CHALLENGE_LIMIT_EXCEEDED"
JUDGED_HERE: Final = (
    *CREDENTIAL_RULES,
    "documented-status",
    "no-server-error",
    "bad-request-names-field",
    "method-not-allowed",
    "broken-http-refused",
    "credentials-once",
    "channel-enum",
    "channel-registered",
    "channel-supported",
)


def flaws_of(kind: Kind) -> tuple[str, ...]:
    """The intents that the pool gives a request, whatever its own intent: what is wrong with token, key or channel."""
    if kind.method != load_spec().method:
        return ()
    credentials = {
        "token-unknown": kind.state == "",
        "token-logged-out": kind.state == "logged_out",
        "token-impersonator": kind.state == "impersonator",
        "key-unknown": kind.key == "unknown",
        "key-foreign": kind.key == "foreign",
    }
    wrong = tuple(name for name, applies in credentials.items() if applies)
    if wrong or kind.channel in ("", OTHER):
        return wrong
    channel = {
        "unsupported": not kind.offered, "unregistered": not kind.enrolled, "unsupported-unsaid": kind.unsaid
    }  # fmt: skip
    return tuple(name for name, applies in channel.items() if applies)


def meant(kind: Kind, profile: Profile) -> Kind:
    """The kind with the intent and the allowed outcomes that follow from the pool, where it is a plain request."""
    if kind.intent == "unregistered" and kind.unsaid:
        return kind._replace(allowed=(*kind.allowed, *allowed_for("unsupported-unsaid", profile)))
    flaws = flaws_of(kind) if kind.intent in PLAIN else ()
    if not flaws:
        return kind
    allowed = dict.fromkeys(outcome for flaw in flaws for outcome in allowed_for(flaw, profile))
    return kind._replace(intent=flaws[0], allowed=tuple(allowed))


def rule_of(intent: str) -> str:
    """The rule that an intent belongs to; a history may hold intents of another version."""
    return INTENTS[intent if intent in INTENTS else "any"].rule


def is_limit(kind: Kind) -> bool:
    """Whether a limit refused: the limit rules judge that, and an undeclared limit may always exist."""
    return kind.status == 429 or kind.code == LIMIT


def served(kind: Kind) -> bool:
    return 200 <= kind.status < 300


def blame(kind: Kind, profile: Profile) -> str:
    """The one rule that an answer of this kind breaks; empty where it breaks none, or where a history rule judges."""
    told = meant(kind, profile)
    if told.status >= 500:
        return _failed(told, profile)
    flaws = flaws_of(told)
    if flaws and served(told) and rule_of(told.intent) not in CREDENTIAL_RULES and not _unsure(told, flaws):
        return rule_of(flaws[0])
    if rule_of(told.intent) in CREDENTIAL_RULES:
        return _without_credentials(told, profile)
    if served(told) and told.channel == OTHER and told.intent not in OTHER_SPELLING:
        return "channel-enum"
    if rule_of(told.intent) == "credentials-once":
        return "" if allows(told.allowed, told.status, told.code) or is_limit(told) else "credentials-once"
    if allows(told.allowed, told.status, told.code):
        return _misnamed_channel(told)
    if is_limit(told):
        return ""
    return _unexpected(told)


def _unsure(kind: Kind, flaws: tuple[str, ...]) -> bool:
    """Whether the row may not show what credentials were sent: broken and generated requests carry them anyhow."""
    return kind.intent not in PLAIN and set(flaws) <= {"token-unknown", "key-unknown"}


def _failed(kind: Kind, profile: Profile) -> str:
    """A 5xx, which only a declared overload excuses; RFC 9110 15.6.2 has 501 for a method that nobody knows."""
    if allows(kind.allowed, kind.status, kind.code) or (kind.status == 503 and overload_declared(profile)):
        return ""
    if kind.status == 501 and kind.method not in REGISTERED_METHODS:
        return ""
    return "broken-http-refused" if kind.intent in GATEWAY else "no-server-error"


def _without_credentials(kind: Kind, profile: Profile) -> str:
    """Something else than a refusal for the credentials: served, or told what only a caller with them may know."""
    # Where the case allows every 4xx for another reason, a conflict still tells of the user.
    if kind.status == 409 and not allows(allowed_for(kind.intent, profile), 409, kind.code):
        return "auth-first"
    if allows(kind.allowed, kind.status, kind.code):
        return ""
    if kind.status == 429:
        # Any caller may be limited by address or key, but a limit by user shows that the user was looked up.
        return "auth-first" if profile.rate is not None and profile.rate.scope == "user" else ""
    if kind.status == 400 and kind.channel == OTHER:
        return "auth-first"
    return rule_of(kind.intent)


def _misnamed_channel(kind: Kind) -> str:
    """The channel rule where a conflict that the case allows in general is untrue of this user."""
    if kind.status != 409 or kind.state != "active" or kind.key != "own" or kind.channel in ("", OTHER):
        return ""
    if kind.code == "CHANNEL_NOT_REGISTERED" and kind.enrolled:
        return "channel-registered"
    return "channel-supported" if kind.code == "CHANNEL_NOT_SUPPORTED" and kind.offered and not kind.unsaid else ""


def _unexpected(kind: Kind) -> str:
    """A definite answer to valid credentials that the case does not allow."""
    rule = rule_of(kind.intent)
    if kind.fault and any(outcome.partition(":")[0] == str(kind.status) for outcome in kind.allowed):
        return ""  # the status may be right, and the reason cannot be read: that is response-schema's
    if kind.status == 401:
        return "documented-status"  # the credentials are good, whatever else is wrong with the request
    if served(kind) and allows(kind.allowed, 200):
        return "documented-status"  # served rightly, and told by another status
    if kind.intent == "channel-slash" and served(kind):
        return "trailing-slash"
    if kind.intent == "path-missed" and not served(kind):
        return "broken-http-refused"
    if kind.intent == "http-broken":
        return "broken-http-refused"
    if rule not in ("channel-registered", "channel-supported") and (misnamed := _misnamed_channel(kind)):
        return misnamed
    # Whether a token's state forbids a challenge shows in the history alone.
    if kind.code == "STATE_INVALID" and kind.intent in PLAIN:
        return ""
    if rule not in JUDGED_HERE:
        return "" if kind.status in (200, 400, 409) else "documented-status"
    return rule

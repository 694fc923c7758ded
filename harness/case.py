"""What a request is meant to show: its intent, and the outcomes that the contract or the profile allows for it."""

from dataclasses import dataclass
from typing import Final

from harness.profile import Profile
from harness.spec import load_spec


@dataclass(frozen=True)
class Intent:
    """A kind of request. `allowed` are outcomes such as `409:STATE_INVALID`, `4xx`, or `400:ANY_FORM` where a gateway
    or a parser may have made the body; `rule` is blamed otherwise."""

    id: str
    allowed: tuple[str, ...]
    rule: str
    says: str


INTENTS: Final[dict[str, Intent]] = {}
ANY_FORM: Final = "ANY_FORM"


def _intent(name: str, allowed: str, rule: str, says: str) -> None:
    INTENTS[name] = Intent(name, tuple(allowed.split(",")), rule, says)


# Defaults are what the document says and, where it is silent, what the platform's public acceptance tests observe;
# a profile's [outcomes] replaces any of them by name.
_intent("valid", "200", "documented-status", "an enrolled user with valid credentials asks for a challenge")
_intent("replay", "200", "documented-status", "the same call again with the same idempotency-ref")
_intent("pending", "200", "in-flight", "a second challenge while the first is pending")
_intent("new-login", "200", "documented-status", "the same person with another token after the first one was settled")
_intent("after-accept", "400,409:STATE_INVALID", "settled-token", "a token whose challenge was accepted asks again")
_intent("after-decline", "400,409:STATE_INVALID", "settled-token", "a token whose challenge was declined asks again")
_intent("unregistered", "409:CHANNEL_NOT_REGISTERED", "channel-registered", "the user is not enrolled on the channel")
_intent("unsupported", "409:CHANNEL_NOT_SUPPORTED", "channel-supported", "the programme does not offer the channel")
_intent("channel-unknown", "400", "channel-enum", "a channel outside the document's enum")
_intent("channel-encoded", "200,4xx", "channel-enum", "a percent-encoded spelling of a documented channel")
_intent("channel-slash", "3xx,4xx", "channel-enum", "a slash after the channel")
_intent("channel-empty", "4xx", "channel-enum", "an empty channel segment")
_intent("path-odd", "200,3xx,4xx", "channel-enum", "a path that a gateway may resolve to the operation's")
_intent("path-missed", "3xx,4xx", "channel-enum", "a path that misses the template; a gateway may redirect it")
_intent("unsupported-unsaid", "409:CHANNEL_NOT_SUPPORTED", "channel-supported", "a channel that may not be offered")
_intent("key-missing", "400,401", "auth-required", "no api-key")
_intent("key-empty", "400,401", "auth-required", "an empty api-key")
_intent("key-unknown", "401", "auth-required", "an api-key that nobody has")
_intent("key-twice", "400,401,403", "credentials-once", "two different api-keys")
_intent("key-foreign", "403", "tenant-isolation", "the api-key of another programme")
_intent("token-missing", "401", "auth-required", "no token")
_intent("token-empty", "401", "auth-required", "an empty token")
_intent("token-unknown", "401", "auth-required", "a token that nobody has")
_intent("token-malformed", "400,401", "auth-required", "a credential that is no bearer token")
_intent("token-scheme", "401", "auth-required", "a valid token under another authentication scheme")
_intent("token-part", "401", "auth-required", "a prefix or an extension of a valid token")
# A second Authorization line is none that HTTP allows (RFC 9110, section 5.3), so a gateway may refuse it.
_intent("token-twice", "400:ANY_FORM,401,403", "credentials-once", "two different tokens")
_intent("token-logged-out", "401", "logged-out-refused", "a token that was logged out")
_intent("token-impersonator", "403", "impersonator-refused", "the token of a back-office impersonator")
_intent("ref-odd", "200,400", "bad-request-names-field", "an idempotency-ref that is empty or unusually long")
_intent("ref-twice", "200,400", "bad-request-names-field", "two different idempotency-refs")
_intent("limit-reached", "409:CHALLENGE_LIMIT_EXCEEDED", "challenge-limit-upper", "one challenge more than the limit")
_intent("query-sent", "200,400,404", "documented-status", "a query string where none is documented")
_intent("http-legal", "200,4xx,501,505", "documented-status", "a spelling of HTTP that is unusual and within its rules")
_intent("method-unknown", "4xx,501", "method-not-allowed", "TRACE, which gateways refuse, or an unknown method")
_intent("method-other", "405", "method-not-allowed", "a method other than the documented one")
_intent("body-sent", "200,400,413,415", "documented-status", "a body where none is documented")
_intent("accept-odd", "200,406:ANY_FORM", "documented-status", "an Accept header that asks for another form")
_intent("http-broken", "4xx", "broken-http-refused", "a request that breaks HTTP; a closed connection answers it too")
_intent("control", "2xx", "documented-status", "a call that steers the target, outside the operation")
_intent("any", "1xx,2xx,3xx,4xx", "documented-status", "a generated request of which only the form is judged")


@dataclass(frozen=True)
class Case:
    """One request to send. `user` is an index into the pool (-1: none); `ref` None sends no reference.

    `method`, `path` (relative to the base URL, percent-encoded) and `headers` hold what is sent in full; `key` is the
    number of the api-key sent (-1: none of the pool's).
    """

    id: str
    scenario: str
    intent: str
    allowed: tuple[str, ...]
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    user: int = -1
    key: int = -1
    channel: str = ""
    ref: str | None = None
    operation: str = "push"


def allowed_for(intent: str, profile: Profile) -> tuple[str, ...]:
    """The outcomes that `profile` allows for a request of this intent."""
    if intent in profile.outcomes:
        return profile.outcomes[intent]
    if intent == "pending" and profile.policy.in_flight == "reject":
        return ("409:STATE_INVALID",)
    return INTENTS[intent].allowed


def allows(allowed: tuple[str, ...], status: int, error_code: str = "") -> bool:
    """Whether an answer is among the allowed outcomes; `4xx` stands for its whole class."""
    return any(_fits(one, status, error_code) for one in allowed)


def _fits(outcome: str, status: int, error_code: str) -> bool:
    wanted, _, code = outcome.partition(":")
    same = wanted == str(status) or (wanted.endswith("xx") and wanted[0] == str(status // 100))
    return same and code in ("", ANY_FORM, error_code)


def overload_declared(profile: Profile) -> bool:
    """Whether the profile says, for any kind of request, that the target may answer 503."""
    return any(allows(outcomes, 503) for outcomes in profile.outcomes.values())


def in_words(allowed: tuple[str, ...]) -> str:
    """Allowed outcomes for a sentence."""
    return " or ".join(outcome.removesuffix(f":{ANY_FORM}").replace(":", " ") for outcome in allowed)


def own_form(intent: str, allowed: tuple[str, ...], status: int) -> bool:
    """Whether an answer may have the form of a gateway or a parser, which the document does not describe: where the
    case allows it for this status, or the whole class of statuses, or a 5xx."""
    by_class = f"{status // 100}xx" in allowed and intent != "any"
    return by_class or status >= 500 or f"{status}:{ANY_FORM}" in allowed


def push_path(channel: str) -> str:
    """The operation's path for a channel that is already percent-encoded."""
    return load_spec().template.replace("{channel}", channel)

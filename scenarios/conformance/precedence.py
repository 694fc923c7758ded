"""What is allowed where several things are wrong with one request: the order of looking, stated once, as data."""

from typing import Final

from harness.case import allowed_for
from harness.profile import Profile

# In this order a request's intents name it: the first that applies is the one whose rule is blamed.
NAMING: Final = (
    "http-broken",
    "path-missed", "path-odd", "channel-empty", "method-unknown", "method-other",
    "key-missing", "key-empty", "key-unknown",
    "token-missing", "token-empty", "token-unknown", "token-malformed", "token-scheme", "token-part",
    "token-logged-out", "key-foreign", "token-impersonator", "key-twice", "token-twice",
    "channel-unknown", "channel-slash", "channel-encoded",
    "ref-twice", "ref-odd",
    "body-sent", "accept-odd", "query-sent", "http-legal",
    "unsupported", "unregistered", "unsupported-unsaid",
    "after-accept", "after-decline", "limit-reached", "pending",
    "replay", "new-login", "valid",
)  # fmt: skip
PLAIN: Final = frozenset({"valid", "replay", "new-login"})
CREDENTIALS: Final = frozenset(name for name in NAMING if name.startswith(("key-", "token-")))
# Credentials come before all of these: without good ones, nothing of them may be told.
BEHIND_CREDENTIALS: Final = frozenset(
    {"channel-unknown", "ref-twice", "ref-odd", "unsupported", "unregistered", "unsupported-unsaid",
     "after-accept", "after-decline", "limit-reached", "pending", *PLAIN}
)  # fmt: skip
# A channel that is none leaves no state of the user on it to be told.
BEHIND_CHANNEL: Final = BEHIND_CREDENTIALS - {"channel-unknown", "ref-twice", "ref-odd"}
# What is known of a token's or a person's state may be unsure: then it may be told, and need not.
STATES: Final = ("after-accept", "after-decline", "limit-reached", "pending")


def judged_as(intents: set[str], profile: Profile, unsure: frozenset[str] = frozenset()) -> tuple[str, tuple[str, ...]]:
    """The intent that names a request to which all of `intents` apply, and the outcomes allowed for it.

    What the document puts in no order may be told in any: the outcomes of all are allowed then, and success only
    where each of them allows it. An intent in `unsure` may apply or not, so it forbids nothing.
    """
    sure = _deciding(intents or {"valid"})
    named = next(name for name in NAMING if name in sure)
    outcomes = {name: allowed_for(name, profile) for name in NAMING if name in sure}
    may_succeed = all(any(_success(one) for one in allowed) for allowed in outcomes.values())
    every = [one for allowed in outcomes.values() for one in allowed if may_succeed or not _success(one)]
    every += [one for name in STATES if name in _deciding(intents | unsure) and name in unsure
              for one in allowed_for(name, profile)]  # fmt: skip
    return named, tuple(dict.fromkeys(every))


def _deciding(intents: set[str] | frozenset[str]) -> set[str]:
    """The intents without those that others keep from being looked at."""
    left = set(intents)
    if left & CREDENTIALS:
        left -= BEHIND_CREDENTIALS
    if "channel-unknown" in left:
        left -= BEHIND_CHANNEL
    if left & {"unsupported", "unregistered"}:
        left -= PLAIN
    if left - PLAIN - {"valid"}:
        left -= PLAIN
    return left or {"valid"}


def _success(outcome: str) -> bool:
    return outcome.startswith("2")

"""The command that shows a violation again: one curl for a single exchange, a stage of the harness for the rest."""

import shlex
from typing import Any, Final
from urllib.parse import quote

from harness.case import push_path
from harness.history import History
from harness.profile import Profile
from harness.rules import Rule, Violation
from harness.spec import load_spec

CURL: Final = "curl --silent --show-error --include --max-time 30"
BEARER: Final = '"Authorization: Bearer $TOKEN"'
# What is sent instead of, or besides, a good token; anything else that an intent changes no header of curl's can show.
TOKENS: Final = {
    "token-missing": (),
    "token-empty": ("'Authorization: Bearer '",),
    "token-unknown": ("'Authorization: Bearer unknown-token'",),
    "token-malformed": ('"Authorization: $TOKEN"',),
    "token-scheme": ('"Authorization: Basic $TOKEN"',),
    "token-part": ('"Authorization: Bearer ${TOKEN%?}"',),
    "token-twice": (BEARER, "'Authorization: Bearer unknown-token'"),
}
KEYS: Final = {
    "key-missing": (),
    "key-empty": ("'{};'",),
    "key-unknown": ("'{}: unknown-key'",),
    "key-foreign": ('"{}: $OTHER_API_KEY"',),
    "key-twice": ('"{}: $API_KEY"', "'{}: unknown-key'"),
}
# What these sent does not follow from the columns of a history.
NOT_BY_CURL: Final = ("http-broken", "path-missed", "channel-empty", "accept-odd", "body-sent", "ref-twice", "any")


def reproduce(rule: Rule, history: History, violation: Violation, seed: int, profile: Profile | None = None) -> str:
    """A shell command for a failed rule. Secrets are variables; what differs from run to run is the user's to set.

    `$TOKEN` and `$API_KEY` are those of the user in the witness, `$OTHER_API_KEY` that of another programme, `$PROFILE`
    the file that was given as --profile.
    """
    rows = [history.frame.loc[row] for row in violation.rows]
    if rule.scope == "exchange" and len(rows) == 1 and profile is not None and _by_curl(rows[0]):
        return curl(rows[0], profile.target.base_url)
    return _again(rows, seed)


def curl(row: Any, base_url: str) -> str:
    """One exchange as a curl command, for any POSIX shell."""
    spec = load_spec()
    words = [CURL, "--request", shlex.quote(str(row["method"]))]
    if row["method"] == "HEAD":
        words = [CURL, "--head"]  # --request HEAD would wait for a body
    for header in (*_credentials(row, spec.key_header), *_ref(row["ref"], spec.ref_header)):
        words += ["--header", header]
    # A path is sent as it is recorded: curl would otherwise take out dots.
    url = base_url + push_path(quote(str(row["channel"]), safe="%/:@!$&'()*+,;=~-._?"))
    return " ".join([*words, "--path-as-is", "--globoff", shlex.quote(url)])


def _by_curl(row: Any) -> bool:
    ref = row["ref"]
    breaks = isinstance(ref, str) and any(character in ref for character in "\r\n\0")
    return row["operation"] == "push" and row["intent"] not in NOT_BY_CURL and not breaks


def _credentials(row: Any, key_header: str) -> list[str]:
    token = TOKENS.get(row["intent"], (BEARER,))
    key = KEYS.get(row["intent"], ('"{}: $API_KEY"',))
    return [*token, *(one.format(key_header) for one in key)]


def _ref(ref: Any, name: str) -> list[str]:
    """The header of a reference as one word of the shell; an empty value is written with a semicolon for curl."""
    if not isinstance(ref, str):
        return []
    if not ref:
        return [shlex.quote(f"{name};")]
    if ref.isascii() and ref.isprintable():
        return [shlex.quote(f"{name}: {ref}")]
    # Bytes that a terminal or its encoding could change are spelt out; headers carry Latin-1 (RFC 9110, section 5.5).
    spelt = "".join(f"\\{byte:03o}" for byte in ref.encode("latin-1", "replace"))
    return [f"\"{name}: $(printf '{spelt}')\""]


def _again(rows: list[Any], seed: int) -> str:
    """The stage in which the exchanges were sent, with the same seed; conformance runs one case again."""
    stages = {str(row["stage"]) for row in rows} - {"setup"}
    options = f'--profile "$PROFILE" --seed {seed}'
    if stages == {"load"}:
        scenarios = sorted({str(row["scenario"]) for row in rows if row["operation"] == "push"} - {"control", "probe"})
        return " ".join(["stepup load", options, *(f"--scenario {shlex.quote(name)}" for name in scenarios)])
    if stages == {"conformance"}:
        return f"stepup conformance {options}"
    return f"stepup run {options}"

"""The command that shows a violation again: one curl for a single exchange, a stage of the harness for the rest."""

import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from harness.case import push_path
from harness.history import SCHEMA, History
from harness.profile import Profile
from harness.rules import Rule, Violation
from harness.spec import load_spec

CURL: Final = "curl --silent --show-error --include --max-time 30"
BEARER: Final = '"Authorization: Bearer $TOKEN"'
# What stands for the token and the key where an intent changes them. POSIX sh: ${TOKEN%?} lacks the last character.
TOKENS: Final = {
    "token-missing": (),
    "token-empty": ("'Authorization: Bearer '",),
    "token-unknown": ("'Authorization: Bearer unknown-token'",),
    "token-malformed": ('"Authorization: $TOKEN"',),
    "token-scheme": ('"Authorization: Basic $TOKEN"',),
    "token-part": ('"Authorization: Bearer ${TOKEN%?}"',),
    "token-twice": (BEARER, "'Authorization: Bearer unknown-token'"),
}
OWN_KEY: Final = ('"%s: $API_KEY"',)
KEYS: Final = {
    "key-missing": (),
    "key-empty": ("'%s;'",),
    "key-unknown": ("'%s: unknown-key'",),
    "key-foreign": ('"%s: $OTHER_API_KEY"',),
    "key-twice": (*OWN_KEY, "'%s: unknown-key'"),
}
# What these sent does not follow from the columns of a history.
NOT_BY_CURL: Final = (
    "http-broken", "path-missed", "channel-empty", "channel-encoded", "channel-slash", "accept-odd", "body-sent",
    "ref-twice", "any",
)  # fmt: skip
PASSED_ON: Final = ("--profile", "--fault", "--plan", "--policy", "--resume")
# What pytest takes as one word of `-k`.
K_WORD: Final = re.compile(r"(?!(?:and|or|not)$)[\w:+\-.\[\]\\/]+")


@dataclass(frozen=True)
class Run:
    """How a run was started: its `seed` and the command line as run.json keeps it, empty where that is not known."""

    seed: int = 0
    command: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the target was the embedded service, which ended with its run."""
        return bool(self.command) and "--profile" not in dict(_flags(self.command))

    def options(self, *, plan: bool) -> str:
        """The flags that make another run send the same; `$PROFILE` stands for a profile that is not known."""
        found = _flags(self.command)
        kept = [f"{name} {shlex.quote(value)}" for name, value in found if plan or name != "--plan"]
        return " ".join([*(kept if self.command else ['--profile "$PROFILE"']), f"--seed {self.seed}"])


def reproduce(rule: Rule, history: History, violation: Violation, run: Run, profile: Profile) -> str:
    """A shell command for a failed rule. `$TOKEN` and `$API_KEY` are those of the user in the witness, `$OTHER_API_KEY`
    is that of another programme."""
    frame = history.at(np.array(violation.rows, np.int64), SCHEMA.names)
    rows = [frame.iloc[n] for n in range(len(frame))]
    if rule.scope == "exchange" and len(rows) == 1 and not run.embedded and _by_curl(rows[0]):
        return curl(rows[0], profile.target.base_url)
    return _again(rows, run)


def curl(row: Any, base_url: str) -> str:
    """One exchange as a curl command, for any POSIX shell."""
    spec = load_spec()
    # `--request HEAD` would wait for a body.
    words = [CURL, "--head" if row["method"] == "HEAD" else f"--request {shlex.quote(str(row['method']))}"]
    for header in (*_credentials(row["intent"], spec.key_header), *_ref(row["ref"], spec.ref_header)):
        words += ["--header", header]
    url = base_url + push_path(quote(str(row["channel"]), safe=""))
    # The path goes out as it stands: curl would take out dots and read brackets.
    return " ".join([*words, "--path-as-is --globoff", shlex.quote(url)])


def _by_curl(row: Any) -> bool:
    """Whether the columns tell all of the request, and it was sent by itself: load may have mattered."""
    ref = row["ref"]
    breaks = isinstance(ref, str) and any(character in ref for character in "\r\n\0")
    return row["stage"] != "load" and row["operation"] == "push" and row["intent"] not in NOT_BY_CURL and not breaks


def _credentials(intent: str, key_header: str) -> list[str]:
    return [*TOKENS.get(intent, (BEARER,)), *(one % key_header for one in KEYS.get(intent, OWN_KEY))]


def _ref(ref: Any, name: str) -> list[str]:
    """The header of a reference as one word of the shell; curl takes a semicolon for an empty value."""
    if not isinstance(ref, str):
        return []
    if not ref.strip(" \t"):
        return [shlex.quote(f"{name};")]
    if ref.isascii() and ref.isprintable():
        return [shlex.quote(f"{name}: {ref}")]
    # Bytes that a terminal or its encoding could change are spelt out.
    spelt = "".join(f"\\{byte:03o}" for byte in _bytes(ref))
    return [f"\"{name}: $(printf '{spelt}')\""]


def _bytes(ref: str) -> bytes:
    """Histories keep references as Latin-1 text, which is what header values are (RFC 9110, section 5.5)."""
    try:
        return ref.encode("latin-1")
    except UnicodeEncodeError:
        return ref.encode("utf-8", "surrogatepass")


def _again(rows: list[Any], run: Run) -> str:
    """The stage in which the exchanges were sent, with the same seed."""
    stages = {str(row["stage"]) for row in rows} - {"setup", "earlier"}
    if stages == {"load"}:
        scenarios = sorted({str(row["scenario"]) for row in rows if row["operation"] == "push"})
        chosen = [f"--scenario {shlex.quote(name)}" for name in scenarios]
        return " ".join(["stepup load", run.options(plan=False), *chosen])
    if stages == {"conformance"}:
        return f"stepup conformance {run.options(plan=False)}{_only(rows)}"
    return f"stepup run {run.options(plan=True)}"


def _only(rows: list[Any]) -> str:
    """The choice of the one case that all exchanges are of, where pytest can be told it."""
    cases = {str(row["case"]) for row in rows if row["operation"] == "push" and row["stage"] != "earlier"}
    name = cases.pop() if len(cases) == 1 else ""
    return f" -- -k {shlex.quote(name)}" if K_WORD.fullmatch(name) else ""


def _flags(command: str) -> list[tuple[str, str]]:
    """The flags of a command line that decide what is sent, with their values."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    # What follows `--` is pytest's.
    words = words[: words.index("--")] if "--" in words else words
    joined = [tuple(word.split("=", 1)) for word in words if "=" in word and word.split("=")[0] in PASSED_ON]
    apart = [(name, value) for name, value in pairwise(words) if name in PASSED_ON]
    return [(name, value) for name, value in (*joined, *apart)]

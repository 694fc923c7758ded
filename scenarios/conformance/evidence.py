"""What a failed case shows: what was sent, what came, what would have been right, and two commands that repeat it."""

import re
import shlex
from typing import Final

from harness.profile import Profile
from scenarios.conformance.draft import Draft
from scenarios.conformance.wire import Answer

SHOWN: Final = 300  # characters of a body
PLAIN_ENDS: Final = b"\r\n"


class Evidence:
    """Writes failures down with every secret as a shell variable."""

    def __init__(self, profile: Profile, host: str, prefix: str) -> None:
        self._profile = profile
        self._scheme = profile.target.base_url.partition(":")[0]
        self._host = host
        self._prefix = prefix

    def curl(self, draft: Draft) -> str:
        """One command that sends the request again, and a comment that says what its variables stand for."""
        names = self._names(draft)
        variables = {secret: name for secret, (name, _) in names.items()}
        command = self._plain(draft, variables) if _curl_can(draft) else self._raw(draft, variables)
        return command + self._legend(names)

    def _plain(self, draft: Draft, variables: dict[str, str]) -> str:
        url = f"{self._scheme}://{self._host}{self._prefix}{draft.path}"
        words = ["curl", "-sS", "-i", "--max-time", "10", "--path-as-is", "-g"]
        words += ["--http1.0"] if draft.protocol == "HTTP/1.0" else ["--http1.1"]
        words += ["-I"] if draft.method == "HEAD" else ["-X", draft.method]
        for name, value in draft.headers:
            words += ["-H", f"{name}: {value}" if value.strip() else f"{name};"]
        if draft.body:
            words += ["--data-binary", draft.body.decode("latin-1")]
        words += [] if draft.values("accept") else ["-H", "Accept:"]
        return " ".join(_quoted(word, variables) for word in [*words, url])

    def _raw(self, draft: Draft, variables: dict[str, str]) -> str:
        """What curl would mend goes over a bare connection, byte by byte."""
        data = draft.data(self._host, self._prefix, self._scheme).decode("latin-1")
        # No shell can hold a NUL in a word.
        sent = r" && printf '\0' && ".join(f"printf %s {_quoted(part, variables)}" for part in data.split("\0"))
        tls = f"openssl s_client -quiet -connect {self._authority()}"
        peer = tls if self._scheme == "https" else f"curl -sS --max-time 10 telnet://{self._authority()}"
        return f"{{ {sent}; sleep 2; }} | {peer}"

    def _authority(self) -> str:
        port = {"http": "80", "https": "443"}[self._scheme]
        return self._host if re.search(r":\d+$", self._host) else f"{self._host}:{port}"

    def _names(self, draft: Draft) -> dict[str, tuple[str, str]]:
        """For each secret that stands in the request: its variable, and whose it is."""
        text = "\n".join([draft.path, *(value for _, value in draft.headers)])
        users = sorted(self._profile.pool.users, key=lambda user: user.index != draft.user)
        names: dict[str, tuple[str, str]] = {}
        for kind, name in (("token", "TOKEN"), ("api_key", "API_KEY")):
            found = list(dict.fromkeys(s for user in users if (s := getattr(user, kind)) in text))
            for number, secret in enumerate(found):
                whose = next(user.index for user in users if getattr(user, kind) == secret)
                names[secret] = (name if number == 0 else f"{name}_{number + 1}", f"users[{whose}].{kind}")
        return names

    def _legend(self, names: dict[str, tuple[str, str]]) -> str:
        told = ", ".join(f"${name} = {whose}" for name, whose in names.values())
        return f"   # {told}" if told else ""


def _curl_can(draft: Draft) -> bool:
    """Whether curl sends this as it is; what it would mend is sent as bytes."""
    values = "".join(name + value for name, value in draft.headers)
    usual = draft.hosts is None and not draft.absolute and draft.line_end == PLAIN_ENDS
    usual = (
        usual
        and not draft.half_closed
        and not draft.before
        and not draft.extra
        and draft.method.isalpha()
        and "#" not in draft.path
    )
    framed = not draft.values("transfer-encoding") and draft.values("content-length") in ([], [str(len(draft.body))])
    clean = values.isascii() and values.isprintable() and draft.path.isascii() and draft.path.isprintable()
    return usual and framed and clean and " " not in draft.path and draft.protocol in ("HTTP/1.0", "HTTP/1.1")


def _quoted(word: str, variables: dict[str, str]) -> str:
    """A word for a shell with each secret as its variable; bytes that are not printable are written as $'…'."""
    pattern = "|".join(map(re.escape, sorted(variables, key=len, reverse=True)))
    parts = re.split(f"({pattern})", word) if pattern else [word]
    return "".join(f'"${variables[part]}"' if part in variables else _literal(part) for part in parts if part) or "''"


def _literal(text: str) -> str:
    if text.isascii() and text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(letter) for letter in text) + "'"


def _escaped(letter: str) -> str:
    if letter in "\\'":
        return "\\" + letter
    return letter if letter.isascii() and letter.isprintable() else f"\\x{ord(letter):02x}"


def answered(answer: Answer) -> str:
    """What came, in a line or two."""
    if not answer.status:
        return f"no answer: {answer.error}"
    kind = answer.header("content-type") or "no content type"
    body = answer.body[:SHOWN].decode("utf-8", "replace")
    return f"{answer.status} ({kind}) {''.join(c if c.isprintable() else ' ' for c in body)}".rstrip()

"""Nothing secret in what a run leaves and prints, whatever a target echoes; and a secret that stands there is found."""

import base64
import itertools
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ExitCode
from harness.run_folder import open_run
from tests.cli.test_run import Done, stepup
from tests.support.raw_server import http, raw_server

PLAN = 'connections = 12\n[[stages]]\nscenario = "background"\nduration = "2s"\nrate = 80\n'
FEW = ("conformance", "--", "-k", "test_replay", "-q")  # of all scenarios: each is answered in the same ways
ODD = '!#$%&*+/=?^_`{|}~"\\<'


def secrets() -> list[str]:
    """Tokens and keys with every character that an encoding changes; no two begin alike."""
    rng = random.Random(7)
    return ["".join(rng.choices(f"abcdefghABCDEFGH0123456789{ODD}", k=28)) for _ in range(26)]


SECRETS = secrets()
POOL = [
    {"token": token, "api_key": SECRETS[n % 2], "channels": ["AUTHY", "BIOMETRIC"], "user": f"person {n}"}
    for n, token in enumerate(SECRETS[2:])
]


def forms(secret: str) -> set[str]:
    """A secret as it is, as URL, JSON, HTML and base64 write it, and a part of it that would do to find it."""
    told = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret), secret[:12]}
    plain, url = base64.b64encode(secret.encode()).decode(), base64.urlsafe_b64encode(secret.encode()).decode()
    behind = base64.b64encode(f"Bearer {secret}".encode()).decode()
    return told | {plain[:36], url[:36], behind[10:44]}


def echo() -> Callable[[socket.socket, bytes], None]:
    """Answers each request in another way, in which what the caller presented stands somewhere."""
    number, lock = itertools.count(), threading.Lock()

    def behave(connection: socket.socket, head: bytes) -> None:
        token, key = (_header(head, name) for name in ("authorization", "api-key"))
        with lock:
            kind = next(number)
        answers = list(_answers(token.removeprefix("Bearer "), key))
        connection.sendall(answers[kind % len(answers)])
        if kind % len(answers) == len(answers) - 1:  # it does not say where it ends
            connection.shutdown(socket.SHUT_RDWR)

    return behave


def _header(head: bytes, name: str) -> str:
    found = re.search(rf"^{name}: ?(.*?)\r?$", head.decode("latin-1"), re.IGNORECASE | re.MULTILINE)
    return found[1] if found else "nothing-that-is-secret"


def _answers(token: str, key: str) -> Iterator[bytes]:
    def said(status: str, body: object, *headers: str) -> bytes:
        return http(status, json.dumps(body).encode(), "Content-Type: application/json", *headers)

    encoded = base64.b64encode(token.encode()).decode()
    yield said("200 OK", {"id": token}, f"X-Request-Id: {key}")
    yield said("200 OK", {"id": encoded}, f"Set-Cookie: session={quote(token, safe='')}")
    yield said("200 OK", {"id": token[:14], "again": base64.b64encode(f"Bearer {token}".encode()).decode()})
    yield said("200 OK", {"id": "c-1", "debug": {"authorization": f"Bearer {token}", "url": quote_plus(key)}})
    faults = {"invalidFields": [{"fieldName": key, "error": "REGEX"}]}
    yield said("400 Bad Request", {"message": json.dumps({"no user": token}), "syntaxErrors": faults})
    yield said("401 Unauthorized", {"message": token}, f'WWW-Authenticate: Bearer realm="{token}"')
    yield said("409 Conflict", {"errorCode": key})
    yield said("429 Too Many Requests", {}, f"Retry-After: {token}")
    yield http("200 OK", f"<html>{token}".encode(), f"Content-Type: text/{key}")
    yield http("302 Found", b"", f"Location: http://127.0.0.1/?token={quote(token, safe='')}&key={key}")
    yield said(f"500 {token}", {"code": key, "message": quote(token, safe="")})
    yield http("200 OK", f'{{"id": "c-2"}}{token}'.encode(), f"Content-Type: application/json; {encoded}")
    yield f"HTTP/1.1 {token}\r\n\r\n".encode()


def profile_in(folder: Path, port: int) -> Path:
    (folder / "users.json").write_text(json.dumps(POOL))
    path = folder / "profile.toml"
    path.write_text(f'[target]\nbase_url = "http://127.0.0.1:{port}/multi"\n[credentials]\nusers = "users.json"\n')
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """A part of the conformance scenarios, and a load from two processes with Locust's own reports."""
    folder = tmp_path_factory.mktemp("echo")
    (folder / "plan.toml").write_text(PLAN)
    with raw_server(echo()) as port:
        flags = ("--plain", "--profile", profile_in(folder, port), "--out")
        load = ("load", folder / "plan.toml", "--processes", "2", "--locust-reports", *flags, folder / "load")
        verb, *part = FEW
        return [
            stepup(*load, out=folder / "load"),
            stepup(verb, *flags, folder / "conformance", *part, out=folder / "conformance"),
        ]


def test_what_a_target_echoes_stands_nowhere(runs: list[Done]) -> None:
    wanted = sorted(set().union(*map(forms, SECRETS)))
    for done in runs:
        assert done.code == ExitCode.FAILED, done.printed  # and not that of a leak
        assert open_run(done.out).facts["stages"]
        for name, text in [("what was printed", done.printed), *texts(done.out)]:
            assert [form for form in wanted if form in text] == [], name


def test_the_echo_was_heard(runs: list[Done]) -> None:
    """The test above can fail: what came back is in the history, with stand-ins for secrets."""
    for done in runs:
        found = "\n".join(text for name, text in texts(done.out) if name.startswith("history"))
        assert len(set(re.findall(r"\[secret \d+\]", found))) > 5


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of a run folder as text; of a column file, all its values."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace")
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                columns = [table[name].to_pylist() for name in table.column_names if _text(table.schema.field(name))]
                yield f"{path.relative_to(folder)}: values", "\n".join(str(one) for of in columns for one in of)


def _text(field: Any) -> bool:
    kinds = (pa.types.is_string, pa.types.is_binary, pa.types.is_dictionary, pa.types.is_nested)
    return any(kind(field.type) for kind in kinds)


def test_locusts_own_reports_count_what_was_sent(runs: list[Done]) -> None:
    folder = runs[0].out / "locust"
    assert sorted(path.name for path in folder.iterdir()) == [
        "exceptions.csv", "failures.csv", "report.html", "stats.csv", "stats_history.csv",
    ]  # fmt: skip
    total = (folder / "stats.csv").read_text().splitlines()[-1].split(",")
    workers = json.loads((runs[0].out / "summary.json").read_text())["history"]["workers"]
    assert (total[1], int(total[2])) == ("Aggregated", sum(one["sent"] for one in workers if one["stage"] == "load"))
    assert len((folder / "stats_history.csv").read_text().splitlines()) > 2
    assert "window.templateArgs" in (folder / "report.html").read_text()


def test_what_another_tool_leaves_behind_fails_the_run(tmp_path: Path) -> None:
    out, planted = tmp_path / "run", (SECRETS[3], json.dumps({"a": SECRETS[3]}), SECRETS[3][:12])
    (tmp_path / "plan.toml").write_text(PLAN.replace("2s", "1s"))

    def careless(connection: socket.socket, _: bytes) -> None:
        for number, text in enumerate(planted):
            (out / f"tool-{number}.log").write_text(f"called with {text}")
        connection.sendall(http("400 Bad Request", b"{}", "Content-Type: application/json"))

    with raw_server(careless) as port:
        profile = profile_in(tmp_path, port)
        done = stepup("load", tmp_path / "plan.toml", "--plain", "--profile", profile, "--out", out, out=out)
    assert done.code == ExitCode.INTERNAL
    told = done.printed.splitlines()[-2]
    assert told.startswith("stepup: a secret of the credentials pool stands in ")
    assert [name in told for name in ("tool-0.log", "tool-1.log", "tool-2.log")] == [True] * 3
    assert SECRETS[3][:12] not in done.printed

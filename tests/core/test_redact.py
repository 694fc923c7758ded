"""Secrets are found by value in every encoding they are likely to take."""

import base64
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.leaks import leaking_files
from harness.redact import Redactor

SECRET = 'tok/en+"0123456789=abcdefgh'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        SECRET[:12],
        SECRET[:20],
        quote(SECRET, safe=""),
        json.dumps({"a": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        *(base64.b64encode(f"{before}{SECRET}, and more".encode()).decode() for before in ("a", "ab", "Bearer ")),
        f"Bearer {SECRET}, again {SECRET}",
    ],
)
def test_a_secret_is_found_in_every_form(shown: str) -> None:
    redactor = Redactor([SECRET])
    assert redactor.holds(shown)
    assert not redactor.holds(redactor.clean(shown))


def test_what_is_no_secret_stays() -> None:
    redactor = Redactor([SECRET, "abc"])
    assert redactor.clean("abc tok/en+ 01234") == "abc tok/en+ 01234"
    assert Redactor([]).clean("x") == "x"


def test_a_secret_that_begins_with_another_is_replaced_whole() -> None:
    assert Redactor(["abcdefgh", "abcdefgh-ijk"]).clean("<abcdefgh-ijk>") == "<[secret 1]>"


@pytest.mark.parametrize("before", [0, 2**20 - 30, 2**20 - 1, 2**20, 3 * 2**20 - 9])
def test_a_leak_is_found_wherever_it_stands_in_a_large_file(tmp_path: Path, before: int) -> None:
    redactor = Redactor([SECRET, "another-secret-0123456789"])
    (tmp_path / "large").write_bytes(b"\xff" * before + SECRET.encode() + b"\xff" * 2**20)
    (tmp_path / "clean").write_bytes(b"\xff" * 2**21 + SECRET[:11].encode())
    assert redactor.leaks(tmp_path) == [tmp_path / "large"]


def test_a_leak_is_found_in_any_file_of_a_folder(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.log").write_text(f"x{SECRET}y")
    (tmp_path / "clean.txt").write_text("nothing")
    words = pa.array([SECRET] * 5).dictionary_encode()
    pq.write_table(pa.table({"n": [1] * 5, "w": words}), tmp_path / "b.parquet", compression="zstd")
    pq.write_table(pa.table({"w": ["fine"]}), tmp_path / "c.parquet")
    found = {path.name for path in leaking_files(tmp_path, Redactor([SECRET]))}
    assert found == {"a.log", "b.parquet"}


SECRETS = [f"tok_{n:032x}" for n in range(300)] + ["k1234", "key-" + "z" * 20, 'with"quote\\and more of it']


def test_a_text_holds_a_secret_where_cleaning_would_change_it() -> None:
    rng = random.Random(1)
    redactor = Redactor(SECRETS)
    for _ in range(3000):
        secret = rng.choice(SECRETS)
        part = secret[: rng.randrange(1, len(secret) + 1)]
        text = "".join(rng.choices("abcdef0123_-", k=rng.randrange(40))) + part + "x" * rng.randrange(3)
        assert redactor.holds(text) == (redactor.clean(text) != text), text


@pytest.mark.parametrize("at", range(12))
def test_a_secret_is_found_wherever_it_stands(at: int) -> None:
    assert Redactor(SECRETS).holds("." * at + SECRETS[5] + "." * at)

"""What Schemathesis makes of the document: every boundary it knows (coverage), and random data (fuzzing)."""

import os
from collections.abc import Iterator
from typing import Final

import pytest
import requests

from scenarios.conformance import ENV_SEED
from scenarios.conformance.desk import Desk
from scenarios.conformance.generated import Case, schema_of, send, session_for
from scenarios.conformance.stage import Stage

SEED: Final = int(os.environ.get(ENV_SEED, "1"))
POSITIVE: Final = 80  # the document leaves little to choose: two channels, and any text for a ref
NEGATIVE: Final = 150

COVERAGE = schema_of(SEED, "coverage")
COVERAGE_OF_CREDENTIALS = schema_of(SEED, "coverage", credentials=True)
VALID = schema_of(SEED, "fuzzing", "positive", POSITIVE)
INVALID = schema_of(SEED, "fuzzing", "negative", NEGATIVE)
CREDENTIALS = schema_of(SEED, "fuzzing", "negative", NEGATIVE // 2, credentials=True)


@pytest.fixture(scope="module")
def session(stage: Stage) -> Iterator[requests.Session]:
    with session_for(stage) as one:
        yield one


@COVERAGE.parametrize()
def test_coverage(case: Case, stage: Stage, desk: Desk, session: requests.Session) -> None:
    send(case, stage, session, desk.next())


@COVERAGE_OF_CREDENTIALS.parametrize()
def test_coverage_of_credentials(case: Case, stage: Stage, session: requests.Session) -> None:
    send(case, stage, session, None)


@VALID.parametrize()
def test_valid_data(case: Case, stage: Stage, desk: Desk, session: requests.Session) -> None:
    send(case, stage, session, desk.next())


@INVALID.parametrize()
def test_invalid_data(case: Case, stage: Stage, desk: Desk, session: requests.Session) -> None:
    send(case, stage, session, desk.next())


@CREDENTIALS.parametrize()
def test_invalid_credentials(case: Case, stage: Stage, session: requests.Session) -> None:
    send(case, stage, session, None)

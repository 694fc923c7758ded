"""The matrix is complete by derivation: every value alone, every pair that can be had together where it says so."""

from itertools import combinations

from harness.spec import load_spec
from scenarios.conformance.dimensions import VALUES, Value
from scenarios.conformance.matrix import FULL, Row, double_rows, single_rows

CHANNELS = load_spec().channels
PAIRS = {frozenset(row.values) for row in double_rows(CHANNELS)}


def together(first: Value, second: Value) -> bool:
    return first.paired and second.paired and "plain" in (first.role, second.role)


def test_every_value_stands_alone_on_every_channel() -> None:
    values = [value for values in VALUES.values() for value in values]
    rows = single_rows(CHANNELS)
    assert {(row.values, row.channel) for row in rows} == {
        ((value,), channel) for value in values for channel in CHANNELS
    }
    assert len(rows) == len(values) * len(CHANNELS)


def test_every_pair_of_the_main_dimensions_is_there_once() -> None:
    for one, other in combinations(FULL, 2):
        wanted = {frozenset((a, b)) for a in VALUES[one] for b in VALUES[other] if together(a, b)}
        assert wanted <= PAIRS
    assert len(PAIRS) == len(double_rows(CHANNELS))


def test_every_value_meets_every_other_dimension() -> None:
    met = {(value, other.dimension) for pair in PAIRS for value in pair for other in pair if other is not value}
    for dimension, values in VALUES.items():
        for value in values:
            others = {
                name for name in VALUES if name != dimension and any(together(value, other) for other in VALUES[name])
            }
            assert {name for name in others if (value, name) not in met} == set()


def test_rows_are_named_apart_and_can_be_chosen_by_name() -> None:
    names = [row.id for row in [*single_rows(CHANNELS), *double_rows(CHANNELS)]]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").replace("+", "").isalnum() for name in names)


def test_a_row_asks_for_the_one_user_that_its_values_need() -> None:
    by_id = {value.id: value for values in VALUES.values() for value in values}
    row = Row((by_id["key-missing"], by_id["token-logged-out"]), CHANNELS[0])
    assert (row.id, row.role) == (f"key-missing+token-logged-out+{CHANNELS[0]}", "logged_out")

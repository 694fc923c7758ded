"""Exit codes: each is explained, and one of them is chosen when several apply."""

from harness.errors import MEANING, PRECEDENCE, ExitCode, HarnessError, suggest, worst


def test_every_exit_code_is_explained_and_has_its_place() -> None:
    assert set(MEANING) == set(ExitCode) == set(PRECEDENCE)
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 70, 130]


def test_a_broken_contract_outranks_an_interrupt_and_a_missed_gate() -> None:
    assert worst({ExitCode.PASS, ExitCode.GATE, ExitCode.FAILED, ExitCode.INTERRUPTED}) == ExitCode.FAILED
    assert worst({ExitCode.PASS, ExitCode.GATE}) == ExitCode.GATE
    assert worst({ExitCode.GATE, ExitCode.INCONCLUSIVE}) == ExitCode.INCONCLUSIVE
    assert worst(set()) == ExitCode.PASS


def test_an_error_says_what_and_what_to_do_in_two_lines() -> None:
    assert str(HarnessError("profile x: missing", hint="Name one.")) == "profile x: missing\n  Name one."
    assert str(HarnessError("gone")) == "gone"


def test_a_suggestion_names_the_nearest_and_all_valid_words() -> None:
    assert suggest("alow", ["allow", "reject"]) == "Did you mean 'allow'? Valid: allow, reject."
    assert suggest("zzz", ["allow", "reject"]) == "Valid: allow, reject."

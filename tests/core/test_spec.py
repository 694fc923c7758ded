"""The document is valid by a public opinion, and is read, never repeated."""

from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.errors import HarnessError
from harness.spec import load_spec, spec_path


def test_the_document_is_valid_openapi_31() -> None:
    assert list(OpenAPIV31SpecValidator(load_spec().document).iter_errors()) == []


def test_examples_fit_their_schemas() -> None:
    from jsonschema import Draft202012Validator

    spec = load_spec()
    for status, response in spec.operation["responses"].items():
        for media in response.get("content", {}).values():
            schema = spec.schema(0 if status == "default" else int(status))
            assert schema is not None
            for example in media["examples"].values():
                Draft202012Validator(schema).validate(example["value"])


def test_reads_the_operation_from_the_document() -> None:
    spec = load_spec()
    assert (spec.method, spec.template) == ("POST", "/stepup/challenges/push/{channel}")
    assert spec.statuses == {200, 400, 401, 403, 405, 409, 429, 500, 503}
    assert spec.channels == ("AUTHY", "BIOMETRIC")
    assert (spec.ref_header, spec.key_header) == ("idempotency-ref", "api-key")
    assert spec.conflict_codes == (
        "STATE_INVALID",
        "CHANNEL_NOT_SUPPORTED",
        "CHANNEL_NOT_REGISTERED",
        "CHALLENGE_LIMIT_EXCEEDED",
    )
    assert len(spec.field_errors) == 12
    assert spec.schema(401) is None
    assert spec.schema(418) == spec.schema(405)


def test_no_other_file_repeats_the_enums() -> None:
    """Codes may be named one at a time where a rule is about that one; the list stands in the document alone."""
    root = spec_path().parent
    for path in [*root.glob("harness/rules/**/*.py"), *root.glob("scenarios/**/*.py"), *root.glob("harness/*.py")]:
        text = path.read_text(encoding="utf-8")
        assert not all(code in text for code in load_spec().field_errors), path


@pytest.mark.parametrize("text", ["", "[]", "paths: {}", "paths: [", "a: &a [*a]", "paths:\n  /x:\n    get: {}"])
def test_a_document_that_is_not_the_operations_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(text)
    with pytest.raises(HarnessError, match=r"openapi\.yaml: not the document"):
        load_spec(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("\n        '200':", "\n        '201':", "'200'"),
        ("type: string", "type: strnig", "'strnig' is not valid"),
        ("\npaths:", "\npath:", "'paths'"),
        ("name: idempotency-ref", "name: idempotency-key", "'idempotency-ref'"),
    ],
)
def test_a_document_edited_into_nonsense_is_refused_with_the_place(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    text, path = spec_path().read_text(encoding="utf-8"), tmp_path / "openapi.yaml"
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(HarnessError, match=told):
        load_spec(path)

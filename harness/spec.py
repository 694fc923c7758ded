"""The operation as openapi.yaml documents it: path, statuses, schemas, enums and headers, read once, never repeated."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_BESIDE_PACKAGE = Path(__file__).parent.parent / "openapi.yaml"
_IN_PACKAGE = Path(__file__).parent / "openapi.yaml"  # where the wheel puts it


@dataclass(frozen=True)
class Spec:
    """One operation of the document; `document` is the parsed YAML, references unresolved."""

    document: dict[str, Any]
    path: Path

    @cached_property
    def template(self) -> str:
        """The operation's path template, such as `/stepup/challenges/push/{channel}`."""
        return str(next(iter(self.document["paths"]), "no path is documented"))

    @cached_property
    def operation(self) -> dict[str, Any]:
        item = self.document["paths"][self.template]
        return dict(item[self.method.lower()])

    @cached_property
    def method(self) -> str:
        """The one documented method, upper case."""
        item = self.document["paths"][self.template]
        return next((name for name in METHODS if name in item), "no method is documented").upper()

    @cached_property
    def statuses(self) -> frozenset[int]:
        """The statuses that are listed one by one; `default` is not among them."""
        return frozenset(int(status) for status in self.operation["responses"] if status != "default")

    @cached_property
    def channels(self) -> tuple[str, ...]:
        return tuple(self._parameter("channel")["schema"]["enum"])

    @cached_property
    def ref_header(self) -> str:
        return str(self._parameter("idempotency-ref")["name"])

    @cached_property
    def key_header(self) -> str:
        return str(self.document["components"]["securitySchemes"]["api-key"]["name"])

    @cached_property
    def conflict_codes(self) -> tuple[str, ...]:
        return tuple(self.schema(409)["properties"]["errorCode"]["enum"])  # type: ignore[index]

    @cached_property
    def field_errors(self) -> tuple[str, ...]:
        fields = self.schema(400)["properties"]["syntaxErrors"]["properties"]["invalidFields"]  # type: ignore[index]
        return tuple(fields["items"]["properties"]["error"]["enum"])

    def schema(self, status: int) -> dict[str, Any] | None:
        """The JSON schema of a status' body with all references resolved; None where no body is documented.

        A status that is not listed has the schema of `default`.
        """
        responses = self.operation["responses"]
        content = responses.get(str(status), responses["default"]).get("content")
        return self._resolved(content["application/json"]["schema"]) if content else None

    def pointer(self, *tail: str) -> str:
        """A JSON pointer into the document below this operation, such as `pointer("responses", "409")`."""
        escaped = [part.replace("~", "~0").replace("/", "~1") for part in (self.template, self.method.lower(), *tail)]
        return "openapi.yaml#/paths/" + "/".join(escaped)

    def _parameter(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = [self._resolved(item) for item in self.operation["parameters"]]
        return {item["name"]: item for item in found}[name]

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._resolved(self._at(node["$ref"]))
        return {name: self._resolved(value) for name, value in node.items()}

    def _at(self, reference: str) -> Any:
        node: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node


def _check_schemas(spec: Spec) -> None:
    """KeyError where 200 or `default` is not documented, ValueError where a body's schema is none."""
    from jsonschema import Draft202012Validator, SchemaError

    for status in ("200", "default", *map(str, spec.statuses)):
        _ = spec.operation["responses"][status]
        schema = spec.schema(0 if status == "default" else int(status))
        try:
            Draft202012Validator.check_schema({} if schema is None else schema)
        except SchemaError as error:
            raise ValueError(f"responses/{status}: {error.message[:160]}") from error


def spec_path() -> Path:
    """Where openapi.yaml is: beside the packages in a checkout, inside the package once installed from a wheel."""
    return _BESIDE_PACKAGE if _BESIDE_PACKAGE.is_file() else _IN_PACKAGE


@lru_cache(maxsize=4)
def load_spec(path: Path | None = None) -> Spec:
    """The document at `path`, or the project's own; HarnessError where it is not what the harness needs."""
    import yaml

    where = path or spec_path()
    try:
        document = yaml.safe_load(where.read_text(encoding="utf-8"))
        spec = Spec(document, where)
        _ = (spec.channels, spec.ref_header, spec.key_header, spec.conflict_codes, spec.field_errors)
        _check_schemas(spec)
    except OSError as error:
        raise HarnessError(f"{where}: cannot read the document: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, AttributeError, ValueError) as error:
        raise HarnessError(
            f"{where}: not the document of the operation: {type(error).__name__} at {error}",
            hint="It must be OpenAPI 3.1 with the push operation, its two parameters, credentials and responses.",
        ) from error
    return spec

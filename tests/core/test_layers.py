"""Dependencies point one way, and the heavy libraries stay where they belong; read off the imports themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness.spec import spec_path

ROOT = spec_path().parent
# Each layer may import those before it, never those after it.
LAYERS = ["errors", "spec", "config", "pool", "profile", "case", "history", "rules", "judge"]
ONLY_HERE = {"locust": "scenarios/load", "gevent": "scenarios/load", "schemathesis": "scenarios/conformance"}


def sources() -> list[Path]:
    return [path for part in ("harness", "scenarios", "reports") for path in (ROOT / part).rglob("*.py")]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_imports_a_later_one(name: str) -> None:
    later = {f"harness.{other}" for other in LAYERS[LAYERS.index(name) + 1 :]} | {"scenarios", "reports", "harness.cli"}
    files = [
        path for path in sources() if path == ROOT / f"harness/{name}.py" or (ROOT / f"harness/{name}") in path.parents
    ]
    assert files
    for path in files:
        wrong = {
            module for module in imports(path) if any(module == one or module.startswith(one + ".") for one in later)
        }
        assert not wrong, f"{path} imports {wrong}"


def test_the_embedded_service_shares_nothing_with_what_judges_it() -> None:
    allowed = ("harness.reference", "harness.errors")
    for path in (ROOT / "harness/reference").rglob("*.py"):
        ours = {module for module in imports(path) if module.split(".")[0] in ("harness", "scenarios", "reports")}
        assert {module for module in ours - {"harness"} if not module.startswith(allowed)} == set(), path


def test_rules_and_reports_never_import_the_embedded_service() -> None:
    for part in ("harness/rules", "reports", "scenarios"):
        for path in (ROOT / part).rglob("*.py"):
            assert not any(module.startswith("harness.reference") for module in imports(path)), path


@pytest.mark.parametrize("library", ONLY_HERE)
def test_a_heavy_tool_is_imported_in_one_place_only(library: str) -> None:
    for path in sources():
        if (ROOT / ONLY_HERE[library]) not in path.parents:
            assert not any(module.split(".")[0] == library for module in imports(path)), path


def test_help_loads_nothing_heavy() -> None:
    code = "import sys\nfrom harness import cli\nprint(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"pandas", "numpy", "pyarrow", "rich", "httpx", "yaml", "jsonschema", "locust", "schemathesis", "starlette"}
    assert not heavy & set(ast.literal_eval(done.stdout))

"""Imports point one way through the house, and lark has one door."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Later entries may import earlier ones, not the other way round. docs/architecture.md shows the same list.
ORDER = [
    "resources",
    "data",
    "language",
    "core",
    "limit",
    "numeric",
    "sampling",
    "report",
    "pipeline",
    "kernels",
    "stages",
    "options",
    "api",
    "extras",
    "editor",
    "outputs",
    "cli",
]
FILES = sorted((ROOT / "tpl").rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT / "tpl").with_suffix("").parts
    return parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    if path.parent == ROOT / "tpl" and path.name == "__init__.py":
        return
    own = ORDER.index(module_of(path))
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "tpl" and len(parts) > 1:
            assert ORDER.index(parts[1]) <= own, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_untrusted_text_is_never_executed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "sympify", "parse_expr", "__import__"}
    if path.name != "parse.py":
        assert not any(name.split(".")[0] == "lark" for name in imported(path))


def test_the_list_of_folders_is_the_documented_one():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    places = [text.index(f"| `tpl/{name}") for name in ORDER]
    assert places == sorted(places)

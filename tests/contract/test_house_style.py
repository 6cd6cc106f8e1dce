"""Rules of CONTRIBUTING.md that linters do not check, for every Python file."""

import ast
import functools
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

# Instead of these, a docstring begins with "Return", "Parse", "Raise", "Read" or "Write", or with
# the subject of the sentence.
_VAGUE = {
    *("Believe", "Give", "Name", "Say", "Settle", "Spell", "Take", "Tell"),
    *("Anybody", "Nobody", "Somebody", "Whatever", "Whoever"),
}
# Attributes of the standard library's classes.
_INHERITED = {"close_connection"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def _nodes() -> list[tuple[Path, ast.AST]]:
    """Return every node of every Python file, with the file's path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(name) for name in listed.stdout.split("\0") if name]
    return [
        (path, node)
        for path in paths
        if (ROOT / path).is_file() and not (ROOT / path).is_symlink()
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]


def _classes() -> list[tuple[Path, ast.ClassDef]]:
    return [(path, node) for path, node in _nodes() if isinstance(node, ast.ClassDef)]


def test_each_class_has_a_name_of_its_own() -> None:
    """A search for a class finds one class."""
    places = defaultdict(list)
    for path, node in _classes():
        places[node.name].append(f"{path}:{node.lineno}")

    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_docstrings_begin_with_plain_words() -> None:
    """A docstring has the usual verb for what its function does."""
    documented = (
        (path, ast.get_docstring(node))
        for path, node in _nodes()
        if isinstance(node, ast.Module | ast.ClassDef | _Function)
    )

    assert [
        f"{path}: {docstring}"
        for path, docstring in documented
        if docstring and docstring.split()[0] in _VAGUE
    ] == []


def test_attributes_are_declared_in_init() -> None:
    """A reader sees all of an object's state at the head of its class."""
    assert [
        f"{path}: {node.name}.{name}"
        for path, node in _classes()
        for method in node.body
        if isinstance(method, _Function)
        for name in _assigned(method) - _INHERITED - set(_declared(node))
    ] == []


def _declared(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
        elif isinstance(statement, _Function) and statement.name in {"__init__", "__post_init__"}:
            yield from _assigned(statement)


def _assigned(method: _Function) -> set[str]:
    """Return the attributes of `self` that a method assigns."""
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }

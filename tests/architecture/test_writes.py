"""A full disk names no file by itself, so training writes where that is mended."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import name_of, parse, sources

DURABLE = "training/durable.py"
METHODS = frozenset({"write_bytes", "write_text"})


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every write, but those within `naming(...)`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.With) and any(_called(item.context_expr) == "naming" for item in node.items):
            continue
        if isinstance(node, ast.Call) and (_called(node) in METHODS or _opens(node)):
            yield node.lineno, ast.unparse(node)
        yield from offences(node)


def _called(node: ast.expr) -> str:
    """The last word of what is called; empty for anything else."""
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _opens(call: ast.Call) -> bool:
    modes = [*call.args, *(keyword.value for keyword in call.keywords)]
    said = [one.value for one in modes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return _called(call) == "open" and any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in said)


def test_training_names_what_it_cannot_write() -> None:
    """All of it goes through `training/durable.py`, or says which file it is about."""
    paths = [path for path in sources("training") if name_of(path) != DURABLE]
    found = [f"{name_of(path)}:{line} {text}" for path in paths for line, text in offences(parse(path))]

    assert [] == found


@pytest.mark.parametrize(
    "text",
    ['path.write_bytes(b"x")', 'path.write_text("x")', 'path.open("ab")', 'open(path, mode="w")', 'path.open("r+b")'],
)
def test_offences_are_found(text: str) -> None:
    """The lint finds each form that it forbids."""
    assert [1] == [line for line, _ in offences(ast.parse(text))]


@pytest.mark.parametrize(
    "text",
    ['path.open("rb")', "os.open(path, os.O_RDONLY)", 'with naming(path), path.open("ab") as file: file.write(b"x")'],
)
def test_safe_forms_pass(text: str) -> None:
    """The safe forms aren't mistaken for the others."""
    assert [] == list(offences(ast.parse(text)))

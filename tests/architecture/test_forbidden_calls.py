"""Calls that would run whatever a file says: none of them is anywhere in the packages."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import PACKAGES, name_of, parse, sources

MODULES = frozenset({"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"})
CALLS = frozenset(
    {
        "eval",
        "exec",
        "os.popen",
        "os.system",
        "torch.load",
        "torch.save",
        "yaml.full_load",
        "yaml.load",
        "yaml.unsafe_load",
    }
)


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of everything forbidden."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if _root(alias.name) in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if _root(node.module or "") in MODULES:
                yield node.lineno, node.module or ""
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ((node.lineno, name) for name in names if name in CALLS)
        elif isinstance(node, ast.Call):
            if (name := ast.unparse(node.func)) in CALLS:
                yield node.lineno, name
            yield from ((node.lineno, text) for text in _keywords(node))


def _keywords(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False":
            yield f"{keyword.arg}={ast.unparse(keyword.value)}"


def _root(module: str) -> str:
    return module.partition(".")[0]


def test_packages_are_clean() -> None:
    """Nothing unpickles, evaluates text, loads YAML unsafely or starts a shell."""
    found = [f"{name_of(path)}:{line} {text}" for path in sources(*PACKAGES) for line, text in offences(parse(path))]

    assert [] == found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import joblib.memory",
        "from pickle import loads",
        "from torch import load",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "yaml.load(text)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_offences_are_found(text: str) -> None:
    """The lint finds each form that it forbids."""
    assert [1] == [line for line, _ in offences(ast.parse(text))]


@pytest.mark.parametrize("text", ["np.load(path, allow_pickle=False)", "yaml.safe_load(text)", "model.eval()"])
def test_safe_forms_pass(text: str) -> None:
    """The safe forms aren't mistaken for the others."""
    assert [] == list(offences(ast.parse(text)))

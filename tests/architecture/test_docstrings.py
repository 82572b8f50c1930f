"""The tests' docstrings, read one after the other, are the specification."""

import ast

from tests.architecture.sources import functions, name_of, parse, sources


def test_every_test_says_what_it_promises() -> None:
    """Every test has a docstring that ends as a sentence."""
    silent = [
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in sources("tests")
        for function in functions(parse(path))
        if function.name.startswith("test_") and not (ast.get_docstring(function) or "").rstrip().endswith((".", "?"))
    ]

    assert [] == silent

"""A file over 300 lines or a function over 60 is a sign that a noun is missing."""

from tests.architecture.sources import PACKAGES, functions, name_of, parse, sources

FILE_LINES = 300
FUNCTION_LINES = 60


def test_files_are_short() -> None:
    """No file of the packages has more than 300 lines."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES)}

    assert {} == {name: lines for name, lines in lengths.items() if lines > FILE_LINES}


def test_functions_are_short() -> None:
    """No function of the packages has more than 60 lines, its docstring included."""
    lengths = {
        f"{name_of(path)}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in sources(*PACKAGES)
        for function in functions(parse(path))
    }

    assert {} == {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}

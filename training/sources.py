"""Which sources a step's code consists of, and their digest."""

import ast
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from service.artifact.digest import sha256_bytes, sha256_file


def source_digest(module: ModuleType, code: Sequence[ModuleType] = ()) -> str:
    """The digest of a module's source, or of the sources that a package stands for.

    A package that can be run stands for all its modules; any other for those that `code`, the modules named beside it,
    import, directly or through each other. So another network in the folder of networks doesn't make those stale that
    have nothing to do with it.
    """
    if not _is_package(module):
        return sha256_file(_file(module))
    root = _root(module)
    chosen = _modules(module) if (root / "__main__.py").exists() else _imported(module, [module, *code])
    sources = {str(path.relative_to(root)): sha256_file(path) for path in sorted(chosen.values())}
    return sha256_bytes(json.dumps(sources, sort_keys=True).encode())


def imports(path: Path, package: str = "") -> tuple[str, ...]:
    """The names of all that a source imports, wherever in it; of what is taken from a module, that it may be one.

    `package` is the one that the source is in: what is imported relative to it is found only where that is said.
    """
    return _named(path.read_bytes(), path.name, package)


@cache
def _named(source: bytes, name: str, package: str) -> tuple[str, ...]:
    """The same for what is in a file: every step of a run asks for hundreds again."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            words = package.split(".")
            above = words[: len(words) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found += (module, *(f"{module}.{alias.name}" for alias in node.names))
    return tuple(found)


def _imported(package: ModuleType, code: Sequence[ModuleType]) -> dict[str, Path]:
    """The modules of `package` that `code` imports, by name; of the packages in `code`, those they stand for count."""
    known = {name: path for one in code if _is_package(one) for name, path in _modules(one).items()}
    waiting = [_root(one) / "__init__.py" if _is_package(one) else _file(one) for one in code]
    found = {package.__name__: _root(package) / "__init__.py"}
    seen: set[str] = set()
    while waiting:
        for name in set(imports(waiting.pop())) & set(known) - seen:
            seen.add(name)
            waiting.append(known[name])
    return found | {name: path for name, path in _modules(package).items() if name in seen}


def _modules(package: ModuleType) -> dict[str, Path]:
    """All modules of a package by their name."""
    root = _root(package)
    return {
        ".".join((package.__name__, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


def _root(package: ModuleType) -> Path:
    return Path(next(iter(package.__path__)))


def _file(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__)

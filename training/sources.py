"""Which sources a step's code consists of, and their digest."""

import ast
import json
from collections.abc import Iterator, Sequence
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


def _imported(package: ModuleType, code: Sequence[ModuleType]) -> dict[str, Path]:
    """The modules of `package` that `code` imports, by name; of the packages in `code`, those they stand for count."""
    known = {name: path for one in code if _is_package(one) for name, path in _modules(one).items()}
    waiting = [_root(one) / "__init__.py" if _is_package(one) else _file(one) for one in code]
    found = {package.__name__: _root(package) / "__init__.py"}
    seen: set[str] = set()
    while waiting:
        for name in set(_imports(waiting.pop())) & set(known) - seen:
            seen.add(name)
            waiting.append(known[name])
    return found | {name: path for name, path in _modules(package).items() if name in seen}


def _imports(path: Path) -> Iterator[str]:
    """The names of all that a source imports, wherever in it; of what is taken from a module, that it may be one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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

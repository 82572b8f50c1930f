"""A function of somebody's own, named by its dotted path: where its source lies, and the function itself.

What lies in the current folder comes before what is installed, as for `python -m`. The folder is on the path during the
import and at no other time, so nothing in it can stand for a library that is imported later.
"""

import json
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib import import_module, invalidate_caches, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from service.artifact.digest import sha256_bytes, sha256_file
from service.errors import SettingsError
from training.sources import imports
from training.suggestion import suggestion

LIBRARIES = tuple(sysconfig.get_path(scheme) for scheme in ("stdlib", "purelib", "platlib"))
"""Where Python's own modules and those of the environment lie."""


@dataclass(frozen=True, kw_only=True)
class DottedPath:
    """`package.module:function`. Of `package.module.function`, all but the last word are the module."""

    module: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for what isn't such a path."""
        module, _, name = text.partition(":") if ":" in text else text.rpartition(".")
        if not all(word.isidentifier() for word in (*module.split("."), *name.split("."))):
            raise ValueError(f"{text!r} isn't the path of a function, such as `package.module:function`")
        return cls(module=module, name=name)

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def digest(self) -> str:
        """The digest of the source: of the module, and of all in the same place that it imports, through each other.

        Of a package in the environment it is that of its name and version. Nothing is imported for that. Raises
        SettingsError if there is no such module.
        """
        root, top = self._root(), self.module.partition(".")[0]
        if str(root) in LIBRARIES:
            packages = sorted(metadata.packages_distributions().get(top, ()))
            return sha256_bytes(json.dumps([[one, metadata.version(one)] for one in packages]).encode())
        sources = {name: sha256_file(path) for name, path in _sources(root, self.module).items()}
        return sha256_bytes(json.dumps(sources, sort_keys=True).encode())

    def load(self) -> Callable[..., Any]:
        """The function. Raises SettingsError that says what is missing, or why the module can't be imported."""
        root = self._root()
        with _first(Path.cwd()):
            self._check_not_another(root)
            try:
                module = import_module(self.module)
            except Exception as error:
                raise SettingsError(f"{self.module}: can't be imported ({told(error)})") from error
        try:
            function = reduce(getattr, self.name.split("."), module)
        except AttributeError as error:
            hint = suggestion(self.name, [name for name in vars(module) if not name.startswith("_")])
            raise SettingsError(f"{self.module}: has no `{self.name}`{hint}") from error
        if not callable(function):
            raise SettingsError(f"{self}: is no function, but {type(function).__name__}")
        return function

    def _root(self) -> Path:
        """The folder that holds the module, or the package that it is in. Raises SettingsError if there is none."""
        here, top = Path.cwd(), self.module.partition(".")[0]
        if _source(here, self.module):
            return here
        spec = find_spec(top)
        places = [] if spec is None else spec.submodule_search_locations or [str(spec.origin)]
        for place in places:
            if _source(root := Path(place).parent, self.module):
                return root
        raise SettingsError(
            f"no module `{self.module}`; looked in the current folder ({here}) and among what is installed"
        )

    def _check_not_another(self, root: Path) -> None:
        top = self.module.partition(".")[0]
        file, own = getattr(sys.modules.get(top), "__file__", None), _source(root, top)
        if file is not None and (own is None or not own.samefile(file)):
            text = f"another module `{top}` is in use already ({file})"
            raise SettingsError(f"{self}: {text}; give yours another name")


def told(error: Exception) -> str:
    """An error in somebody's code in one line: what it is, and the last place in that code that led to it."""
    said = f"{type(error).__name__}: {error}"
    frames = [
        one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(("<", *LIBRARIES))
    ]
    if isinstance(error, SyntaxError) or not frames:  # the former says itself where it is
        return said
    return f"{said}, {Path(frames[-1].filename).name} line {frames[-1].lineno}"


def _sources(root: Path, module: str) -> dict[str, Path]:
    """The module, what it imports from the same folder, and the packages that those are in, by their names."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        words = waiting.pop().split(".")
        for count in range(1, len(words) + 1):
            name = ".".join(words[:count])
            path = _source(root, name)
            if path is not None and name not in found:
                found[name] = path
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                try:
                    waiting.extend(imports(path, package))
                except SyntaxError as error:
                    raise SettingsError(f"{name}: can't be imported ({told(error)})") from error
    return found


def _source(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


@contextmanager
def _first(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    invalidate_caches()  # a file may be younger than what is known of its folder
    try:
        yield
    finally:
        sys.path.remove(str(folder))

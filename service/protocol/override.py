"""The parameters of a request to load a model: what is to be served in place of what the repository has."""

import re
from collections.abc import Callable, Mapping

from service.artifact.names import is_version
from service.errors import InvalidRequest, TooLarge
from service.quoting import quoted
from service.repository.checks import CONFIG_NAME
from service.repository.override import Override

FILE = "file:"
MOST_FILES = 64
LONGEST_CONFIG = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def read_override(parameters: Mapping[str, object], content: Callable[[str, object], bytes]) -> Override | None:
    """What they say, None where they say nothing; `content` gets the bytes out of the value of a file's parameter.

    Raises InvalidRequest or TooLarge, naming the parameter.
    """
    config = None
    files: dict[str, bytes] = {}
    for key, value in parameters.items():
        if key == "config":
            if not isinstance(value, str):
                raise InvalidRequest('parameter "config" must be a string that holds JSON')
            if len(value) > LONGEST_CONFIG:
                raise TooLarge(f'parameter "config" has {len(value)} characters, the limit is {LONGEST_CONFIG}')
            config = value
        elif key.startswith(FILE):
            if len(files) == MOST_FILES:
                raise InvalidRequest(f"more than {MOST_FILES} files are sent along")
            path = _path(key)
            files[path] = content(key, value)
            if not files[path]:
                raise InvalidRequest(f"parameter {quoted(key)}: the file is empty")
        else:
            raise InvalidRequest(f"parameter {quoted(key)} isn't known; load takes config and file:<version>/<name>")
    if files and config is None:
        raise InvalidRequest('files are sent along without the parameter "config", which says how to serve them')
    if files and not any("/" in path for path in files):
        raise InvalidRequest('none of the files is in a version: expected "file:<version>/<name>"')
    return None if config is None else Override(config=config, files=files)


def _path(key: str) -> str:
    """Where a file is to lie below the model's folder. Raises InvalidRequest for any other place."""
    path = key.removeprefix(FILE)
    *folder, name = path.split("/")
    fits = _NAME.fullmatch(name) and (
        is_version(folder[0]) if len(folder) == 1 else not folder and not is_version(name)
    )
    if not fits:
        raise InvalidRequest(
            f"parameter {quoted(key)}: expected file:<version>/<name>, or file:<name> for what versions share"
        )
    if path == CONFIG_NAME:
        raise InvalidRequest(f'parameter {quoted(key)}: the configuration goes into the parameter "config"')
    return path

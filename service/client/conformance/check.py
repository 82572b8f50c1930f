"""A check: a sentence of a specification, and the function that asks a server whether it holds."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from service.client.conformance.target import Target


class Level(StrEnum):
    """What a failure means: `required` breaks the protocol, `extension` what the server lists, the rest neither."""

    REQUIRED = "required"
    EXTENSION = "extension"
    RECOMMENDED = "recommended"


class Outcome(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


Ask = Callable[[Target], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """`says` is the sentence, `document` where it stands. With an `extension`, it applies to servers that list that."""

    id: str
    level: Level
    document: str
    says: str
    ask: Ask
    extension: str = ""

    @property
    def group(self) -> str:
        """The id without its last word, such as `http.infer`."""
        return self.id.rpartition(".")[0]

    def is_of(self, word: str) -> bool:
        """True when `word` is the id, or one of the words that the group consists of, or begins with."""
        return word in {self.id, self.group, *self.group.split(".")}


def required(identifier: str, document: str) -> Callable[[Ask], Check]:
    """Make a check of a function, whose docstring is what the specification says."""
    return _maker(identifier, document, Level.REQUIRED)


def recommended(identifier: str, document: str) -> Callable[[Ask], Check]:
    """The same, for what clients rely on although the protocol doesn't demand it."""
    return _maker(identifier, document, Level.RECOMMENDED)


def extension(identifier: str, document: str, name: str) -> Callable[[Ask], Check]:
    """The same, for servers whose metadata lists the extension `name`."""
    return _maker(identifier, document, Level.EXTENSION, name)


def _maker(identifier: str, document: str, level: Level, name: str = "") -> Callable[[Ask], Check]:
    def make(ask: Ask) -> Check:
        says = " ".join(inspect.cleandoc(ask.__doc__ or "").split())
        return Check(id=identifier, level=level, document=document, says=says, ask=ask, extension=name)

    return make

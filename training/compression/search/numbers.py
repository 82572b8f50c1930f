"""How numbers are called: by a method of quantization, and by what of the network stays in float all the same.

`static_mixed3` is what the method `static` makes where the three layers that suffer most stay in float, and
`static_mixed3_reverted` where those do besides that cost more time than they save.
"""

import re
from dataclasses import dataclass, replace
from typing import Self

HALF = "half"
"""16-bit floats: half the size, and as slow as 32 bits or slower."""
AWARE = "qat"
"""Integers that the network was trained for."""
STATIC, DYNAMIC = "static", "dynamic"
"""What the names of all methods begin with whose ranges are learnt from samples, and are those of each batch."""

_SOURCES = re.compile(rf"^({STATIC})_(entropy|percentile)")
_NAME = re.compile(r"(?P<method>.+?)(?:_mixed(?P<kept>\d+))?(?P<reverted>_reverted)?")


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A `method`; so many of the most sensitive layers are `kept` in float, and those that cost are `reverted`."""

    method: str
    kept: int = 0
    reverted: bool = False

    @classmethod
    def of(cls, name: str) -> Self:
        """Those of a name."""
        found = _NAME.fullmatch(name)
        assert found is not None  # any name is at least a method's
        return cls(method=found["method"], kept=int(found["kept"] or 0), reverted=bool(found["reverted"]))

    def __str__(self) -> str:
        """The name."""
        mixed = f"_mixed{self.kept}" if self.kept else ""
        return f"{self.method}{mixed}{'_reverted' if self.reverted else ''}"

    @property
    def graph(self) -> str:
        """What takes the same time is called the same: where ranges come from changes none of its nodes."""
        return str(replace(self, method=_SOURCES.sub(r"\1", self.method)))

    @property
    def integer(self) -> bool:
        """Whether products are computed in integers by ranges, learnt or a batch's own."""
        return self.method.startswith((STATIC, DYNAMIC))

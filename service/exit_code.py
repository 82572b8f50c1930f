"""How `hone-serve` ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script can rely on."""

    OK = 0
    FAILED = 1
    WRONG_SETTING = 2
    """A flag, a variable or a file is wrong; the line on stderr names it."""
    CANNOT_BIND = 3
    GOAL_NOT_MET = 4
    """All went as it should, and what was measured or checked isn't what was asked for."""

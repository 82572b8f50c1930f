"""How a verb ends: its exit code, and the line that says why."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from service.errors import HoneError, SettingsError

FAILED = 1
WRONG_SETTING = 2
GOAL_MISSED = 4
INTERRUPTED = 130

GRACE = 5.0
"""Seconds in which the first process can say what is wrong: torchrun ends all as soon as one of them has ended."""


@contextmanager
def exit_codes(*, shared: bool = False) -> Iterator[None]:
    """Turn errors with a known cause into one line and an exit code; anything else is a bug and keeps its trace.

    Of several processes only what is `shared` may be asked.
    """
    from training.errors import Damaged

    try:
        if processes() > 1 and not shared:
            raise SettingsError("torchrun: only `train` can be shared by processes; start this without torchrun")
        yield
    except Damaged as error:
        raise _end(f"error: {error}; --retrain makes it anew", WRONG_SETTING) from error
    except SettingsError as error:
        raise _end(f"error: {error}", WRONG_SETTING) from error
    except HoneError as error:
        raise _end(f"error: {error}", FAILED) from error
    except OSError as error:
        raise _end(f"error: {error}; once that is mended, the same command goes on where it stopped", FAILED) from error
    except KeyboardInterrupt as error:
        raise _end("interrupted; the same command goes on where it stopped", INTERRUPTED) from error


def processes() -> int:
    """How many processes torchrun has started, known before torch is imported; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def leads() -> bool:
    """Whether this is the one of them that speaks."""
    return processes() == 1 or os.environ["RANK"] == "0"


def _end(text: str, code: int) -> typer.Exit:
    if leads():
        typer.echo(text, err=True)
    else:
        time.sleep(GRACE)
    return typer.Exit(code)

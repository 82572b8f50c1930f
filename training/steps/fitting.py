"""What every step that fits a network keeps: the network, its history, and its learning curves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from torch import nn

from training import checkpoint, curves
from training.diagnosis import diagnose
from training.durable import put
from training.errors import Diverged
from training.fitted import Fitted
from training.optimization.distributed import Ranks
from training.record import LOG, Record
from training.steps.journal import Journal, R

NETWORK = "network.safetensors"
HISTORY = "history.json"
CURVES = "curves.png"
DIVERGED = "diverged.txt"


def keep(folder: Path, network: nn.Module, fitted: Fitted) -> None:
    """Write what became of a fit into the step's `folder`; of several processes, the first one does.

    Raises OSError if it can't be written.
    """
    if Ranks().leads:
        checkpoint.save_network(folder / NETWORK, network)
        put(folder / HISTORY, msgspec.json.format(msgspec.json.encode(fitted, order="sorted"), indent=1))
        curves.save(folder / CURVES, folder.name, fitted)


@contextmanager
def settled(folder: Path) -> Iterator[None]:
    """Have a step that fits be done, too, if the fit diverges: it would again, by the same seed. See `check`."""
    try:
        yield
    except Diverged as error:
        put(folder / DIVERGED, str(error).encode())


def check(journal: Journal[R], step: str) -> None:
    """Raise Diverged if that is what the fit `step` came to."""
    if (path := journal.path(step, DIVERGED)).exists():
        raise Diverged(path.read_text())


def history(journal: Journal[R], step: str) -> Fitted:
    """How the fit `step` went."""
    return msgspec.json.decode(journal.path(step, HISTORY).read_bytes(), type=Fitted)


def seconds(journal: Journal[R], *steps: str) -> float:
    """How long the epochs of these fits took, those before an interruption with them."""
    logs = (journal.path(step, LOG).read_bytes() for step in steps)
    return sum(one.seconds for log in logs for one in msgspec.json.Decoder(Record).decode_lines(log))


def summary(fitted: Fitted, score: str, *, game: bool = False) -> str:
    """A line about a fit: its epochs, its `score`, and what its curves say, which is nothing of a `game`."""
    diagnosis = diagnose(fitted, game=game)
    told = diagnosis.finding if diagnosis.finding == "fine" else f"{diagnosis.finding} ({diagnosis.evidence})"
    return f"{len(fitted.epochs)} epochs, {score}; curves: {told}"

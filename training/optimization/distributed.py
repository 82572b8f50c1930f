"""One fit by several processes, which `torchrun` starts: each takes its share of every batch.

Their gradients are averaged in every step, so all have the same weights, and these are those of one process up to the
order of additions. The first process does what is done once: it validates, writes and prints, and the others hear of
it. Source: S. Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from service.errors import SettingsError
from training.data.batches import Batch
from training.errors import TrainingError
from training.optimization.settings import FitSettings
from training.optimization.weighted_sum import WeightedSum
from training.tasks.task import Game, Judgement, Task, Together

PATIENCE = timedelta(days=1)
"""How long a process waits for the first one, which may be at a long step; if that dies, torchrun ends all at once."""


@contextmanager
def joined() -> Iterator[None]:
    """Within it, the processes that torchrun has started know each other; without torchrun nothing changes.

    Raises TrainingError in the others when the first has ended, which says why itself.
    """
    if not distributed.is_available() or not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    local = int(os.environ["LOCAL_RANK"])
    if local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    distributed.init_process_group(timeout=PATIENCE)
    try:
        yield
    except RuntimeError as error:
        if distributed.get_rank() == 0:
            raise
        raise TrainingError(f"another process has ended ({error})") from error
    finally:
        distributed.destroy_process_group()


class Ranks:
    """The processes that share a fit: which of them this one is, and how many there are. Without torchrun, it alone."""

    def __init__(self) -> None:
        there = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if there else 0
        self.count = distributed.get_world_size() if there else 1
        self.leads = self.rank == 0

    def check(self, task: Task, settings: FitSettings) -> None:
        """Raises SettingsError if a fit of `task` can't be shared."""
        if self.count == 1:
            return
        if isinstance(task, Game):
            raise SettingsError("task: parts that learn in turns are trained by one process; start without torchrun")
        if isinstance(task, Together):
            text = "task: compares all inputs of a batch with each other, so a batch can't be shared"
            raise SettingsError(f"{text}; start without torchrun")
        if settings.batch_size < 2 * self.count:
            text = f"batch_size: {settings.batch_size} is less than two for each of {self.count} processes"
            raise SettingsError(f"{text}; make it larger, or start fewer")
        if settings.device == "cuda" and int(os.environ["LOCAL_WORLD_SIZE"]) > torch.cuda.device_count():
            there = torch.cuda.device_count()
            raise SettingsError(f"device: there are more processes than GPUs; set --nproc-per-node to {there} at most")

    def warning(self, network: nn.Module) -> str | None:
        """What isn't as one process would have it, for people."""
        if self.count == 1 or not any(isinstance(module, _BatchNorm) for module in network.modules()):
            return None
        return (
            f"batch normalisation goes by each process's share of a batch, 1/{self.count} of it; one keeps the first's"
        )

    def parallel(self, network: nn.Module) -> nn.Module:
        """What computes as `network` does, and averages gradients over the processes."""
        return network if self.count == 1 else _Parallel(network)

    def accumulating(self, network: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Within it, gradients of `parallel(network)` are only averaged where a step follows."""
        return network.no_sync() if isinstance(network, _Parallel) and not last else nullcontext()

    def share(self, batch: Batch) -> Batch:
        """This process's share of a batch; with fewer inputs than processes, the first input for the rest."""
        if self.count == 1:
            return batch
        if self._spare(batch):
            return Batch(inputs=batch.inputs[:1], targets=batch.targets[:1])
        inputs, targets = (part.tensor_split(self.count)[self.rank] for part in (batch.inputs, batch.targets))
        return Batch(inputs=inputs, targets=targets)

    def sum(self, judgement: Judgement, batch: Batch) -> tuple[WeightedSum, float]:
        """The losses of a whole `batch`, of which `judgement` is this process's share, and the factor of its loss.

        By it the share's loss becomes the sum of its losses, whose gradient, averaged over the processes, is that of
        the whole sum.
        """
        own = WeightedSum.of(float(judgement.loss.detach()), weight=judgement.weight_of(self.share(batch)))
        if self.count == 1:
            return own, own.divisor
        spare = self._spare(batch)
        sums = torch.tensor([0.0, 0.0] if spare else [own.total, own.weight], dtype=torch.float64)
        distributed.all_reduce(sums)
        total, weight = sums.tolist()
        return WeightedSum(total=total, weight=weight), 0.0 if spare else own.divisor * self.count

    def _spare(self, batch: Batch) -> bool:
        return self.rank >= len(batch.inputs)

    def told(self, find: Callable[[], Any]) -> Any:
        """What the first process finds, plain JSON, in all of them."""
        if self.leads:
            return self.say(find())
        return self.hear()

    def say(self, value: Any) -> Any:
        """Tell the others, who have to `hear`, and hand back what was said."""
        if self.count > 1:
            said = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
            distributed.broadcast(torch.tensor([len(said)]), src=0)
            distributed.broadcast(said, src=0)
        return value

    def hear(self) -> Any:
        """Wait for what the first process says."""
        length = torch.zeros(1, dtype=torch.int64)
        distributed.broadcast(length, src=0)
        said = torch.zeros(int(length), dtype=torch.uint8)
        distributed.broadcast(said, src=0)
        return json.loads(bytes(said.tolist()))


class _Parallel(DistributedDataParallel):
    """What isn't its own is the network's: a task may ask for its config."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)

"""Sequences under any mix of reloads, swaps, unloads, refusals, failures, crashes and cancellations."""

import asyncio
import random
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.device import CPU
from service.engine.exchange import Exchange
from service.errors import Cancelled, HoneError
from tests.engine.doubles import Recorder
from tests.engine.rig import turn
from tests.engine.succession_rig import THOUSAND, SuccessionRig, SumModel, settled


@dataclass(kw_only=True)
class Sent:
    """One step, as its client knows it: `ahead` says that it was sent before all others of its sequence were answered,
    `counts` that it counts on the one before it.
    """

    x: float
    start: bool
    end: bool
    ahead: bool
    counts: bool
    model: SumModel | None = None
    exchange: Exchange | None = None
    receiver: Recorder = field(default_factory=Recorder)

    @property
    def open(self) -> bool:
        return self.exchange is not None and not self.exchange.ended

    @property
    def well(self) -> bool:
        return self.receiver.endings == [None]


class Client:
    """Sends steps of the sequences of one name, ahead or not, and knows what they have to come to."""

    def __init__(self, name: int, version: str | None) -> None:
        self.name = name
        self.version = version
        self.sent: list[Sent] = []

    @property
    def over(self) -> bool:
        """Whether the next step has to begin a sequence: the last one has been sent, and hasn't failed."""
        return any(step.end and (step.open or step.well) for step in self.sent[-1:])

    def send(self, rig: SuccessionRig, chance: random.Random) -> None:
        start, end, bad = self.over or chance.random() < 0.3, chance.random() < 0.15, chance.random() < 0.1
        first = max((place for place, one in enumerate(self.sent) if one.start), default=0)
        ahead, before = any(one.open for one in self.sent[first:]), self.sent[-1] if self.sent else None
        counts = before is not None and not start and (before.open or (before.exchange is None and before.ahead))
        step = Sent(x=chance.randrange(1, 9), start=start, end=end, ahead=ahead, counts=counts)
        try:
            step.model, step.exchange, step.receiver = rig.submit(
                self.name, step.x, version=self.version, start=start, end=end, columns=2 if bad else 1
            )
        except HoneError as error:
            step.receiver.finish(error)
        self.sent.append(step)

    def check(self) -> None:
        """What went well is what an undisturbed sequence of those that went well gives, all by one generation, and
        nobody who was sent ahead was computed without the one before.
        """
        total, whose = 0.0, None
        for before, step in pairwise([None, *self.sent]):
            assert step
            assert 1 == len(step.receiver.endings)
            if step.well:
                assert step.model
                total, whose = (step.x, step.model) if step.start else (total + step.x, whose)
                assert whose is step.model
                assert step.model.number * THOUSAND + total == step.receiver.answers[0].item()
                assert not step.counts or (before and before.well)
            else:
                assert not step.receiver.answers or isinstance(step.receiver.endings[0], Cancelled)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_sequences_are_what_they_would_be_undisturbed(seed: int, slots: int) -> None:
    """Every step ends exactly once; each generation ends too, and gives its tokens back."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(chaos(random.Random(seed), Path(folder), slots))


async def chaos(chance: random.Random, folder: Path, slots: int) -> None:
    rig = SuccessionRig(folder, slots=slots, most=6)
    clients = [*(Client(name, None) for name in (1, 2, 3)), Client(4, "1"), Client(5, "1")]
    await rig.bring(1)
    for _ in range(80):
        act = chance.choice([*["send"] * 8, *["compute"] * 6, "refuse", "die", "cancel", "pause", "swap", "unload"])
        working = [model for model in rig.made if not model.stopped and model.instance.job]
        if act == "send":
            chance.choice(clients).send(rig, chance)
        elif act == "cancel":
            if alive := [step.exchange for client in clients for step in client.sent if step.open and step.exchange]:
                chance.choice(alive).cancel()
                await turn()  # so that who counted on it is told before anybody counts on those
        elif act == "swap":
            await rig.bring(*chance.choice([(1,), (2,), (1, 2)]), reload=chance.random() < 0.5)
        elif act == "unload" and chance.random() < 0.2:
            rig.catalog.unload("m", forget=True)
            await rig.bring(1)
        elif act == "pause" or not working:
            await turn()
        elif act == "compute":
            chance.choice(working).compute()
            await turn()
        elif act == "refuse":
            chance.choice(working).instance.refuse()
            await turn()
        elif act == "die":
            instance = chance.choice(working).instance
            instance.die(blameless=True)
            instance.revive()
    await finish(rig, clients)
    for client in clients:
        client.check()
    for model in rig.made:
        assert model.stopped
        assert 0 == model.metrics.pending() == model.metrics.sequences()
    device = rig.devices.get(CPU)
    assert device.tokens == device._free


async def finish(rig: SuccessionRig, clients: list[Client]) -> None:
    """Compute what is left; who waits for a slot that nobody leaves is cancelled."""
    for _ in range(1000):
        await settled()
        busy = [model for model in rig.made if not model.stopped and model.instance.job]
        for model in busy:
            model.compute()
        if not busy:
            left = [step for client in clients for step in client.sent if step.open]
            if not left:
                break
            assert left[0].exchange
            left[0].exchange.cancel()
    for name in {client.name for client in clients}:
        for model in rig.made:
            if model.sequences:
                model.sequences.close(name)
    await settled()
    await rig.catalog.stop()

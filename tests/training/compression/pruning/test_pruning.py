"""Pruning any network: budgets are met, the rest is as it was, and it is saved and served like any other."""

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tests.training.architectures import ARCHITECTURES
from tests.training.compression.pruning.prunable import (
    DECODER,
    IDS,
    PRUNABLE,
    Ask,
    answers,
    ledger_of,
    lively,
    random_importance,
)
from training import checkpoint, stepwise
from training.compression.pruning.allocation import Ranking, Rules, allocate, suited
from training.compression.pruning.catalogue import resized, units_of
from training.compression.pruning.cost import Cost, counts_of
from training.compression.pruning.importance import group_norm, magnitude, taylor
from training.compression.pruning.narrowing import narrowed, prune
from training.compression.pruning.units import unit_sets
from training.data.batches import Batch
from training.errors import Damaged
from training.export import export
from training.networks.catalogue import build, kind_of
from training.networks.decoder import Decoder
from training.networks.encoder import EncoderConfig
from training.networks.mlp import MLP, MLPConfig
from training.networks.recurrent import Recurrent, RecurrentConfig
from training.tasks.classification import Classification
from training.tasks.next_token import NextToken
from training.tasks.regression import Regression
from training.tasks.task import Better, Judgement, Task

FINE = Rules(multiple=1, narrowest=1)
ENCODER = EncoderConfig(layers=3, width=32, heads=4, dropout=0.0, vocabulary=40, length=12, classes=3)
RANKINGS: tuple[Ranking, ...] = ("global", "layer")
UNCOUNTED = ("lstm", "lstm both ways", "lstm by steps")
"""Torch's own counter doesn't see what these multiply."""

LEDGERS = {config: ledger_of(build(config, seed=1), lambda network: network(IDS[:1])) for config in (ENCODER, DECODER)}
NOTHING = Cost(multiply_adds=1, parameters=1)

each_network = pytest.mark.parametrize("config, ask", PRUNABLE.values(), ids=PRUNABLE)


def part_of(whole: Cost, share: float) -> Cost:
    return Cost(multiply_adds=round(whole.multiply_adds * share), parameters=round(whole.parameters * share))


def fewer_multiplications(whole: Cost, share: float) -> Cost:
    return Cost(multiply_adds=round(whole.multiply_adds * share), parameters=whole.parameters)


@pytest.mark.parametrize("name", [name for name in PRUNABLE if name not in UNCOUNTED])
def test_multiplications_are_those_that_torch_counts(name: str) -> None:
    """The count agrees with torch's own, but for attention, which that doesn't see on a CPU."""
    config, ask = PRUNABLE[name]
    network = build(config, seed=1).eval()
    ledger = ledger_of(network, ask)
    weighted = ledger.cost(counts_of(ledger.units)).multiply_adds - sum(ledger.products.values())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        ask(network)
    pooled = ledger.products.get("", 0) or ledger.products.get("network", 0)
    assert counter.get_total_flops() // 2 - pooled == weighted


@pytest.mark.parametrize("cell,gates", [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_a_recurrent_layer_multiplies_at_every_step(cell: Any, gates: int) -> None:
    """Inputs and state by all gates, in both directions, and once by the head."""
    config = RecurrentConfig(cell=cell, width=5, bidirectional=True, features=2, outputs=3)
    ledger = ledger_of(build(config, 1), lambda network: network(torch.zeros(1, 7, 2)))
    assert 2 * 7 * gates * 5 * (2 + 5) + 10 * 3 == ledger.cost({"width": 5}).multiply_adds


def test_attention_multiplies_every_token_with_every_other() -> None:
    """Scores and sums over tokens are counted beside the weights."""
    ledger = ledger_of(build(DECODER, 1), lambda network: network(IDS[:1]))
    length, wide = IDS.shape[1], DECODER.width
    scores = {f"layers.{index}.attention": 2 * length * length * wide for index in range(DECODER.layers)}
    assert scores == ledger.products


@each_network
@pytest.mark.parametrize("seed", [1, 2])
def test_a_price_is_what_the_smaller_network_costs(config: Any, ask: Ask, seed: int) -> None:
    """Whatever counts are chosen, arithmetic says what is counted while a network of that config answers."""
    random = torch.Generator().manual_seed(seed)
    ledger = ledger_of(build(config, seed=1), ask)
    counts = {
        one.name: int(torch.randint(max(one.least, 1), one.count + 1, (1,), generator=random)) for one in ledger.units
    }
    if len(layers := [one.name for one in ledger.units if one.layer]) > 1:
        counts[layers[seed % len(layers)]] = 0
    whole, found = ledger.cost(counts), ledger_of(build(resized(config, counts), seed=1), ask)
    measured = found.cost(counts_of(found.units))
    assert measured.parameters == whole.parameters
    pooled = sum(ledger.products.get(module, 0) for module in ("", "network"))  # of which units they are isn't known
    assert whole.multiply_adds - pooled <= measured.multiply_adds <= whole.multiply_adds


@each_network
@pytest.mark.parametrize("ranking", RANKINGS)
def test_a_budget_is_met(config: Any, ask: Ask, ranking: Ranking) -> None:
    """The smaller network takes at most what was asked, by either ranking, and is of the same kind."""
    network = lively(config, 1)
    before = copy.deepcopy(network.state_dict())
    ledger = ledger_of(network, ask)
    limit = part_of(ledger.cost(counts_of(ledger.units)), 0.6)
    rules = Rules(multiple=1, narrowest=1, ranking=ranking)
    found = prune(network, random_importance(config, 1), ledger=ledger, limit=limit, rules=rules)
    left = ledger_of(found, ask)
    assert left.cost(counts_of(left.units)).fits(limit)
    assert kind_of(config) == kind_of(found.config)
    assert not found.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert all(torch.isfinite(one).all() for one in answers(found, ask))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    shares=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)),
    multiple=st.sampled_from([4, 8]),
    config=st.sampled_from([ENCODER, DECODER]),
)
def test_what_is_cut_first_stays_cut(
    seed: int, shares: tuple[float, float], multiple: int, config: EncoderConfig
) -> None:
    """A smaller limit leaves nothing larger; widths are whole multiples, heads whole, and one layer is left."""
    ledger = LEDGERS[config]
    whole, importance = ledger.cost(counts_of(ledger.units)), random_importance(config, seed)
    rules = Rules(multiple=multiple, narrowest=multiple)
    small, large = (
        allocate(ledger, importance, limit=fewer_multiplications(whole, share), rules=rules) for share in sorted(shares)
    )
    assert all(small[name] <= large[name] for name in large)
    assert any(small[one.name] for one in ledger.units if one.layer)
    for one in ledger.units:
        if not one.layer and not one.step:
            assert small[one.name] % multiple == 0
            assert small[one.name] >= multiple
    least = allocate(ledger, importance, limit=NOTHING, rules=rules)
    assert ledger.cost(small).fits(fewer_multiplications(whole, min(shares))) or ledger.cost(small) == ledger.cost(
        least
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
def test_each_step_is_the_cheapest_there_is(seed: int, share: float) -> None:
    """Undoing the last step breaks the limit: no more was cut than had to be."""
    ledger = ledger_of(build(MLPConfig(widths=(12, 9, 7), features=5), 1), lambda network: network(torch.zeros(1, 5)))
    limit = part_of(ledger.cost(counts_of(ledger.units)), share)
    importance = random_importance(MLPConfig(widths=(12, 9, 7), features=5), seed)
    counts = allocate(ledger, importance, limit=limit, rules=FINE)
    assert ledger.cost(counts).fits(limit) or counts == dict.fromkeys(counts, 1)
    if counts != counts_of(ledger.units):
        undone = [counts | {one.name: counts[one.name] + 1} for one in ledger.units if counts[one.name] < one.count]
        assert any(not ledger.cost(one).fits(limit) for one in undone)


def test_what_matters_least_goes_first() -> None:
    """A layer, or heads, or a width that matters a million times less is what is cut."""
    ledger = ledger_of(build(ENCODER, 1), lambda network: network(IDS[:1]))
    whole = counts_of(ledger.units)
    for name, changes in (
        ("heads1", {"heads1": 1}),
        ("feed2", {"feed2": 8}),
        ("layer1", {"layer1": 0}),
    ):
        importance = {**random_importance(ENCODER, 1)}
        for one in unit_sets(ledger.units):
            if one.name == name or one.layer == f"layers.{name.removeprefix('layer')}":
                importance[one.name] = torch.full((one.count,), 1e-9)
        rules = Rules(multiple=8, narrowest=8, units=("layer",) if name == "layer1" else ())
        assert whole | changes == allocate(ledger, importance, limit=ledger.cost(whole | changes), rules=rules)


def test_only_what_is_named_goes() -> None:
    """Of the kinds of units that there are; a name that isn't one is refused with those that are."""
    ledger = ledger_of(build(ENCODER, 1), lambda network: network(IDS[:1]))
    importance = random_importance(ENCODER, 1)
    counts = allocate(ledger, importance, limit=NOTHING, rules=Rules(multiple=8, narrowest=8, units=("feed",)))
    whole = counts_of(ledger.units)
    assert {"feed0", "feed1", "feed2"} == {name for name in whole if counts[name] < whole[name]}
    with pytest.raises(ValueError, match=r"^units: head: this network has feed, heads, layer, width$"):
        allocate(ledger, importance, limit=NOTHING, rules=Rules(units=("head",)))


@pytest.mark.parametrize("name", ["mlp", "gru both ways", "encoder that tags", "unet", "gan", "depthwise"])
def test_every_layer_gets_the_same_share(name: str) -> None:
    """To a step, where layers are ranked by themselves."""
    config, ask = PRUNABLE[name]
    ledger = ledger_of(build(config, 1), ask)
    limit = part_of(ledger.cost(counts_of(ledger.units)), 0.5)
    counts = allocate(ledger, {}, limit=limit, rules=Rules(multiple=1, narrowest=1, ranking="layer"))
    shares = [counts[one.name] / one.count for one in ledger.units if not one.layer]
    steps = [1 / one.count for one in ledger.units if not one.layer]
    assert max(shares) - min(shares) <= 2 * max(steps)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in {"lstm that tags", "gru by steps"}])
def test_a_pruned_network_is_saved_and_exported(name: str, tmp_path: Path) -> None:
    """It is built again from its checkpoint, and its ONNX file answers as it does."""
    architecture = ARCHITECTURES[name]
    config, ask = PRUNABLE[name]
    network = lively(config, 2)
    ledger = ledger_of(network, ask)
    limit = part_of(ledger.cost(counts_of(ledger.units)), 0.6)
    found = prune(network, random_importance(config, 2), ledger=ledger, limit=limit, rules=FINE)
    checkpoint.save_network(tmp_path / "network.safetensors", found)
    again = checkpoint.load_network(tmp_path / "network.safetensors", type(network))
    for one, other in zip(answers(found, ask), answers(again, ask), strict=True):
        assert torch.equal(one, other)
    asked = [tensor.numpy() for tensor in _asked(architecture, again)]
    export(architecture.served(again), asked, tmp_path / "model.onnx", architecture.signature)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    told = session.run(None, dict(zip((one.name for one in session.get_inputs()), asked, strict=True)))
    with torch.inference_mode():
        expected = architecture.served(again)(*(torch.from_numpy(one) for one in asked))
    expected = (expected,) if isinstance(expected, torch.Tensor) else expected
    for one, other in zip(expected, told, strict=True):
        assert np.allclose(one.numpy(), other, atol=1e-3, rtol=1e-3)


def _asked(architecture: Any, network: Any) -> tuple[torch.Tensor, ...]:
    """A state has the width that the network has now."""
    if "state" not in architecture.signature.inputs:
        return tuple(architecture.asked)
    return architecture.asked[0], torch.zeros(len(architecture.asked[0]), *network.config.state_shape)


def test_a_pruned_decoder_is_exported_as_it_is_served(tmp_path: Path) -> None:
    """Step by step, its cache smaller; saved and built again, its file answers as it does to whole texts."""
    ledger = LEDGERS[DECODER]
    limit = part_of(ledger.cost(counts_of(ledger.units)), 0.4)
    found = prune(lively(DECODER, 3), random_importance(DECODER, 3), ledger=ledger, limit=limit, rules=FINE)
    checkpoint.save_network(tmp_path / "network.safetensors", found)
    again = checkpoint.load_network(tmp_path / "network.safetensors", Decoder)
    assert again.config.cache_bytes < DECODER.cache_bytes
    texts = np.random.default_rng(3).integers(0, DECODER.vocabulary, (5, DECODER.context))
    assert stepwise.export(again, texts, tmp_path / "model.onnx") < stepwise.PARITY_TOLERANCE


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    """The text names the file, and the kind that is in it."""
    checkpoint.save_network(tmp_path / "network.safetensors", build(MLPConfig(), 1))
    with pytest.raises(Damaged, match=r"network\.safetensors: .*it holds one of kind 'mlp'"):
        checkpoint.load_network(tmp_path / "network.safetensors", Recurrent)


@pytest.mark.parametrize("name", ["mlp", "gru both ways", "encoder", "depthwise", "gan", "decoder"])
@pytest.mark.parametrize("measure", [magnitude, group_norm])
def test_what_is_zero_is_worth_nothing(name: str, measure: Any) -> None:
    """Units whose weights are zeros come last, by either norm; each set's mean is 1, so that sets can be compared."""
    config, _ = PRUNABLE[name]
    network = lively(config, 3)
    first = unit_sets(units_of(config))[0]
    with torch.no_grad():
        for axis in first.axes(dict(network.named_parameters())):
            tensor = network.get_parameter(axis.tensor).movedim(axis.axis, 0)
            tensor[axis.places(torch.tensor([first.count - 1]), first.count)] = 0
    importance = measure(network)
    assert importance[first.name][-1] == 0
    assert importance[first.name].argmin() == first.count - 1
    for one in unit_sets(units_of(config)):
        assert (one.count,) == importance[one.name].shape
        assert importance[one.name].mean() == pytest.approx(1, rel=1e-5)


LESSONS: dict[str, tuple[Task, torch.Tensor]] = {
    "mlp": (Classification(), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])),
    "encoder": (Classification(), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])),
    "gru": (Regression(), torch.linspace(-1, 1, 32).view(8, 4)),
    "lstm both ways": (Regression(), torch.linspace(-1, 1, 32).view(8, 4)),
    "decoder": (NextToken(), IDS),
}


@pytest.mark.parametrize("name", LESSONS)
def test_the_slope_is_that_of_the_loss(name: str) -> None:
    """Making all that reads a unit a little larger changes the loss as its importance says, which is the square."""
    config, _ = PRUNABLE[name]
    network = lively(config, 4)
    task, targets = LESSONS[name]
    inputs = IDS if name == "decoder" else ARCHITECTURES[name].inputs
    batch = Batch(inputs=inputs, targets=targets)
    importance = taylor(network, task, [batch])
    one = next(one for one in unit_sets(units_of(config)) if not one.norms)
    unit = int(importance[one.name].argmax())
    losses = []
    for opening in (0.98, 1.02):
        opened = copy.deepcopy(network)
        with torch.no_grad():
            for axis in one.read:
                tensor = opened.get_parameter(axis.tensor).movedim(axis.axis, 0)
                tensor[axis.places(torch.tensor([unit]), one.count)] *= opening
        with torch.inference_mode():
            losses.append(float(task(opened, batch).loss))
    slope = (losses[1] - losses[0]) / 0.04
    # A loss in 32 bits says a small slope to some 1e-5.
    assert abs(slope) == pytest.approx(math.sqrt(importance[one.name][unit]), rel=0.025, abs=1e-5)


@dataclass(frozen=True)
class Lesson:
    """A loss as a task."""

    loss: Any
    better: Better = field(default_factory=lambda: {"loss": "smaller"})

    def __call__(self, network: Any, batch: Batch) -> Judgement:
        """As the architecture judges its own batch."""
        return Judgement(loss=self.loss(network, batch.inputs), metrics={})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_set_has_something_that_matters(name: str) -> None:
    """By the loss of each kind of network: finite, never below zero, and the same when asked again."""
    architecture = ARCHITECTURES[name]
    network = lively(architecture.config, 6)
    batch = Batch(inputs=architecture.inputs, targets=architecture.inputs)
    importance, again = (taylor(network, Lesson(architecture.loss), [batch]) for _ in range(2))
    for one in unit_sets(units_of(architecture.config)):
        values = importance[one.name]
        assert torch.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() > 0
        assert torch.equal(values, again[one.name])


@pytest.mark.parametrize(
    "config,multiples",
    [
        (MLPConfig(widths=(64, 32)), [16, 8, 1]),
        (MLPConfig(widths=(64, 24)), [8, 1]),
        (MLPConfig(widths=(8,)), [1]),
        (MLPConfig(widths=()), [16, 8, 1]),
        (ENCODER, [16, 8, 1]),
    ],
)
def test_smaller_networks_are_cut_in_finer_steps(config: Any, multiples: list[int]) -> None:
    """So that even the narrowest width can be halved; heads and layers, which are whole, don't count."""
    assert multiples == suited(units_of(config))


@pytest.mark.parametrize("wrong", [{"multiple": 0}, {"multiple": 8, "narrowest": 12}, {"narrowest": 8}])
def test_rules_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    """Steps of nothing, and a narrowest width that isn't one of the steps."""
    with pytest.raises(ValueError, match=r"^multiple, narrowest: at least 1, and narrowest a multiple"):
        Rules(**wrong)


def test_pruning_keeps_what_was_learnt() -> None:
    """Of a network half of whose units do nothing, half goes by either measure, and it answers as before."""
    config = MLPConfig(widths=(16, 16), features=4, outputs=3)
    network = lively(config, 5)
    dead = torch.arange(0, 16, 2)
    with torch.no_grad():
        for name in ("hidden.0", "hidden.4"):
            network.get_parameter(f"{name}.weight")[dead] = 0
            network.get_parameter(f"{name}.bias")[dead] = 0
    rows = torch.randn(16, 4, generator=torch.Generator().manual_seed(5))
    batch = Batch(inputs=rows, targets=torch.arange(16) % 3)
    for importance in (magnitude(network), taylor(network, Classification(), [batch])):
        found = narrowed(network, importance, {"hidden0": 8, "hidden1": 8})
        assert isinstance(found, MLP)
        assert (8, 8) == found.config.widths
        with torch.inference_mode():
            assert torch.allclose(network(rows), found(rows), atol=1e-5)

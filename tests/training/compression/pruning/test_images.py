"""Pruning: the channels that matter least are gone, the tensors are smaller, and the cost is what was asked."""

import copy
import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.compression.pruning.prunable import random_importance, smaller, without
from tests.training.shapes import CONFIGS, lively, pixels
from training import checkpoint
from training.compression.pruning.allocation import STEP, Rules, allocate, most_important
from training.compression.pruning.catalogue import resized, units_of
from training.compression.pruning.cost import Cost, Ledger, counts_of, measure
from training.compression.pruning.importance import Importance, estimate
from training.compression.pruning.narrowing import prune
from training.compression.pruning.settings import PruneSettings
from training.compression.pruning.units import norm_axes, unit_sets
from training.data.batches import Batch
from training.data.split import Dataset
from training.export import Probabilities, export
from training.networks.resnet import ResNet, ResNetConfig, multiply_adds, parameters
from training.optimization.settings import FitSettings
from training.tasks.classification import Classification

SIDE = 8
WIDTHS = Rules(units=("stage", "inner"))
SEEDS = st.integers(0, 1000)
OPENING = 0.01
KEEP = st.floats(0.01, 1.0)
WIDE = ResNetConfig(widths=(32, 48), blocks=2, mean=0.3, deviation=0.4)


def widths_of(config: ResNetConfig) -> dict[str, int]:
    return {group.name: group.count for group in unit_sets(units_of(config))}


@cache
def ledger_of(config: ResNetConfig, side: int = SIDE) -> Ledger:
    image = pixels(1, config.channels, count=1, side=side)
    return measure(ResNet(config), units_of(config), lambda network: network(image))


def cost(config: ResNetConfig, side: int = SIDE) -> Cost:
    return Cost(multiply_adds=multiply_adds(config, side), parameters=parameters(config))


def narrow(config: ResNetConfig, importance: Importance, *, limit: Cost, narrowest: int = STEP) -> ResNetConfig:
    counts = allocate(ledger_of(config), importance, limit=limit, rules=replace(WIDTHS, narrowest=narrowest))
    return resized(config, counts)


def taylor(network: ResNet, seed: int, count: int = 2) -> Importance:
    shown = batches(network.config, seed, count)
    return estimate(network, "taylor", task=Classification(), batches=lambda: shown)


def pruned(network: ResNet, importance: Importance, *, limit: Cost, side: int = SIDE) -> ResNet:
    found = prune(network, importance, ledger=ledger_of(network.config, side), limit=limit, rules=WIDTHS)
    assert isinstance(found, ResNet)
    return found


def part_of(whole: Cost, share: float, parameters: float = 1.0) -> Cost:
    return Cost(
        multiply_adds=max(1, round(whole.multiply_adds * share)),
        parameters=max(1, round(whole.parameters * parameters)),
    )


def narrowest(config: ResNetConfig, least: int = STEP) -> ResNetConfig:
    return resized(config, {name: min(least, width) for name, width in widths_of(config).items()})


def batches(config: ResNetConfig, seed: int, count: int = 2) -> list[Batch]:
    labels = np.random.default_rng(seed).integers(0, config.classes, (count, 6))
    shown = range(seed, seed + count)
    return [
        Batch(inputs=pixels(one, config.channels, count=6), targets=torch.from_numpy(labels[index]))
        for index, one in enumerate(shown)
    ]


@given(config=CONFIGS, seed=SEEDS, keep=st.tuples(KEEP, KEEP), least=st.sampled_from([16, 32]))
def test_the_cost_is_at_most_what_was_asked(
    config: ResNetConfig, seed: int, keep: tuple[float, float], least: int
) -> None:
    """Widths are multiples of 16, none grows or gets too narrow, and both limits hold wherever they can."""
    limit = part_of(cost(config), *keep)
    found = narrow(config, random_importance(config, seed), limit=limit, narrowest=least)
    before = widths_of(config)
    for name, width in widths_of(found).items():
        assert 0 == width % STEP
        assert min(least, before[name]) <= width <= before[name]
    floor, left = cost(narrowest(config, least)), cost(found)
    assert left.multiply_adds <= max(limit.multiply_adds, floor.multiply_adds)
    assert left.parameters <= max(limit.parameters, floor.parameters)


@given(config=CONFIGS, seed=SEEDS, keep=st.tuples(KEEP, KEEP))
def test_less_is_never_wider(config: ResNetConfig, seed: int, keep: tuple[float, float]) -> None:
    """A smaller limit leaves every group as narrow or narrower."""
    whole, importance = cost(config), random_importance(config, seed)
    small, large = (widths_of(narrow(config, importance, limit=part_of(whole, share))) for share in sorted(keep))
    assert all(small[name] <= large[name] for name in large)


@given(config=CONFIGS, seed=SEEDS)
def test_a_network_within_the_limit_stays_as_it_is(config: ResNetConfig, seed: int) -> None:
    """Nothing is cut without need."""
    limit = cost(config)
    assert config == narrow(config, random_importance(config, seed), limit=limit)


@given(config=CONFIGS)
def test_the_cost_is_that_of_the_network(config: ResNetConfig) -> None:
    """The weights that a config is said to cost are those of the network that is built from it."""
    weights = sum(parameter.numel() for parameter in ResNet(config).parameters())
    assert Cost(multiply_adds=multiply_adds(config, SIDE), parameters=weights) == cost(config)


def test_it_cuts_where_least_is_lost_for_each_multiplication_saved() -> None:
    """A group whose channels matter a million times less is the first to be narrowed, and to the end."""
    for name in ("inner1", "inner3", "stage1"):
        importance = {**random_importance(WIDE, 1), name: torch.full((widths_of(WIDE)[name],), 1e-9)}
        limit = cost(resized(WIDE, {name: STEP}))
        assert {**widths_of(WIDE), name: STEP} == widths_of(narrow(WIDE, importance, limit=limit))


@settings(max_examples=25)
@given(config=CONFIGS, seed=SEEDS, keep=st.floats(0.05, 0.7))
def test_tensors_get_smaller_and_nothing_is_masked(config: ResNetConfig, seed: int, keep: float) -> None:
    """Shapes are those of a network built narrower, the weights those that were kept, and no channel is zeros."""
    network, importance = lively(config, seed), random_importance(config, seed)
    before = copy.deepcopy(network.state_dict())
    limit = part_of(cost(config), keep)
    narrower = pruned(network, importance, limit=limit)

    expected = narrow(config, importance, limit=limit)
    weights = narrower.state_dict()
    assert expected == narrower.config
    assert not narrower.training
    assert {name: tensor.shape for name, tensor in ResNet(expected).state_dict().items()} == {
        name: tensor.shape for name, tensor in weights.items()
    }
    for group in unit_sets(units_of(expected)):
        kept = most_important(importance[group.name], group.count)
        gate = f"{group.norms[0]}.running_mean"
        assert torch.equal(before[gate][kept], weights[gate])
        for name, axis in ((one.tensor, one.axis) for one in group.axes(weights)):
            others = [other for other in range(weights[name].dim()) if other != axis]
            assert (weights[name].abs().sum(dim=others) > 0).all() if others else (weights[name] != 0).all()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert config == network.config


@settings(max_examples=10)
@given(config=CONFIGS, seed=SEEDS)
def test_parameters_and_checkpoint_shrink_with_the_network(
    config: ResNetConfig, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fewer channels are fewer parameters and a smaller file, in the same proportion."""
    folder = tmp_path_factory.mktemp("sizes")
    network = lively(config, seed)
    narrower = pruned(network, random_importance(config, seed), limit=Cost(multiply_adds=1, parameters=1))
    assert widths_of(narrowest(config)) == widths_of(narrower.config)
    saved = 0
    for name, one in (("whole", network), ("narrow", narrower)):
        checkpoint.save_network(folder / name, one)
        saved = sum(tensor.nbytes for tensor in one.state_dict().values()) - saved
    assert (folder / "narrow").stat().st_size - (folder / "whole").stat().st_size == pytest.approx(saved, abs=1500)
    assert widths_of(checkpoint.load_network(folder / "narrow", ResNet).config) == widths_of(narrower.config)


def test_the_exported_file_shrinks(dataset: Dataset, tmp_path: Path) -> None:
    """A network of a quarter of the multiplications makes an ONNX file of less than half the bytes."""
    network = lively(ResNetConfig(widths=(48, 64)), 1)
    limit = part_of(cost(network.config, 16), 0.25)
    narrower = pruned(network, random_importance(network.config, 1), limit=limit, side=16)
    sizes = []
    for name, one in (("whole", network), ("narrow", narrower)):
        export(Probabilities(one), [dataset.validation.inputs], tmp_path / name)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]


@settings(max_examples=15)
@given(config=CONFIGS, seed=SEEDS, data=st.data())
def test_channels_that_contribute_nothing_go_first(config: ResNetConfig, seed: int, data: st.DataObject) -> None:
    """Channels whose gates are closed come last in every group, so that cutting just them changes no answer."""
    network = lively(config, seed)
    dead: dict[str, torch.Tensor] = {}
    for group in unit_sets(units_of(config)):
        count = data.draw(st.sampled_from(range(0, group.count, STEP)))
        order = torch.randperm(group.count, generator=torch.Generator().manual_seed(seed))
        dead[group.name] = order[:count]
        for gate in group.norms:
            norm = network.get_submodule(gate)
            assert isinstance(norm, torch.nn.BatchNorm2d)
            with torch.no_grad():
                norm.weight[order[:count]] = 0
                norm.bias[order[:count]] = 0
    importance = taylor(network, seed)
    for group in unit_sets(units_of(config)):
        last = set(torch.argsort(importance[group.name], stable=True)[: len(dead[group.name])].tolist())
        worthless = set(torch.nonzero(importance[group.name] == 0).flatten().tolist())
        assert set(dead[group.name].tolist()) <= last | worthless

    alive = resized(config, {name: width - len(dead.get(name, ())) for name, width in widths_of(config).items()})
    narrower = pruned(network, importance, limit=cost(alive))
    images = pixels(seed, config.channels)
    if widths_of(alive) == widths_of(narrower.config):
        with torch.inference_mode():
            assert torch.allclose(network(images), narrower(images), atol=1e-5, rtol=1e-5)


@settings(max_examples=25)
@given(config=CONFIGS, seed=SEEDS)
def test_estimating_leaves_the_network_alone(config: ResNetConfig, seed: int) -> None:
    """Weights, running statistics and gradients stay, and the estimate is repeatable, finite and not negative."""
    network = lively(config, seed)
    before = copy.deepcopy(network.state_dict())
    importance = taylor(network, seed)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
    again = taylor(network, seed)
    assert widths_of(config) == {name: len(values) for name, values in importance.items()}
    for name, values in importance.items():
        assert torch.equal(values, again[name])
        assert torch.isfinite(values).all()
        assert (values >= 0).all()


def test_the_estimate_is_the_derivative_by_the_gate() -> None:
    """Closing a channel's gate a little changes the loss as the estimate says: its root is the slope at the gate."""
    network = lively(ResNetConfig(widths=(16,), channels=1), 3)
    (batch,) = batches(network.config, 3, count=1)
    importance = taylor(network, 3, count=1)
    norm = network.get_submodule("stages.0.first.1")
    assert isinstance(norm, torch.nn.BatchNorm2d)

    def loss() -> float:
        with torch.inference_mode():
            return float(Classification()(network, batch).loss)

    for channel in range(16):
        losses = []
        for opening in (1 - OPENING, (1 + OPENING) / (1 - OPENING)):
            with torch.no_grad():
                norm.weight[channel] *= opening
                norm.bias[channel] *= opening
            losses.append(loss())
        with torch.no_grad():
            norm.weight[channel] /= 1 + OPENING
            norm.bias[channel] /= 1 + OPENING
        slope = (losses[1] - losses[0]) / (2 * OPENING)
        assert slope**2 == pytest.approx(float(importance["inner0"][channel]), rel=0.05, abs=1e-7)


@settings(max_examples=25)
@given(config=CONFIGS, seed=SEEDS, data=st.data())
def test_a_cut_network_computes_what_the_whole_one_does_with_the_gates_closed(
    config: ResNetConfig, seed: int, data: st.DataObject
) -> None:
    """Whichever channels are cut, of whichever groups: logits are those of the network with them at zero."""
    network = lively(config, seed)
    kept = {
        group.name: torch.tensor(
            sorted(data.draw(st.sets(st.integers(0, group.count - 1), min_size=1, max_size=group.count)))
        )
        for group in unit_sets(units_of(config))
    }
    closed = without(network, kept, lambda group: tuple(axis for norm in group.norms for axis in norm_axes(norm)[:2]))
    images = pixels(seed, config.channels)
    with torch.inference_mode():
        assert torch.allclose(closed(images), smaller(network, kept)(images), atol=1e-5, rtol=1e-5)


@given(config=CONFIGS, side=st.sampled_from([8, 9, 15, 16]))
def test_multiplications_are_those_that_happen(config: ResNetConfig, side: int) -> None:
    """The formula agrees with what is counted while an image passes, also where a side halves unevenly."""
    assert cost(config, side) == ledger_of(config, side).cost(counts_of(units_of(config)))


@pytest.mark.parametrize(
    "wrong,text",
    [
        ({"widths": (16, 16), "inner": (16,)}, "inner: is empty, or has one width"),
        ({"widths": (16,), "blocks": 2, "inner": (16,)}, "inner"),
        ({"widths": (16,), "inner": (0,)}, "inner"),
        ({"widths": ()}, "widths, blocks"),
        ({"widths": (16, 16), "depths": (2,)}, "depths: is empty, or has one number"),
        ({"widths": (16, 16), "depths": (2, 0)}, "depths"),
        ({"blocks": 0}, "widths, blocks"),
        ({"deviation": 0.0}, "deviation"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(wrong: dict[str, object], text: str) -> None:
    """A config says what it lacks before a network is built of it."""
    with pytest.raises(ValueError, match=text):
        ResNetConfig(**wrong)  # type: ignore[arg-type]


@given(keep=st.floats(0.01, 0.99), rounds=st.integers(1, 20))
def test_rounds_approach_the_goal_in_equal_ratios(keep: float, rounds: int) -> None:
    """Every round leaves the same share of what the one before it left, and the last one what was asked."""
    settings = PruneSettings(keep=keep, keep_parameters=keep**0.5, rounds=rounds, fit=FitSettings(epochs=1))
    whole = Cost(multiply_adds=10**12, parameters=10**12)
    limits = [whole, *(settings.limit(whole, number) for number in range(rounds))]
    assert (keep, keep**0.5) == pytest.approx(
        (limits[-1].multiply_adds / whole.multiply_adds, limits[-1].parameters / whole.parameters)
    )
    ratios = [after.multiply_adds / before.multiply_adds for before, after in itertools.pairwise(limits)]
    assert ratios == pytest.approx([ratios[0]] * rounds)


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"rounds": 0}, {"samples": 0}, {"narrowest": 24}, {"narrowest": 0}])
def test_settings_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    """A share that leaves nothing, no round, no image, or a width beside the lanes is refused."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PruneSettings(**{"keep": 0.5, "rounds": 1, "fit": FitSettings(epochs=1), **wrong})  # type: ignore[arg-type]

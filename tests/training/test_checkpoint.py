"""Checkpoints: what a network is rebuilt from, and how a file that isn't one is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training import checkpoint
from training.errors import Damaged
from training.networks import catalogue
from training.networks.resnet import ResNet, ResNetConfig, build

TINY = ResNetConfig(widths=(8, 16))


def same(first: ResNet, second: ResNet) -> bool:
    others = second.state_dict()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(widths=(8,)),
        ResNetConfig(widths=(8, 16, 8), blocks=2),
        ResNetConfig(widths=(16, 16), channels=3, classes=4),
        ResNetConfig(widths=(16, 32), blocks=2, inner=(16, 8, 4, 32)),
    ],
)
def test_a_network_is_rebuilt_from_its_checkpoint(config: ResNetConfig, tmp_path: Path) -> None:
    """A file holds config and weights: what is loaded from it is the same network in evaluation mode."""
    network = build(config, seed=2).eval()
    checkpoint.save_network(tmp_path / "n.safetensors", network)
    loaded = checkpoint.load_network(tmp_path / "n.safetensors", ResNet)
    images = torch.randint(0, 256, (3, config.channels, 16, 16), dtype=torch.uint8)
    assert loaded.config == config
    assert torch.equal(loaded(images), network(images))
    assert loaded(images).shape == (3, config.classes)


def test_building_leaves_chance_alone() -> None:
    """Building twice from a seed gives the same weights, and doesn't touch the global random state."""
    before = torch.random.get_rng_state()
    assert same(build(TINY, seed=1), build(TINY, seed=1))
    assert not same(build(TINY, seed=1), build(TINY, seed=2))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("content", [b"", b"\x80\x04not a pickle either", b"\xff" * 64])
def test_a_broken_checkpoint_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What isn't a safetensors file with our facts in it is refused, naming folder and file."""
    (tmp_path / "n.safetensors").write_bytes(content)
    with pytest.raises(Damaged, match=rf"^{tmp_path.name}/n\.safetensors: "):
        checkpoint.load_network(tmp_path / "n.safetensors", ResNet)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    """Weights that don't fit the config are named as such."""
    facts = {"kind": "resnet", "config": {"widths": [8]}}
    checkpoint.write(tmp_path / "n.safetensors", {"x": torch.zeros(1)}, facts)
    with pytest.raises(Damaged, match="network of this kind"):
        checkpoint.load_network(tmp_path / "n.safetensors", ResNet)


@pytest.mark.parametrize(
    "facts, text",
    [
        ({"config": {}}, "kind"),
        ({"kind": "resnet", "config": {"widths": []}}, "widths"),
        ({"kind": "os", "config": {}}, "no network of kind 'os'; there are "),
        ({"kind": "decoder", "config": {"layers": 1, "width": 8, "heads": 1, "cache_heads": 1}}, "kind 'decoder'"),
    ],
)
def test_what_a_checkpoint_lacks_or_holds_instead_is_said(facts: dict[str, Any], text: str, tmp_path: Path) -> None:
    """No kind, a config without a meaning, a kind that there isn't, or the wrong one."""
    path = tmp_path / "n.safetensors"
    weights: dict[str, torch.Tensor] = {}
    if facts.get("kind") == "decoder":
        weights = catalogue.build(catalogue.config_of("decoder", facts["config"]), seed=1).state_dict()
    checkpoint.write(path, weights, facts)
    with pytest.raises(Damaged, match=f"doesn't hold a network of this kind.*{text}"):
        checkpoint.load_network(path, ResNet)


def test_a_network_that_is_not_in_the_catalogue_is_not_written(tmp_path: Path) -> None:
    """What couldn't be built again isn't kept as if it could."""

    class Foreign(torch.nn.Module):
        config = object()

    with pytest.raises(
        ValueError, match=r"object: is the config of no network in the catalogue; there are .*decoder, "
    ):
        checkpoint.save_network(tmp_path / "n.safetensors", Foreign())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", sorted(catalogue.KINDS))
def test_every_kind_is_built_from_its_config(kind: str) -> None:
    """A kind's defaults make a config that is known as one of that kind, and a network that keeps it."""
    config = catalogue.config_of(kind, {"function": "torch.nn:Identity"} if kind == "custom" else {})
    assert kind == catalogue.kind_of(config)
    assert config == catalogue.build(config, seed=1).config


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """Nothing to read is damage like any other."""
    with pytest.raises(Damaged, match=r"/n\.safetensors: isn't a checkpoint"):
        checkpoint.read(tmp_path / "n.safetensors")


@settings(max_examples=20)
@given(cut=st.floats(0, 0.999))
def test_no_part_of_a_checkpoint_passes_for_the_whole(cut: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever a file was cut off, it is refused."""
    path = tmp_path_factory.mktemp("cut") / "n.safetensors"
    checkpoint.save_network(path, build(TINY, seed=1))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(Damaged):
        checkpoint.load_network(path, ResNet)


def test_a_checkpoint_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Writing leaves the file and nothing beside it; whoever has the old one open still reads the old."""
    path = tmp_path / "n.safetensors"
    checkpoint.save_network(path, build(TINY, seed=1))
    before = path.read_bytes()
    with path.open("rb") as old:
        checkpoint.save_network(path, build(TINY, seed=2))
        assert before == old.read()
    assert before != path.read_bytes()
    assert ["n.safetensors"] == [one.name for one in tmp_path.iterdir()]

"""Masks: as many zeros as was asked, where weights are smallest; a smaller zip, and shapes and speed as before."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.training.architectures import ARCHITECTURES
from tests.training.compression.pruning.prunable import lively
from training.compression.pruning.masks import apply, masked, masks_of
from training.export import IMAGES, Probabilities, export
from training.networks.catalogue import build
from training.networks.mlp import MLPConfig
from training.networks.resnet import ResNetConfig

LEVELS = (0.3, 0.9)


@settings(max_examples=20)
@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 100))
def test_the_smallest_weights_go(share: float, seed: int) -> None:
    """Of all matrices together exactly that share, and none that stays is smaller than one that goes."""
    network = build(MLPConfig(widths=(24, 8), features=6), seed)
    masks = masks_of(network, "unstructured", share)
    weights = {name: tensor.detach() for name, tensor in network.named_parameters()}
    assert {"hidden.0.weight", "hidden.4.weight", "head.weight"} == set(masks)
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    gone = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    assert len(gone) == round(share * (len(gone) + len(kept)))
    if len(gone) and len(kept):
        assert gone.max() <= kept.min()


@pytest.mark.parametrize("name", ["resnet that embeds", "encoder", "gru", "unet"])
def test_two_of_every_four_stay(name: str) -> None:
    """Along the inputs of each output, the two larger ones; where inputs don't come in fours, all stay."""
    network = lively(ARCHITECTURES[name].config, 1)
    masks = masks_of(network, "2:4")
    apply(network, masks)
    assert masks
    for tensor, mask in masks.items():
        assert (mask.reshape(-1, 4).sum(1) == 2).all()
        assert (network.get_parameter(tensor).reshape(-1, 4) != 0).sum(1).max() == 2
    for tensor, weights in network.named_parameters():
        if tensor not in masks:
            assert weights.dim() < 2 or weights[0].numel() % 4


def test_what_is_applied_stays_applied() -> None:
    """Weights that stay are as they were, and applying again changes nothing."""
    network = lively(MLPConfig(widths=(8,), features=4), 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    masks = masks_of(network, "unstructured", 0.5)
    for _ in range(2):
        apply(network, masks)
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name] * masks[name] if name in masks else before[name])


@pytest.mark.parametrize("name", ["resnet that embeds", "lstm", "encoder"])
def test_zeros_stay_while_the_network_learns(name: str) -> None:
    """Whatever the loss asks for, and with weight decay: what stays learns, what doesn't is zero."""
    architecture = ARCHITECTURES[name]
    network = lively(architecture.config, 4)
    masks = masks_of(network, "unstructured", 0.5)
    apply(network, masks)
    before = {tensor: network.get_parameter(tensor).detach().clone() for tensor in masks}
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        architecture.loss(network, architecture.inputs).backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
    for tensor, mask in masks.items():
        after = network.get_parameter(tensor).detach()
        assert not after[~mask].any()
        assert not torch.equal(before[tensor], after)


def test_a_masked_file_compresses_better_and_is_as_large(tmp_path: Path) -> None:
    """The more zeros, the smaller its zip; the file itself and what it computes keep their size, and it says so."""
    found = []
    for share in LEVELS:
        network = lively(ResNetConfig(widths=(32, 32)), 3)
        apply(network, masks_of(network, "unstructured", share))
        path = tmp_path / f"{share}.onnx"
        export(Probabilities(network), [_images()], path, IMAGES)
        found.append(masked(path, network, "unstructured"))
    assert found[0].size == pytest.approx(found[1].size, rel=0.01)
    assert found[1].compressed < 0.4 * found[0].compressed
    assert list(LEVELS) == pytest.approx([one.zeros for one in found], abs=0.02)
    assert all("zeros at full price" in one.told for one in found)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"pattern": "2:4", "share": 0.9}])
def test_a_share_without_a_meaning_is_refused(wrong: dict[str, Any]) -> None:
    """Nothing, everything, or another share than a half of four."""
    with pytest.raises(ValueError, match=r"^share: must lie between 0 and 1"):
        masks_of(nn.Linear(4, 4), **{"pattern": "unstructured", **wrong})


def _images() -> Any:
    return ARCHITECTURES["depthwise"].inputs.numpy()

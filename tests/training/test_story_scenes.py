"""Stories of a detector and of a segmenting network on scenes of digits, by the command line and the real service."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from service.artifact.config import read_config
from service.errors import SettingsError
from training.__main__ import app
from training.data import scenes
from training.data.material import Material
from training.metrics import detection, segmentation
from training.network_recipe import NetworkRecipe
from training.problems.detection import Detection
from training.problems.segmentation import Segmentation
from training.recipe import load_any
from training.session import Tensors, open_model

DETECTOR, SEGMENTER = "scenes-boxes", "scenes-masks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def publish(folder: Path, family: str) -> dict[str, Any]:
    """What publishing the tiny profile prints as JSON."""
    words = ["publish", family, "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    told = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert 0 == told.exit_code, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


@pytest.fixture(scope="module")
def detector(folder: Path) -> dict[str, Any]:
    return publish(folder, DETECTOR)


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> dict[str, Any]:
    return publish(folder, SEGMENTER)


def material_of(family: str) -> Material:
    """The scenes of the tiny profile."""
    recipe = load_any(family, "tiny")
    assert isinstance(recipe, NetworkRecipe)
    return scenes.material(recipe.data, recipe.seed)


def answers_of(folder: Path, family: str, material: Material) -> Tensors:
    """What the published file says of the test part."""
    return open_model(folder / "models" / family / "1" / "model.onnx")({"image": material.dataset.test.inputs})


def picture_of(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_boxes_are_as_good_as_the_report_says(folder: Path, detector: dict[str, Any]) -> None:
    """Figures are those of the published file's boxes; the components stand beside them, and the goal is met."""
    material = material_of(DETECTOR)
    test = material.dataset.test
    boxes = answers_of(folder, DETECTOR, material)["boxes"]
    found = detection.measure(boxes, test.targets, test.sources, material.dataset.classes)
    figures = detector["judged"]["scores"]["figures"]
    assert figures["map50"]["value"] == pytest.approx(found.at_50.mean.value, abs=1e-3)
    assert figures["map"]["value"] == pytest.approx(found.at_50_95.mean.value, abs=1e-3)
    rival = detector["judged"]["baselines"]["connected components"]["figures"]
    assert rival["map50"]["value"] > 0.6
    assert detector["goal"].startswith(f"goal met: map50 {figures['map50']['value']:.4g}")


def test_masks_are_as_good_as_the_report_says(folder: Path, segmenter: dict[str, Any]) -> None:
    """Figures are those of the published file's masks; where all is background, accuracy is its share and mIoU low."""
    material = material_of(SEGMENTER)
    test = material.dataset.test
    masks = answers_of(folder, SEGMENTER, material)["mask"].astype(np.int64)
    found = segmentation.measure(masks, test.targets, test.sources, material.dataset.classes)
    figures = segmenter["judged"]["scores"]["figures"]
    assert figures["miou"]["value"] == pytest.approx(found.iou.mean.value, abs=1e-3)
    assert figures["accuracy"]["value"] == pytest.approx(found.accuracy.value, abs=1e-3)
    rivals = segmenter["judged"]["baselines"]
    share = (test.targets == 0).mean()
    assert rivals["majority class"]["figures"]["accuracy"]["value"] == pytest.approx(share)
    assert rivals["majority class"]["figures"]["miou"]["value"] == pytest.approx(share / 11, abs=1e-3)
    assert rivals["linear discriminant"]["figures"]["miou"]["value"] > share / 11
    assert "linear discriminant" in segmenter["goal"]


def test_configs_describe_the_files(folder: Path, detector: dict[str, Any], segmenter: dict[str, Any]) -> None:
    """A picture in bytes, sixteen boxes or a mask in bytes; requests are batched."""
    assert detector["published"]
    assert segmenter["published"]
    for family, name, datatype, shape in (
        (DETECTOR, "boxes", "FP32", (16, 6)),
        (SEGMENTER, "mask", "UINT8", (32, 32)),
    ):
        config = read_config(folder / "models" / family / "config.pbtxt", name=family)
        (taken,), (given,) = config.inputs, config.outputs
        assert ("image", "UINT8", (1, 32, 32)) == (taken.name, taken.datatype, taken.shape[-3:])
        assert (name, datatype, shape) == (given.name, given.datatype, given.shape[-len(shape) :])
        assert 32 == config.max_batch_size


def test_examples_of_boxes_are_the_furthest_off(detector: dict[str, Any]) -> None:
    """The worst comes first, told in words, and drawn on the picture four times as large."""
    examples = detector["judged"]["examples"]
    errors = [one["error"] for one in examples]
    assert sorted(errors, reverse=True) == errors
    assert errors[0] > 0
    targets = material_of(DETECTOR).dataset.test.targets
    for one in examples:
        there = targets[one["place"]]
        assert ", ".join(str(int(kind)) for kind in there[there[:, 0] >= 0, 0]) == one["wanted"]
        assert {"wanted": (128, 128), "found": (128, 128)} == {
            name: picture_of(address).size for name, address in one["pictures"].items()
        }


def test_examples_of_masks_are_the_furthest_off(folder: Path, segmenter: dict[str, Any]) -> None:
    """The worst comes first; its mask has the pixels that were wanted, and its answer those of the file."""
    examples = segmenter["judged"]["examples"]
    errors = [one["error"] for one in examples]
    assert sorted(errors, reverse=True) == errors
    material = material_of(SEGMENTER)
    worst = examples[0]
    wanted = np.asarray(picture_of(worst["pictures"]["wanted"]))
    assert np.array_equal(material.dataset.test.targets[worst["place"]], wanted)
    found = np.asarray(picture_of(worst["pictures"]["found"]))
    assert (answers_of(folder, SEGMENTER, material)["mask"][worst["place"]] == found).mean() > 0.99


def test_each_problem_asks_for_its_targets() -> None:
    """Boxes for a detector, masks for pixels, and no more classes than a byte tells apart."""
    boxes, masks = material_of(DETECTOR), material_of(SEGMENTER)
    with pytest.raises(
        SettingsError, match=r"int64 \[160, 32, 32\], so they are masks; this one needs boxes float32 \[N, M, 5\]"
    ):
        Detection().decided(masks)
    with pytest.raises(
        SettingsError, match=r"float32 \[200, 2, 5\], so they are boxes; this one needs masks int64 \[N, H, W\]"
    ):
        Segmentation().decided(boxes)
    with pytest.raises(SettingsError, match="made of one of kind `detector`"):
        Detection().forms(nn.Identity(), boxes)
    many = replace(masks.dataset, classes=tuple(map(str, range(257))))
    with pytest.raises(SettingsError, match="257 classes don't fit into bytes; 256 do"):
        Segmentation().decided(replace(masks, dataset=many))

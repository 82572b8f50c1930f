"""The exported decoder: its signature, its parity, and what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from service.errors import ArtifactError
from training import stepwise
from training.data.tokens import Ids
from training.metrics.language import nats
from training.networks.decoder import Decoder, DecoderConfig, build
from training.session import Floats, open_stepper
from training.stepwise import check_parity, continued, empty, export, replay

CONFIG = DecoderConfig(layers=2, width=32, heads=4, cache_heads=2, context=40, vocabulary=60)


@pytest.fixture(scope="module")
def network() -> Decoder:
    found = build(CONFIG, seed=5).eval()
    with torch.no_grad():
        for weights in found.parameters():
            weights.mul_(4)
    return found


@pytest.fixture(scope="module")
def texts() -> Ids:
    return np.random.default_rng(5).integers(0, CONFIG.vocabulary, (5, CONFIG.context))


@pytest.fixture(scope="module")
def model(network: Decoder, texts: Ids, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stepwise") / "model.onnx"
    assert export(network, texts, path) < 1e-4
    return path


def test_the_file_has_the_signature_that_a_server_feeds(model: Path) -> None:
    """Names, datatypes and shapes of what goes in and out; rows and tokens may be any number."""
    graph = onnx.load(model).graph
    found = {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    cache = ("FLOAT", ["batch", *CONFIG.cache_shape])
    assert found == {
        "input_ids": ("INT64", ["batch", "tokens"]),
        "past": cache,
        "position": ("INT64", ["batch", 1]),
        "logits": ("FLOAT", ["batch", "tokens", CONFIG.vocabulary]),
        "past_out": cache,
        "position_out": ("INT64", ["batch", 1]),
    }
    assert ["input_ids", "past", "position"] == [one.name for one in graph.input]


@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize("length", [1, 4, CONFIG.context])
def test_the_file_goes_on_as_the_network(model: Path, network: Decoder, texts: Ids, rows: int, length: int) -> None:
    """Step by step, in batches of rows at different places, logits are those of whole texts in torch."""
    with torch.inference_mode():
        expected = network(torch.from_numpy(texts)).numpy()
    starts = [0] * rows if length == CONFIG.context else [5 * row for row in range(rows)]
    steps = 0
    for at, logits in replay(open_stepper(model), texts[:rows], CONFIG, starts=starts, length=length):
        steps += 1
        for row, place in enumerate(at):
            assert np.allclose(expected[row, place : place + length], logits[row], atol=1e-4)
    assert steps == (CONFIG.context - max(starts)) // length


def test_positions_are_counted_on(model: Path) -> None:
    """What comes back is what went in and the tokens between; the cache is filled there and nowhere else."""
    past, position = empty(CONFIG, 2)
    position[1] = 7
    _, cache, after = open_stepper(model)(np.ones((2, 3), np.int64), past, position)
    assert [[3], [10]] == after.tolist()
    filled = np.abs(cache).sum(axis=(1, 2, 3, 5)) > 0
    assert [[0, 1, 2], [7, 8, 9]] == [np.flatnonzero(row).tolist() for row in filled]


def test_a_file_that_differs_is_refused(model: Path, texts: Ids) -> None:
    """Another network's file isn't taken for this one's."""
    with pytest.raises(ArtifactError, match=r"model\.onnx: differs from the trained network by .* in a logit"):
        check_parity(build(CONFIG, seed=6).eval(), texts, model)


def test_a_difference_in_one_place_is_found(
    model: Path, network: Decoder, texts: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that forgets its last entry is right for a first step and found out by the second."""

    def forgetful(path: Path) -> object:
        step = open_stepper(path)

        def spoilt(ids: Ids, past: Floats, position: Ids) -> tuple[Floats, Floats, Ids]:
            logits, cache, after = step(ids, past, position)
            cache[np.arange(len(ids)), :, :, :, after[:, 0] - 1] = 0
            return logits, cache, after

        return spoilt

    monkeypatch.setattr(stepwise, "open_stepper", forgetful)
    with pytest.raises(ArtifactError, match="differs from the trained network"):
        check_parity(network, texts, model)


def test_an_export_is_repeatable(network: Decoder, texts: Ids, model: Path, tmp_path: Path) -> None:
    """The same weights give the same bytes, which name nothing of this machine."""
    export(network, texts, tmp_path / "again.onnx")
    assert model.read_bytes() == (tmp_path / "again.onnx").read_bytes()
    assert b"/training/" not in model.read_bytes()


def test_a_long_text_is_read_in_windows(model: Path, network: Decoder) -> None:
    """Every token but the first costs something once, foretold from half a context at least."""
    ids = np.random.default_rng(9).integers(0, CONFIG.vocabulary, 101)
    half, expected = CONFIG.context // 2, 0.0
    for at in range(1, len(ids)):
        begin = 0 if at <= CONFIG.context else (at - CONFIG.context - 1) // half * half + half
        with torch.inference_mode():
            logits = network(torch.from_numpy(ids[None, begin:at]))[0, -1]
        expected -= float(torch.log_softmax(logits, dim=0)[ids[at]])
    assert np.isclose(expected, nats(open_stepper(model), ids, CONFIG), rtol=1e-4)


def test_the_most_probable_continuation(model: Path, network: Decoder) -> None:
    """Token by token the one with the largest logit of the whole text so far; as many as asked, or as fit, or till the
    end of the text.
    """
    prompt = np.array([3, 1, 4], np.int64)
    step, seen = open_stepper(model), list[int]()
    found = continued(step, prompt, CONFIG, count=8, end=-1, watch=seen.append)
    expected = prompt.tolist()
    for _ in range(8):
        with torch.inference_mode():
            expected.append(int(network(torch.tensor([expected]))[0, -1].argmax()))
    assert expected[3:] == found == seen
    assert found[: found.index(found[2])] == continued(step, prompt, CONFIG, count=8, end=found[2])
    assert CONFIG.context - 3 == len(continued(step, prompt, CONFIG, count=10**6, end=-1))

"""Recurrent networks: what they see, that steps are the whole, and that their cells stay what a runtime knows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from service.errors import ArtifactError
from training.export import BATCH, LENGTH, Signature, check_parity, export
from training.networks.catalogue import build
from training.networks.recurrent import CELLS, Cell, Recurrent, RecurrentConfig, Steps
from training.session import open_runner
from training.tracing import trace_calls

SERIES = RecurrentConfig(width=8, layers=2, features=2, outputs=3, each=True)
TEXT = RecurrentConfig(width=8, vocabulary=30, outputs=3)
IDS = torch.from_numpy(np.random.default_rng(3).integers(1, 30, (4, 9)))
WINDOWS = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 9, 2)).astype(np.float32))

each_cell = pytest.mark.parametrize("cell", CELLS)


def made(config: RecurrentConfig, cell: Cell) -> Recurrent:
    network = build(replace(config, cell=cell), seed=1).eval()
    assert isinstance(network, Recurrent)
    return network


def begin(network: Recurrent, rows: int) -> torch.Tensor:
    return torch.zeros(rows, *network.config.state_shape)


@each_cell
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("each", [False, True])
def test_padding_changes_no_answer(cell: Cell, bidirectional: bool, each: bool) -> None:
    """A text alone answers as it does padded, in a batch with longer ones, from whichever end it is read."""
    network = made(replace(TEXT, bidirectional=bidirectional, each=each, layers=2), cell)
    lengths = (9, 1, 4, 6)
    padded = torch.stack([torch.where(torch.arange(9) < n, row, 0) for n, row in zip(lengths, IDS, strict=True)])
    with torch.inference_mode():
        together = network(padded)
        for row, length in enumerate(lengths):
            alone = network(IDS[row : row + 1, :length])[0]
            found = together[row, :length] if each else together[row]
            assert torch.allclose(alone, found, atol=1e-6)


@each_cell
def test_an_empty_text_has_an_answer(cell: Cell) -> None:
    """All padding, as a client may send it: a number, and the batch-mates' as ever."""
    network = made(replace(TEXT, bidirectional=True), cell)
    ids = IDS.clone()
    ids[1] = 0
    with torch.inference_mode():
        expected, found = network(IDS), network(ids)
    assert torch.isfinite(found).all()
    assert torch.allclose(expected[[0, 2, 3]], found[[0, 2, 3]], atol=1e-6)


@each_cell
def test_what_comes_later_is_seen_only_by_who_reads_both_ways(cell: Cell) -> None:
    """Read forwards, answers depend on what was before; read both ways, also on what follows."""
    other = WINDOWS.clone()
    other[:, 6:] += 1
    with torch.inference_mode():
        first, second = (made(SERIES, cell)(windows) for windows in (WINDOWS, other))
        assert torch.allclose(first[:, :6], second[:, :6])
        assert not torch.allclose(first[:, 6:], second[:, 6:])
        first, second = (made(replace(SERIES, bidirectional=True), cell)(windows) for windows in (WINDOWS, other))
        assert not torch.allclose(first[:, :6], second[:, :6])


@each_cell
@pytest.mark.parametrize("lengths", [[1] * 9, [4, 5], [2, 1, 6]])
def test_a_series_in_steps_is_the_series(cell: Cell, lengths: list[int]) -> None:
    """With the state fed back, answers at each step are those of the whole window, in pieces of any length."""
    network = made(SERIES, cell)
    state, found = begin(network, len(WINDOWS)), []
    with torch.inference_mode():
        for piece in WINDOWS.split(lengths, dim=1):  # type: ignore[no-untyped-call] # torch leaves it untyped
            values, state = network.step(piece, state)
            found.append(values)
        assert torch.allclose(network(WINDOWS), torch.cat(found, dim=1), atol=1e-6)


@each_cell
def test_the_last_step_is_the_window_s_answer(cell: Cell) -> None:
    """A network that answers once a window says the same at the last step of it, of numbers and of texts."""
    for config, inputs in ((replace(SERIES, each=False), WINDOWS), (TEXT, IDS)):
        network = made(config, cell)
        with torch.inference_mode():
            values, _ = network.step(inputs, begin(network, len(inputs)))
            assert torch.allclose(network(inputs), values[:, -1], atol=1e-6)


@each_cell
def test_mixed_precision_computes_cells_in_full_on_a_cpu(cell: Cell) -> None:
    """No CPU need have cells for bfloat16; the answers are those of full precision, but for the head's."""
    network = made(SERIES, cell)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(WINDOWS)
    with torch.inference_mode():
        assert torch.allclose(network(WINDOWS), found.float(), atol=0.02)


def test_who_reads_both_ways_has_no_steps() -> None:
    """The end of a sequence isn't known while it comes in: refused, with the reason."""
    network = made(replace(SERIES, bidirectional=True), "lstm")
    with pytest.raises(ValueError, match=r"^bidirectional: a network that reads both ways needs the whole sequence"):
        network.step(WINDOWS, begin(network, 4))


@each_cell
def test_a_reversible_network_goes_along_with_its_window(cell: Cell, tmp_path: Path) -> None:
    """Moved and stretched, a window is answered moved and stretched, even where it is constant."""
    config = RecurrentConfig(width=8, outputs=3, reversible=True, mean=(5.0,), deviation=(2.0,))
    network, windows = made(config, cell), WINDOWS[..., :1]
    with torch.inference_mode():
        assert torch.allclose(network(windows) * 10 + 300, network(windows * 10 + 300), atol=1e-2)
        assert torch.allclose(network(torch.full((1, 9, 1), 70.0)), torch.tensor(70.0), atol=0.1)
    signature = Signature(inputs={"window": LENGTH}, outputs={"values": BATCH})
    export(network, [windows.numpy()], tmp_path / "model.onnx", signature)
    assert cell.upper() in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    with pytest.raises(
        ValueError, match=r"^reversible: a network of that kind needs the whole sequence, not steps of it"
    ):
        network.step(windows, begin(network, 4))


@each_cell
def test_a_residual_network_goes_on_from_the_last_value(cell: Cell, tmp_path: Path) -> None:
    """While its head says nothing it answers what is now, of the first feature; it has steps, and becomes a file."""
    config = replace(SERIES, residual=True, each=False, target_mean=(5.0,) * 3, target_deviation=(2.0,) * 3)
    network = made(config, cell)
    with torch.inference_mode():
        values, _ = network.step(WINDOWS, begin(network, 4))
        assert torch.allclose(network(WINDOWS), values[:, -1], atol=1e-6)
    export(
        network, [WINDOWS.numpy()], tmp_path / "model.onnx", Signature(inputs={"window": LENGTH}, outputs={"v": BATCH})
    )
    for form in (config, replace(config, reversible=True)):
        unlearnt = made(form, cell)
        torch.nn.init.zeros_(unlearnt.head.weight)
        with torch.inference_mode():
            assert torch.allclose(WINDOWS[:, -1, :1].expand(4, 3), unlearnt(WINDOWS), atol=1e-6)


def test_what_has_no_last_value_is_not_residual() -> None:
    """Texts."""
    with pytest.raises(ValueError, match=r"^residual: is for numbers"):
        RecurrentConfig(residual=True, vocabulary=30)


@pytest.mark.parametrize("wrong", [{"vocabulary": 30}, {"each": True}])
def test_what_has_no_moments_is_not_reversible(wrong: dict[str, Any]) -> None:
    """Texts, and answers at each step, which would tell what comes later."""
    with pytest.raises(ValueError, match=r"^reversible: is for windows of numbers"):
        RecurrentConfig(reversible=True, **wrong)


@each_cell
def test_cells_begin_as_they_should(cell: Cell) -> None:
    """What carries the state turns it without changing its length, and an LSTM forgets little at first."""
    cells = made(SERIES, cell).cells
    for name, weights in cells.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weights.split(8):  # type: ignore[no-untyped-call] # torch leaves it untyped
                assert torch.allclose(torch.eye(8), gate @ gate.T, atol=1e-5)
    bias = cells.bias_ih_l0
    assert isinstance(bias, torch.Tensor)
    assert (8.0 if cell == "lstm" else 0.0) == float(bias.detach().sum())


@each_cell
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("config", [SERIES, TEXT], ids=["numbers", "text"])
def test_cells_stay_single_nodes(config: RecurrentConfig, cell: Cell, bidirectional: bool, tmp_path: Path) -> None:
    """A layer is one node of its kind, for both directions, and no loop is unrolled or written out."""
    network = made(replace(config, layers=2, bidirectional=bidirectional), cell)
    inputs, outputs = {"window": LENGTH}, {"values": LENGTH if config.each else BATCH}
    samples = IDS if config.vocabulary else WINDOWS
    export(network, [samples.numpy()], tmp_path / "model.onnx", Signature(inputs=inputs, outputs=outputs))
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    cells = [node for node in nodes if node.op_type == cell.upper()]
    assert 2 == len(cells)
    assert not {"Loop", "Scan", "If", "SequenceAt"} & {node.op_type for node in nodes}
    directions = [one.s for node in cells for one in node.attribute if one.name == "direction"]
    assert [b"bidirectional"] * 2 == directions if bidirectional else [b"forward"] * len(directions) == directions


@each_cell
def test_a_file_goes_on_where_it_was(cell: Cell, tmp_path: Path) -> None:
    """The file that is served by steps, its state fed back, answers as the network on the whole window."""
    network = made(SERIES, cell)
    state = begin(network, 4).numpy()
    signature = Signature(inputs={"window": LENGTH, "state": BATCH}, outputs={"values": LENGTH, "state_out": BATCH})
    export(Steps(network), [WINDOWS.numpy(), state + 0.5], tmp_path / "model.onnx", signature)
    run = open_runner(tmp_path / "model.onnx")
    found = []
    for at in range(9):
        values, state = run([WINDOWS[:, at : at + 1].numpy(), state])
        found.append(values)
    with torch.inference_mode():
        assert np.allclose(network(WINDOWS).numpy(), np.concatenate(found, axis=1), atol=1e-4)


def test_a_length_that_froze_is_refused(tmp_path: Path) -> None:
    """Parity is checked at two lengths: a file that was made for one isn't taken for one that takes any."""
    network, path = made(SERIES, "lstm"), tmp_path / "model.onnx"
    axes = {"window": {0: "batch"}, "values": {0: "batch"}}
    model = trace_calls(network, (WINDOWS,), inputs=["window"], outputs=["values"], axes=axes)
    path.write_bytes(model.SerializeToString())
    varying = Signature(inputs={"window": LENGTH}, outputs={"values": LENGTH})
    with pytest.raises(ArtifactError, match=r"^model\.onnx: can't compute window \[1, 5, 2\]"):
        check_parity(network, [WINDOWS.numpy()], path, varying)

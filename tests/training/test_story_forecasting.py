"""The stories of series that go on: whole windows, and one step after the other through the real service."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.http as triton

from service.artifact.config import read_config
from tests.integration.served import serving
from tests.training.told import asked, model, published, tiny
from training.data import series
from training.data.material import Material
from training.metrics import regression
from training.networks.catalogue import build
from training.networks.recurrent import RecurrentConfig
from training.problems.forecasting import Forecasting
from training.problems.regression import Regression
from training.session import open_model

CELLS = ("rnn", "lstm", "gru")
each_cell = pytest.mark.parametrize("cell", CELLS)


@dataclass(frozen=True)
class Told:
    """What was published of one recipe, and what it was made of."""

    folder: Path
    family: str
    material: Material
    report: dict[str, Any]

    def answers(self, windows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Of the file that is published under the family's name."""
        return open_model(model(self.folder, self.family))({"window": windows})["values"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forecasting")


@pytest.fixture(scope="module")
def sunspots(folder: Path) -> dict[str, Told]:
    """By cell."""
    return {cell: tell(folder, f"sunspots-{cell}") for cell in CELLS}


@pytest.fixture(scope="module")
def co2(folder: Path) -> Told:
    return tell(folder, "co2-gru")


@pytest.fixture(scope="module")
def client(folder: Path, sunspots: dict[str, Told]) -> Iterator[Any]:
    assert sunspots
    with (
        serving(folder / "models") as served,
        triton.InferenceServerClient(served.http.removeprefix("http://")) as found,
    ):
        yield found


def tell(folder: Path, recipe: str) -> Told:
    report = published(folder, recipe)
    material = series.material(tiny(recipe).data, 7)
    return Told(folder=folder, family=recipe, material=material, report=report)


def check_figures(told: Told) -> None:
    """The figures of the report are those of the published file."""
    test, found = told.material.dataset.test, told.report["judged"]["scores"]
    horizons = tuple(found["by"]["rmse"])
    expected = regression.measure(told.answers(test.inputs), test.targets, test.sources, horizons)
    assert expected.rmse.mean.value == pytest.approx(found["figures"]["rmse"]["value"], rel=1e-4)
    assert expected.r2.mean.value == pytest.approx(found["figures"]["r2"]["value"], abs=1e-4)
    assert expected.mae.each["t+1"].value == pytest.approx(found["by"]["mae"]["t+1"]["value"], rel=1e-4)


@each_cell
def test_what_is_published_answers_as_the_report_says(sunspots: dict[str, Told], cell: str) -> None:
    """Figures by horizon and all together; the goal is met, which all the same as always wouldn't."""
    told = sunspots[cell]
    check_figures(told)
    assert told.report["goal_met"]
    same = np.repeat(told.material.dataset.train.targets.mean(axis=0)[None], len(told.material.dataset.test), axis=0)
    wrong = np.sqrt(np.square(same - told.material.dataset.test.targets).mean(axis=0)).mean()
    assert wrong > asked(told.family)


@each_cell
def test_cells_are_nodes_in_both_files(sunspots: dict[str, Told], cell: str) -> None:
    """LSTM remains LSTM, GRU remains GRU, in the file of windows and in that of steps."""
    told = sunspots[cell]
    for name in (told.family, f"{told.family}-steps"):
        nodes = [node.op_type for node in onnx.load(model(told.folder, name)).graph.node]
        assert 1 == nodes.count(cell.upper())
        assert not {"Loop", "Scan"} & set(nodes)


@each_cell
def test_configs_describe_both_forms(sunspots: dict[str, Told], cell: str) -> None:
    """Windows are batched and of any length; of the steps, the state is the server's and no input."""
    told = sunspots[cell]
    for name, values in ((told.family, (5,)), (f"{told.family}-steps", (-1, 5))):
        config = read_config(told.folder / "models" / name / "config.pbtxt", name=name)
        (taken,), (given,) = config.inputs, config.outputs
        assert ("window", (-1, 1), "values", values) == (taken.name, taken.shape, given.name, given.shape)
    text = (told.folder / "models" / f"{told.family}-steps" / "config.pbtxt").read_text()
    assert 'input_name: "state"' in text
    assert 'output_name: "state_out"' in text
    assert "sequence_batching" not in (told.folder / "models" / told.family / "config.pbtxt").read_text()


@each_cell
def test_a_window_step_by_step_is_the_window(sunspots: dict[str, Told], client: Any, cell: str) -> None:
    """Two sequences by turns, a value at a time: at the end of each, what the whole window is answered."""
    told = sunspots[cell]
    windows = told.material.dataset.test.inputs[[0, -1]]
    found = {}
    for at in range(windows.shape[1]):
        for row in range(2):
            sent = triton.InferInput("window", [1, 1, 1], "FP32")
            sent.set_data_from_numpy(windows[row : row + 1, at : at + 1])
            first, last = at == 0, at == windows.shape[1] - 1
            name = f"{told.family}-steps"
            answer = client.infer(name, [sent], sequence_id=row + 1, sequence_start=first, sequence_end=last)
            found[row] = answer.as_numpy("values")[0, -1]
    whole = triton.InferInput("window", list(windows.shape), "FP32")
    whole.set_data_from_numpy(windows)
    expected = client.infer(told.family, [whole]).as_numpy("values")
    assert np.allclose(expected, np.stack([found[0], found[1]]), rtol=1e-4)


def test_baselines_are_those_of_series(sunspots: dict[str, Told]) -> None:
    """As now, as a cycle ago and the linear model; the first of them computed anew."""
    told = sunspots["gru"]
    test, rivals = told.material.dataset.test, told.report["judged"]["baselines"]
    assert ["last value", "seasonal naive", "linear regression"] == list(rivals)
    for name, said in (("last value", test.inputs[:, -1]), ("seasonal naive", test.inputs[:, -11:-6, 0])):
        expected = np.sqrt(np.square(said - test.targets).mean(axis=0)).mean()
        assert expected == pytest.approx(rivals[name]["figures"]["rmse"]["value"], rel=1e-4)


def test_examples_are_the_largest_errors(sunspots: dict[str, Told]) -> None:
    """Worst first, with five years as they were and as they were foretold."""
    told = sunspots["gru"]
    examples = told.report["judged"]["examples"]
    errors = [one["error"] for one in examples]
    assert errors == sorted(errors, reverse=True)
    worst = examples[0]
    wanted = told.material.dataset.test.targets[worst["place"]]
    assert ", ".join(f"{value:.4g}" for value in wanted) == worst["wanted"]
    assert worst["wanted"] != worst["answered"]


def test_a_series_that_rises_goes_on_rising(co2: Told) -> None:
    """A reversible network answers beyond whatever it was trained on, and isn't served in steps, which it can't be."""
    check_figures(co2)
    windows = co2.material.dataset.test.inputs[:4]
    assert windows.min() > co2.material.dataset.train.inputs.max() - 5
    assert np.allclose(co2.answers(windows) + 100, co2.answers(windows + 100), atol=0.05)
    assert ["co2-gru"] == [one["name"] for one in co2.report["published"]]


def test_who_needs_what_comes_later_has_no_steps() -> None:
    """Read both ways, or from the mean of the window: one form alone; else both, the window first."""
    material = series.material(series.SeriesSettings(), 7)
    forms = {
        name: list(Forecasting().forms(build(config, seed=1).eval(), material))
        for name, config in (
            ("plain", RecurrentConfig()),
            ("both", RecurrentConfig(bidirectional=True)),
            ("own", RecurrentConfig(reversible=True)),
        )
    }
    assert {"plain": ["regressor", "steps"], "both": ["regressor"], "own": ["regressor"]} == forms


def test_intervals_know_that_errors_go_on() -> None:
    """Of a forecast one step ahead whose errors last, they are wider than if windows were independent."""
    material = series.material(series.SeriesSettings(series="co2"), 7)
    test = material.dataset.test
    slow = np.sin(np.arange(len(test)) / 20)[:, None]
    answers = {"values": test.targets + 1.5 + slow}
    plain, blocks = (
        problem.measure(answers, test, material).figures["rmse"] for problem in (Regression(), Forecasting())
    )
    assert plain.value == blocks.value
    assert blocks.high - blocks.low > 2 * (plain.high - plain.low)

"""What is wrong with a recipe or its data, as whoever runs it is told: one line that names it, and an exit code."""

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.training.limits import files_up_to
from training import checkpoint
from training.__main__ import app
from training.commands.outcome import FAILED, WRONG_SETTING
from training.durable import UNFINISHED
from training.fit import STATE

PLAIN: Mapping[str, Any] = {
    "kind": "network",
    "about": "Something of somebody's",
    "family": "mine",
    "seed": 7,
    "threads": 1,
    "data": {"source": "arrays", "path": "rows.npz"},
    "problem": {"kind": "classification"},
    "network": {"kind": "mlp", "widths": [8]},
    "fit": {"epochs": 2},
    "profiles": {"tiny": {}},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder but for rows of three classes, which is where the command is run."""
    monkeypatch.chdir(tmp_path)
    rows()
    yield tmp_path
    for name in ("diverging", "ownnets"):
        sys.modules.pop(name, None)


def rows(**changes: Any) -> None:
    """`rows.npz`: 60 rows of 4 numbers, of three classes in turn."""
    arrays = {"inputs": np.random.default_rng(1).normal(size=(60, 4)), "targets": np.arange(60) % 3, **changes}
    np.savez("rows.npz", **arrays)


def table(**cells: Any) -> None:
    """`goods.csv` of 40 goods, with these cells `column=(row, text)` changed; rows count from 1."""
    lines = [{"age": str(n), "price": f"{n * 1.5}", "kind": ("good", "bad")[n % 2]} for n in range(40)]
    for column, (row, text) in cells.items():
        lines[row - 1][column] = text
    with Path("goods.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["age", "price", "kind"])
        writer.writeheader()
        writer.writerows(lines)


def pictures(*, side: int = 16) -> None:
    """`pictures` of cats and dogs, 20 each."""
    random = np.random.default_rng(1)
    for name in ("cat", "dog"):
        Path("pictures", name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("pictures", name, f"{number}.png"))


def train(**sections: Any) -> tuple[int, str]:
    """Exit code and what was told of training the plain recipe with these sections instead of its own."""
    Path("mine.yaml").write_text(yaml.safe_dump({**PLAIN, **sections}))
    told = CliRunner().invoke(app, ["train", "mine.yaml", "--profile", "tiny"])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return told.exit_code, told.output


def refused(text: str, *, code: int = WRONG_SETTING, **sections: Any) -> None:
    """It ends with `code` and one line of error that has `text`."""
    found, told = train(**sections)
    assert code == found, told
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert text in line


def test_the_plain_recipe_is_sound() -> None:
    """So it is the change that is refused below."""
    assert 0 == train()[0]


MLP = {"kind": "mlp", "widths": [8]}
GOODS = {"source": "table", "path": "goods.csv", "target": "kind"}
UNKNOWN: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "recipe": ({"fitt": {}}, "unknown key `fitt`, did you mean `fit`?"),
    "source": ({"data": {"source": "arays"}}, "no source `arays`, did you mean `arrays`?"),
    "data": ({"data": {**PLAIN["data"], "pth": "x"}}, "unknown key `data.pth`, did you mean `path`?"),
    "shares": ({"data": {**PLAIN["data"], "shares": {"tst": 0.2}}}, "`data.shares.tst`, did you mean `test`?"),
    "problem kind": ({"problem": {"kind": "clasification"}}, "`clasification`, did you mean `classification`?"),
    "problem": ({"problem": {"kind": "classification", "balanse": True}}, "`problem.balanse`, did you mean `balance`?"),
    "network kind": ({"network": {"kind": "mpl"}}, "no network of kind 'mpl', did you mean `mlp`?"),
    "network": ({"network": {**MLP, "dropuot": 0.1}}, "unknown key `network.dropuot`, did you mean `dropout`?"),
    "decided": ({"network": {**MLP, "features": 4}}, "`network.features` is decided by the data and can't be set"),
    "task": ({"task": {"smoothing": 0.1}}, "unknown key `task.smoothing`, did you mean `label_smoothing`?"),
    "transform": ({"augment": [{"name": "nois"}]}, "no transform `nois`, did you mean `noise`?"),
    "augment": ({"augment": [{"name": "noise", "deviaton": 1}]}, "noise: unknown key `deviaton`"),
    "fit": ({"fit": {"epochs": 2, "learningrate": 0.1}}, "`fit.learningrate`, did you mean `learning_rate`?"),
    "evaluate": ({"evaluate": {"round": 2}}, "unknown key `evaluate.round`, did you mean `rounds`?"),
    "goal": ({"goal": {"valu": 2}}, "unknown key `goal.valu`, did you mean `value`?"),
    "custom": ({"network": {"kind": "custom", "functoin": "a:b"}}, "`network.functoin`, did you mean `function`?"),
    "watch": ({"fit": {"epochs": 2, "watch": "acuracy"}}, "watch: there is no metric `acuracy`; there are loss, accur"),
    "missing": ({"data": {"source": "arrays"}}, "missing required field `path`"),
    "range": ({"network": {**MLP, "dropout": 2.0}}, "dropout: must be at least 0 and below 1"),
    "not finite": ({"fit": {"epochs": 2, "learning_rate": float("inf")}}, "`fit.learning_rate` is inf"),
}


@pytest.mark.parametrize("one", UNKNOWN)
def test_what_no_section_has(one: str) -> None:
    """Named with its section, and the nearest that there is."""
    changes, text = UNKNOWN[one]
    refused(text, **changes)


@pytest.mark.parametrize("source", ["arrays", "table", "series_table", "lines", "folder"])
def test_a_file_that_is_missing(source: str) -> None:
    """Named, whatever reads it."""
    names = {
        "arrays": "no.npz",
        "table": "no.csv",
        "series_table": "no.parquet",
        "lines": "no.jsonl",
        "folder": "no",
    }
    data = {"source": source, "path": names[source], **({"target": "kind"} if "table" in source else {})}
    refused(f"error: {names[source]}: ", data=data)


@pytest.mark.parametrize("role", ["target", "categorical", "ignore"])
def test_a_column_that_is_missing(role: str) -> None:
    """Named with those that there are."""
    table()
    data = {**GOODS, role: "size" if role == "target" else ["size"]}
    refused("goods.csv: has no column `size`; there are age, price, kind", data=data)


def test_a_cell_that_is_no_number() -> None:
    """By row and column, and what can be done."""
    table(price=(7, "cheap"))
    refused("goods.csv: row 7, column `price`: 'cheap' is no number of 32 bits; name its column under", data=GOODS)


def test_a_target_that_is_missing() -> None:
    """By its row."""
    table(kind=(9, ""))
    refused("goods.csv: row 9, column `kind`: the target is missing", data=GOODS)


def test_labels_outside_the_range() -> None:
    """Of a file that names its classes; by part and row."""
    rows(targets=np.arange(60) % 4, classes=np.array(["a", "b", "c"]))
    refused("labels are outside 0 to 2, the first in row ", data=PLAIN["data"])
    rows(targets=np.arange(60) % 3 - 1)
    refused("(-1)", data=PLAIN["data"])


def test_numbers_that_are_missing() -> None:
    """The training part's row and column."""
    inputs = np.ones((60, 4)) * np.arange(60)[:, None]
    inputs[:, 2] = np.nan
    rows(inputs=inputs)
    refused("input values are missing or infinite, the first in row 1, column 3 (nan)")


def test_pictures_of_several_sizes() -> None:
    """How many of which; with a size they are made one."""
    pictures()
    Image.new("RGB", (20, 12)).save("pictures/cat/other.png")
    data = {"source": "folder", "path": "pictures"}
    resnet = {"kind": "resnet", "widths": [16]}
    refused("pictures have several sizes: 40 of 16 x 16 pixels, 1 of 20 x 12 pixels", data=data, network=resnet)
    assert 0 == train(data={**data, "size": 16}, network=resnet)[0]


def test_pictures_that_are_broken() -> None:
    """Listed; left out only where that is asked for, and then told."""
    pictures()
    Path("pictures/dog/broken.png").write_bytes(b"no picture")
    data = {"source": "folder", "path": "pictures"}
    resnet = {"kind": "resnet", "widths": [16]}
    refused("of 41 files 1 can't be read: pictures/dog/broken.png (", data=data, network=resnet)
    code, told = train(data={**data, "skip_broken": True}, network=resnet)
    assert 0 == code
    assert "pictures/dog/broken.png" in told


DIVERGING = """
import torch
from torch import nn

class Breaks(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.head = nn.Linear(features, classes)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, rows):
        if self.training:
            self.steps += 1
        # The third epoch of one step each.
        return self.head(rows) + torch.where(self.steps > 2, torch.nan, 0.0)

def breaks(features, classes):
    return Breaks(features, classes)
"""


def test_a_loss_that_is_no_number(here: Path) -> None:
    """The fit stops where it happened, keeps the last good epoch, and says which, and what helps."""
    (here / "diverging.py").write_text(DIVERGING)
    network = {"kind": "custom", "function": "diverging:breaks"}
    text = "the loss became nan in epoch 3, step 1; fit/last.safetensors holds epoch 2, the last good one."
    refused(f"{text} A lower learning_rate", code=FAILED, network=network, fit={"epochs": 5})
    (state,) = here.rglob(STATE)
    tensors, facts = checkpoint.read(state)
    assert 2 == len(facts["history"])
    assert all(np.isfinite(value.numpy()).all() for value in tensors.values())
    assert not list(here.rglob("network.safetensors"))


def test_a_disk_that_is_full(here: Path) -> None:
    """The fit ends with the file's name and keeps nothing that is half-written; with space the same command goes on."""
    with files_up_to(500):
        refused("can't be written", code=FAILED)
    assert not [*here.rglob("*.safetensors"), *here.rglob(f"{UNFINISHED}*")]
    assert 0 == train()[0]


def test_a_network_that_does_not_fit_the_data() -> None:
    """Said before an epoch is spent, with the shape that it can't take."""
    refused(
        "network: one of kind `resnet` doesn't fit inputs float32 [2, 4] and this problem", network={"kind": "resnet"}
    )
    refused("network: one of kind `encoder` doesn't fit inputs float32 [2, 4]", network={"kind": "encoder"})


@pytest.mark.parametrize("kind", ["regression", "forecasting"])
def test_a_problem_that_does_not_fit_the_data(kind: str) -> None:
    """Classes aren't values, and rows no windows: what the data has is told, and which problem it is."""
    wanted = "targets are int64" if kind == "regression" else "inputs are float32"
    refused(f"problem: the data's {wanted}", problem={"kind": kind})


def test_settings_are_named_where_they_stand() -> None:
    """A wrong setting isn't blamed on the search, which would only meet it too."""
    search = {"fit.learning_rate": {"low": 0.001, "high": 0.01}}
    code, told = train(search=search, network={"kind": "mlp", "width": 8})
    assert WRONG_SETTING == code
    assert "unknown key `network.width`" in told
    assert "search" not in told


OWN = """
from torch import nn

def idle(features):
    return nn.Flatten()

def too_few(features):
    return nn.Linear(features, 2)

def too_many(features):
    return nn.Linear(features, 4)

def flat(features):
    return nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))

def pair(features):
    return nn.LSTM(features, 3)

def fails(features):
    raise RuntimeError("no such luck")

def nothing(features):
    return None
"""


@pytest.mark.parametrize(
    "function, text",
    [
        ("too_few", "it answers [2, 2], and the data needs [2, 3]: a logit for each of 3 classes"),
        ("too_many", "it answers [2, 4], and the data needs [2, 3]: a logit for each of 3 classes"),
        ("flat", "doesn't fit inputs float32 [2, 4] and this problem"),
        ("pair", "doesn't fit inputs float32 [2, 4] and this problem"),
        ("fails", "ownnets:fails: made no network (RuntimeError: no such luck, ownnets.py line 20)"),
        ("nothing", "ownnets:nothing: must return a torch.nn.Module, and returned NoneType"),
        ("idle", "network: has no parameters, so there is nothing to learn"),
        ("fail", "ownnets: has no `fail`, did you mean `fails`?"),
    ],
)
def test_a_network_of_ones_own_that_answers_something_else(here: Path, function: str, text: str) -> None:
    """Two or four numbers for three classes, one, two tensors, an error, nothing: each is said before an epoch."""
    (here / "ownnets.py").write_text(OWN)
    refused(text, network={"kind": "custom", "function": f"ownnets:{function}"})


def test_balanced_classes_are_learnt_from_what_there_is() -> None:
    """Weights made of counts are taken by the loss; set twice they are refused."""
    balanced = {"kind": "classification", "balance": True}
    assert 0 == train(problem=balanced)[0]
    text = "problem.balance, task.class_weights: set one of them"
    refused(text, problem=balanced, task={"class_weights": [1.0, 2.0, 3.0]})
    refused("class_weights: there are 2, for 3 classes", task={"class_weights": [1.0, 2.0]})


def test_a_custom_module_that_is_missing() -> None:
    """Named, with where it was looked for."""
    refused("no module `nowhere`; looked in the current folder", network={"kind": "custom", "function": "nowhere:make"})


def test_boxes_that_a_detector_has_no_numbers_for() -> None:
    """What is needed is said before anything is learnt; with it, the same recipe trains."""
    random = np.random.default_rng(0)
    boxes = np.tile(np.array([0, 2, 4, 30, 30], np.float32), (30, 1, 1))
    np.savez("boxes.npz", inputs=random.integers(0, 256, (30, 1, 32, 32), np.uint8), targets=boxes, classes=["one"])
    sections: dict[str, Any] = {
        "problem": {"kind": "detection"},
        "data": {"source": "arrays", "path": "boxes.npz"},
        "network": {"kind": "detector", "widths": [8, 8], "boxes": 4, "reach": 8},
        "task": {},
    }
    refused(
        "network.reach: sides are told up to 7 pixels away, and a side of a box of the training part lies up to 16",
        **sections,
    )
    sections["network"]["reach"] = 17
    assert 0 == train(**sections)[0]


@pytest.mark.parametrize("key", ["reversible", "residual"])
def test_classes_are_no_values_that_go_on(key: str) -> None:
    """What brings answers back to the unit of a window would make probabilities depend on it."""
    random = np.random.default_rng(0)
    windows, labels = random.normal(size=(40, 6, 1)).astype(np.float32), np.arange(40) % 2
    np.savez("windows.npz", inputs=windows, targets=labels, classes=["up", "down"])
    network = {"kind": "recurrent", "width": 8, key: True}
    refused("classes have no unit", data={"source": "arrays", "path": "windows.npz"}, network=network)

"""What docs/data.md says of data of one's own, run as it is."""

import csv
import datetime as dt
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from loadtests.served import ROOT
from training import serving
from training.__main__ import app

PAGE = (ROOT / "docs" / "data.md").read_text()
BLOCKS = re.findall(r"```(\w+)(?: file=(\S+))?\n(.*?)```", PAGE, re.DOTALL)
SNIPPETS = [text for language, _, text in BLOCKS if language == "python"]
RECIPES = {name: text for language, name, text in BLOCKS if language == "yaml"}
CLIENT = 5
"""The snippet that asks the service of the recipe `goods`."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    for name in ("cat", "dog"):
        Path("pictures", name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("pictures", name, f"{number}.png"))
    with Path("goods.csv").open("w", newline="") as file:
        rows = [
            [n, n % 7, ("red", "blue")[n % 2], n * 1.5 if n % 9 else "NA", ("good", "bad")[n % 2]] for n in range(60)
        ]
        csv.writer(file).writerows([["id", "age", "colour", "price", "kind"], *rows])
    names = [one for one in range(60) if one % 9]
    prices = {"colour": [("red", "blue")[n % 2] for n in names], "price": [n * 1.5 for n in names]}
    parquet.write_table(pa.table({"age": [n % 7 for n in names], **prices}), "prices.parquet")
    with Path("sales.csv").open("w", newline="") as file:
        days = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(240)]
        sold = [["NA" if n == 50 else day.weekday() * 10 + n % 3, day, n % 30] for n, day in enumerate(days)]
        csv.writer(file).writerows([["sold", "day", "heat"], *sold])
    reviews = [{"review": f"{n * n} of {n} stars for this", "stars": n % 5} for n in range(100)]
    Path("reviews.jsonl").write_text("\n".join(map(json.dumps, reviews)))
    np.savez("waves.npz", inputs=random.normal(size=(100, 24, 2)), targets=random.normal(size=100))


def test_the_page_has_snippets() -> None:
    """They are found: nothing on the page goes unrun."""
    assert 7 == len(SNIPPETS)
    assert {"goods.yaml", "pets.yaml", "prices.yaml", "sales.yaml", "stars.yaml", "waves.yaml"} == set(RECIPES)
    assert PAGE.count("```") == 2 * len(BLOCKS)
    assert len(BLOCKS) == 1 + len(SNIPPETS) + len(RECIPES)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("number", [one for one in range(len(SNIPPETS)) if one != CLIENT])
def test_snippet(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs to its end; all but sound data prints something."""
    exec(SNIPPETS[number], {})
    assert (number < CLIENT) == bool(capsys.readouterr().out)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"goods.yaml"}))
def test_recipe(name: str) -> None:
    """A network learns from the files that it speaks of."""
    Path(name).write_text(RECIPES[name])
    told = CliRunner().invoke(app, ["train", name, "--profile", "tiny"])
    assert 0 == told.exit_code, told.output
    assert Path("runs", Path(name).stem, "tiny", "fit", "network.safetensors").exists()


@pytest.mark.usefixtures("here")
def test_a_published_table_is_asked_by_its_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe is published, and the page's client gets an answer of the service for each of its rows."""
    Path("goods.yaml").write_text(RECIPES["goods.yaml"])
    told = CliRunner().invoke(app, ["publish", "goods.yaml", "--profile", "tiny"])
    assert 0 == told.exit_code, told.output
    with serving.serving(Path("runs", "models"), ["goods"]) as served:
        exec(SNIPPETS[CLIENT].replace("localhost:8000", served._client._parsed_url.netloc), {})
    answers = np.array(re.findall(r"[01]\.\d+", capsys.readouterr().out), dtype=float).reshape(2, 2)
    assert np.allclose(1, answers.sum(axis=1), atol=1e-5)

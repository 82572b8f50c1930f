"""Networks of one's own: found by their path, built with what the data decides, kept, built again, and exported."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from service.errors import ArtifactError, SettingsError
from training import checkpoint
from training.cache import Step
from training.export import Probabilities, export
from training.networks.catalogue import build, config_of, kind_of
from training.networks.custom import Custom, CustomConfig
from training.session import open_session

NETWORK = """
from torch import nn

import parts

def small(width, classes=2, mean=0.0):
    return nn.Sequential(nn.Flatten(), parts.Shift(mean), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, classes))

def none(): return "a network"

def breaks(width): return nn.Linear(width, "ten")

class Nets:
    few = nn.Identity

unfit = 5
"""
PARTS = """
from torch import nn

class Shift(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.mean = mean

    def forward(self, rows):
        return rows / 255.0 - self.mean
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a network of somebody's own in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NETWORK)
    (tmp_path / "parts.py").write_text(PARTS)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def config(function: str = "mynet:small", **settings: object) -> CustomConfig:
    return CustomConfig(function=function, settings=settings or {"width": 8})


def test_a_function_makes_the_network() -> None:
    """By its path with a colon or a dot, with the settings and what the data decides where it has a parameter."""
    state = torch.random.get_rng_state()
    for function in ("mynet:small", "mynet.small"):
        network = build(replace(config(function), classes=5, mean=0.25, channels=1), seed=3)
        assert isinstance(network, Custom)
        assert (2, 5) == tuple(network(torch.zeros(2, 1, 4, 4, dtype=torch.uint8)).shape)
        assert 0.25 == network.network[1].mean  # type: ignore[index]
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_path_is_as_it_was() -> None:
    """The current folder is looked in during the import and not later, though the module stays known."""
    before = list(sys.path)
    build(config(), seed=1)
    assert before == sys.path
    assert "mynet" in sys.modules


def test_settings_are_checked_like_others() -> None:
    """A recipe's plain values become the config; what doesn't fit is named."""
    made = config_of("custom", {"function": "mynet:small", "settings": {"width": 4}, "classes": 3, "mean": [0.1, 0.2]})
    assert "custom" == kind_of(made)
    assert (0.1, 0.2) == made.mean
    with pytest.raises(msgspec.ValidationError, match="function"):
        config_of("custom", {})


@pytest.mark.parametrize(
    "function, text",
    [
        ("nonet:small", r"no module `nonet`; looked in the current folder \(/.*\) and among what is installed"),
        ("mynet.sub:small", "no module `mynet.sub`"),
        ("torch.no_such:f", "no module `torch.no_such`"),
        ("mynet:smal", "mynet: has no `smal`, did you mean `small`?"),
        ("mynet:unfit", "mynet:unfit: is no function, but int"),
        ("mynet:none", "must return a torch.nn.Module, and returned str"),
        ("mynet:breaks", r"mynet:breaks: made no network \(.*Error.*, mynet.py line 11\)"),
        ("wrong:net", r"wrong: can't be imported \(SyntaxError: .*wrong.py, line 2\)"),
        ("fails:net", r"fails: can't be imported \(ZeroDivisionError: division by zero, fails.py line 1\)"),
        ("needs:net", r"needs: can't be imported \(ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("torch:net", r"torch:net: another module `torch` is in use already .*; give yours another name"),
    ],
)
def test_what_is_wrong_with_the_function_is_said(function: str, text: str, here: Path) -> None:
    """The module, the function or what it returned is named."""
    (here / "wrong.py").write_text("x = 1\ndef net(:\n")
    (here / "fails.py").write_text("1 / 0")
    (here / "needs.py").write_text("import nothing_of_that_name")
    if function == "torch:net":
        (here / "torch.py").write_text("net = 1")
    settings = {} if function == "mynet:none" else {"width": 4}
    with pytest.raises(SettingsError, match=text):
        build(CustomConfig(function=function, settings=settings), seed=1)


@pytest.mark.parametrize("function", ["mynet", "mynet:", ":small", "my net:small", "../mynet:small", ""])
def test_what_is_no_path_is_refused(function: str) -> None:
    """A word alone, a file and the like."""
    with pytest.raises(ValueError, match=r"isn't the path of a function, such as `package.module:function`"):
        config(function)


def test_wrong_arguments_are_named() -> None:
    """One that is missing, and one that there isn't, beside those that it takes."""
    with pytest.raises(SettingsError, match=r"missing a required argument: 'width'; it takes \(width, classes=2, mea"):
        build(replace(CustomConfig(function="mynet:small"), classes=3), seed=1)
    with pytest.raises(SettingsError, match=r"unexpected keyword argument 'depth'; it takes .*, and is given width, d"):
        build(config(width=3, depth=4), seed=1)


def test_settings_are_plain_and_leave_the_data_its_own() -> None:
    """What can't be written into a checkpoint, and what the data decides, is refused by its name."""
    with pytest.raises(ValueError, match="settings: must be plain JSON"):
        config(width=object())
    with pytest.raises(ValueError, match="settings: classes: decided by the data, leave it out"):
        replace(config(width=4, classes=3), classes=3)


def test_a_checkpoint_builds_it_again(here: Path) -> None:
    """With its weights and its config, also after lists in settings became tuples and back."""
    network = build(replace(config(width=4), classes=3), seed=3)
    checkpoint.save_network(here / "n.safetensors", network)
    again = checkpoint.load_network(here / "n.safetensors", Custom)
    assert network.config == again.config
    pixels = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(network(pixels), again(pixels))


def test_a_checkpoint_without_its_code_is_not_damaged(here: Path) -> None:
    """What is missing is the module, and that is said."""
    checkpoint.save_network(here / "n.safetensors", build(config(), seed=3))
    (here / "mynet.py").unlink()
    with pytest.raises(SettingsError, match="no module `mynet`"):
        checkpoint.load_network(here / "n.safetensors", Custom)


@pytest.mark.parametrize("file", ["mynet.py", "parts.py"])
def test_other_code_makes_a_step_stale(file: str, here: Path) -> None:
    """The source of the function's module, and of what it imports beside it, is in the key of what depends on it."""

    def key() -> str:
        return Step(name="fit", inputs={"network": config()}, code=(), versions={}).key()

    before = key()
    assert before == key()
    (here / "other.py").write_text("x = 1")
    assert before == key()
    (here / file).write_text((here / file).read_text() + "\n# changed")
    assert before != key()


def test_the_source_of_a_package_is_followed(here: Path) -> None:
    """What a package imports relative to itself counts, and what nothing imports doesn't."""
    for name, text in (("__init__", ""), ("net", "from .deep import part\nfrom . import flat\n"), ("flat", "")):
        (here / "pack").mkdir(exist_ok=True)
        (here / "pack" / f"{name}.py").write_text(text)
    (here / "pack" / "deep").mkdir()
    (here / "pack" / "deep" / "__init__.py").write_text("from .. import up\n")
    seen = [config("pack.net:f").source]
    for name in ("deep/part", "flat", "up", "__init__"):
        (here / "pack" / f"{name}.py").write_text(f"x = {len(seen)}\n")
        seen.append(config("pack.net:f").source)
    assert len(seen) == len(set(seen))
    (here / "pack" / "alone.py").write_text("x = 1")
    assert seen[-1] == config("pack.net:f").source


def test_an_installed_function_is_known_by_its_version() -> None:
    """No source is read of what is installed: its version says as much."""
    made = config("torch.nn:Flatten", start_dim=1)
    assert 64 == len(made.source)
    assert (2, 16) == tuple(build(made, seed=1)(torch.zeros(2, 4, 4)).shape)


def test_its_source_cannot_be_set() -> None:
    """It is what lies there, whatever a checkpoint or a recipe says."""
    assert config().source == config_of("custom", {**asdict(config()), "source": "other"}).source


def test_it_is_exported_like_any_other(here: Path) -> None:
    """The file answers as the network."""
    network = build(replace(config(), classes=3), seed=3)
    images = np.random.default_rng(1).integers(0, 256, (8, 1, 4, 4), dtype=np.uint8)
    assert export(Probabilities(network), [images], here / "model.onnx") < 1e-5
    assert np.allclose(1, open_session(here / "model.onnx")(images).sum(axis=1))


def test_an_operator_without_a_form_in_onnx_is_named(here: Path) -> None:
    """And not a page of the exporter's inner life."""
    (here / "odd.py").write_text(
        "from torch import nn, special\n"
        "class Odd(nn.Module):\n"
        "    def forward(self, rows): return special.bessel_j0(rows / 1.0)\n"
    )
    network = build(CustomConfig(function="odd:Odd"), seed=3)
    with pytest.raises(ArtifactError, match=r"an operator in it has no form in ONNX: prims\.bessel_j0;"):
        export(network, [np.ones((4, 3), np.float32)], here / "model.onnx")

"""Smaller networks of recipes: by every route and remedy they are made, learn, and are the size that is asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from service.errors import SettingsError
from tests.training.clock import Clock
from training import checkpoint, fit, network
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.cost import counts_of, measure
from training.compression.search.design import Design, Network
from training.compression.search.numbers import AWARE
from training.deadline import OVER, Deadline, TimeUp
from training.errors import Diverged
from training.network_recipe import NetworkRecipe
from training.networks.encoder import EncoderConfig
from training.networks.gan import GANConfig
from training.networks.variational import VariationalConfig
from training.optimization.settings import FitSettings
from training.recipe import RECIPES, load_any
from training.session import open_model
from training.specimens.network import NetworkSpecimen
from training.steps.exploring import Exploration
from training.steps.journal import Journal
from training.steps.routes import lineage_of, routes_of
from training.tasks.adversarial import Adversarial
from training.tasks.tagging import Tagging
from training.tasks.variational import Variational

ALL = {
    "pruned": ("gradual", "hinted"),
    "shallow": ("hinted", "assisted"),
    "student": ("hinted", "assisted"),
}


class Recipe:
    """A specimen of a recipe's tiny profile, whose steps lie in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        recipe = load_any(name, "tiny")
        assert isinstance(recipe, NetworkRecipe)
        self.journal = Journal(recipe, folder, Console(quiet=True))
        self.specimen = NetworkSpecimen(self.journal, network.export(self.journal))

    def made(self, one: Network) -> Any:
        """A network that has learnt."""
        self.specimen.floating(one)
        step = "fit" if one == Network() else one.name
        return checkpoint.load_network(self.journal.path(step, "network.safetensors"), nn.Module)

    def multiply_adds(self, one: Network) -> int:
        """What it takes for one input."""
        made = self.made(one)
        inputs = self.specimen.requests("validation")
        (shown,) = (array[:1] for array in inputs.values())
        ledger = measure(made, units_of(made.config), lambda each: each(torch.from_numpy(shown)))
        return ledger.cost(counts_of(ledger.units)).multiply_adds


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe("digits-mlp", tmp_path_factory.mktemp("digits"))


def test_who_is_small_enough_is_not_cut_and_the_next_begins_with_who_there_is(tmp_path: Path) -> None:
    """Widths go by steps: who may have half of the multiplications of a GRU has less than 45 % of them."""
    it = Recipe("co2-gru", tmp_path)
    assert it.made(Network(route="pruned", share=0.5)).config.width == 5
    with pytest.raises(SettingsError, match="pruned45: what it would be cut from is small enough already"):
        it.specimen.floating(Network(route="pruned", share=0.45))
    assert it.made(Network(route="pruned", share=0.4, remedy="gradual")).config.width == 4


@pytest.mark.parametrize("route", ["pruned", "shallow"])
def test_networks_take_the_share_that_is_asked(route: str, digits: Recipe) -> None:
    """At most that, or for a student about that."""
    whole = digits.multiply_adds(Network())
    for share in (0.5, 0.25):
        found = digits.multiply_adds(Network(route=route, share=share)) / whole
        assert found <= share * 1.25
        assert found > share / 2


def test_a_network_is_cut_out_of_who_is_there(tmp_path: Path) -> None:
    """Nobody waits for larger ones that nobody asked for; where widths by eights are too many, they go by ones."""
    it, small = Recipe("digits-cnn", tmp_path), Network(route="pruned", share=0.06)
    assert it.multiply_adds(small) <= 0.06 * it.multiply_adds(Network())
    assert ["pruned6"] == [path.name for path in it.journal.folder.glob("pruned*")]
    assert [one % 8 for one in it.made(small).config.widths] != [0, 0]
    quarter, whole = replace(small, share=0.25), Network()
    assert quarter == lineage_of(small, {whole, quarter, replace(small, share=0.5)}).above
    assert quarter == lineage_of(replace(small, remedy="hinted"), {whole, quarter}).above
    assert whole == lineage_of(small, {whole, replace(small, share=0.03), replace(quarter, remedy="hinted")}).above


def test_who_was_cut_from_the_teacher_is_there_without_time(tmp_path: Path) -> None:
    """Though there is a larger one now, from which a search with more time cuts it anew."""
    small, half = (Network(route="pruned", share=share) for share in (0.12, 0.5))
    first = Recipe("digits-mlp", tmp_path)
    cut = first.made(small).state_dict()
    second, third = Recipe("digits-mlp", tmp_path), Recipe("digits-mlp", tmp_path)
    for it in (second, third):
        it.made(half)
    with second.journal.until(OVER):
        assert all(torch.equal(one, cut[name]) for name, one in second.made(small).state_dict().items())
    third.made(small)
    assert not third.journal.times["pruned12"].cached


def test_remedies_learn_the_same_network_in_other_ways(digits: Recipe) -> None:
    """By hints, from a larger student, and from a network that was cut by less before."""
    for route, remedy, beside in (
        ("shallow", "hinted", "shallow25"),
        ("shallow", "assisted", "shallow50"),
        ("pruned", "hinted", "pruned25"),
        ("pruned", "gradual", "pruned35"),
    ):
        one = Network(route=route, share=0.25, remedy=remedy)
        made = digits.made(one).config
        assert remedy == "gradual" or made == digits.made(Network(route=route, share=0.25)).config
        assert f"{route}25-{remedy}" == one.name
        assert digits.journal.path(beside, "network.safetensors").exists()


def test_networks_that_can_not_be_are_refused(digits: Recipe) -> None:
    """Who is the same as another, or has nobody between itself and the teacher; or so small that nothing is left."""
    with pytest.raises(SettingsError, match="student50: would be the same network as shallow50"):
        digits.specimen.floating(Network(route="student", share=0.5))
    with pytest.raises(SettingsError, match="student50-assisted: there is no larger student to assist"):
        digits.specimen.floating(Network(route="student", share=0.5, remedy="assisted"))
    with pytest.raises(SettingsError, match=r"pruned0_01: .* multiplications .* are left where no more can be cut"):
        digits.specimen.floating(Network(route="pruned", share=0.0001))


def test_a_network_is_trained_for_its_integers(digits: Recipe) -> None:
    """Its file answers nearly as the network in floating point does, and is measured like others."""
    assert digits.specimen.aware
    exploration = Exploration(digits.specimen, Deadline())
    assert exploration.aware
    _, trial = exploration.tried([Design(), Design(numbers=AWARE)])
    assert not trial.failed
    assert trial.gain.size > 3
    file = digits.journal.path("teacher-qat", "model.onnx")
    answers = open_model(file)(digits.specimen.requests("validation"))
    floats = open_model(digits.specimen.floating(Network()))(digits.specimen.requests("validation"))
    found, expected = (next(iter(one.values())).argmax(axis=1) for one in (answers, floats))
    assert np.mean(found == expected) > 0.9


def test_a_fit_that_would_end_too_late_is_left_and_gone_on_with(tmp_path: Path) -> None:
    """It isn't begun where that is foreseen, ends after an epoch where that shows, and is finished by who has time."""
    it = Recipe("digits-mlp", tmp_path)
    student = Network(route="shallow", share=0.5)
    log, state = (it.journal.path("shallow50", name) for name in ("log.jsonl", "last.safetensors"))
    soon, slow = Deadline(end=1e-6, clock=Clock()), Deadline(end=1000, whole=1000, clock=Clock(tick=300))
    for deadline in (soon, slow):
        assert not state.exists()
        with pytest.raises(TimeUp, match="would take about"), it.journal.until(deadline):
            it.specimen.floating(student)
    (first,) = log.read_text().splitlines()
    assert state.exists()
    it.specimen.floating(student)
    assert first == log.read_text().splitlines()[0]
    assert len(log.read_text().splitlines()) > 1


@pytest.mark.parametrize("design", [Design(network=Network(route="shallow", share=0.5)), Design(numbers=AWARE)])
def test_a_fit_that_diverged_is_not_begun_again(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same seed it would again, so a further search knows, without time, why there is no such variant."""
    Recipe("digits-mlp", tmp_path)
    begun = []

    def run(*_: Any, **__: Any) -> None:
        begun.append(design)
        raise Diverged("the loss became nan in epoch 1, step 3")

    monkeypatch.setattr(fit.Fit, "run", run)
    for deadline in (Deadline(), OVER):
        exploration = Exploration(Recipe("digits-mlp", tmp_path).specimen, deadline)
        exploration.tried([Design()])
        (trial,) = exploration.tried([design])
        assert "the loss became nan in epoch 1, step 3" == trial.failed
    assert [design] == begun


def test_a_generator_is_cut_and_plays_on(tmp_path: Path) -> None:
    """Its code stays, as clients send it, and so does who it plays against."""
    it = Recipe("digits-gan", tmp_path)
    assert {"pruned": ()} == it.specimen.routes
    assert not it.specimen.aware
    teacher, cut = it.made(Network()), it.made(Network(route="pruned", share=0.5))
    assert teacher.config.code == cut.config.code
    assert teacher.config.discriminator_widths == cut.config.discriminator_widths
    assert sum(cut.config.generator_widths) < sum(teacher.config.generator_widths)
    noise = np.zeros((2, cut.config.code), np.float32)
    file = it.specimen.floating(Network(route="pruned", share=0.5))
    assert (2, 1, 16, 16) == open_model(file)({"noise": noise})["image"].shape


def variant(name: str, folder: Path, **changes: Any) -> str:
    """The path of a recipe that differs by these keys, in all of its profiles."""
    settings = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    path = folder / f"{name}-changed.yaml"
    path.write_text(yaml.safe_dump({**settings, **changes}))
    return str(path)


def test_several_teach_a_student(tmp_path: Path) -> None:
    """They are networks of the same shape by other seeds, learn when they are needed, and are listened to."""
    last_seed = 2**31 - 1  # behind which they begin at the first one again
    it = Recipe(variant("digits-mlp", tmp_path, teachers=3, seed=last_seed), tmp_path)
    student = Network(route="shallow", share=0.25)
    assert not it.journal.path("fit2", "network.safetensors").exists()
    taught = it.made(student).state_dict()
    alone = Recipe(variant("digits-mlp", tmp_path, seed=last_seed), tmp_path / "alone").made(student).state_dict()
    assert any(not torch.equal(taught[name], tensor) for name, tensor in alone.items())
    own, *others = (
        checkpoint.load_network(it.journal.path(step, "network.safetensors"), nn.Module)
        for step in ("fit", "fit2", "fit3")
    )
    assert all(own.config == other.config for other in others)
    weights = [next(iter(one.parameters())) for one in (own, *others)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_by_its_layers_one_teaches_alone(tmp_path: Path) -> None:
    """What they mean in networks of other seeds is something else, and so is who assists no longer the teacher."""
    it = Recipe(variant("digits-mlp", tmp_path, teachers=2), tmp_path)
    it.made(Network(route="shallow", share=0.25, remedy="hinted"))
    assert not it.journal.path("fit2", "network.safetensors").exists()


def test_teachers_learn_if_there_is_time_for_all_and_for_whom_they_teach(tmp_path: Path) -> None:
    """Else none of them is begun; those who are there take no time."""
    it = Recipe(variant("digits-mlp", tmp_path, teachers=3), tmp_path)
    student = Network(route="shallow", share=0.25)
    (seconds,) = (it.journal.seconds("fit"),)
    with pytest.raises(TimeUp, match="would take about"), it.journal.until(Deadline(end=2 * seconds, clock=Clock())):
        it.specimen.floating(student)
    assert not it.journal.path("fit2", "network.safetensors").exists()
    it.specimen.floating(student)
    again = Recipe(variant("digits-mlp", tmp_path, teachers=3), tmp_path)
    with again.journal.until(OVER):
        again.specimen.floating(student)


def test_who_diverged_teaches_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do; by the same seed it would again, so it isn't begun a second time."""
    it = Recipe(variant("digits-mlp", tmp_path, teachers=3), tmp_path)
    run, begun = fit.Fit.run, []

    def second_diverges(one: fit.Fit, folder: Path, *rest: Any, **more: Any) -> Any:
        begun.append(folder.name)
        if folder.name == "fit2":
            raise Diverged("the loss became nan in epoch 1, step 3")
        return run(one, folder, *rest, **more)

    monkeypatch.setattr(fit.Fit, "run", second_diverges)
    for share in (0.25, 0.12):
        it.specimen.floating(Network(route="shallow", share=share))
    assert ["fit2", "fit3", "shallow25", "shallow12"] == begun
    Recipe(variant("digits-mlp", tmp_path, teachers=3), tmp_path).made(Network(route="shallow", share=0.25))
    assert begun.count("fit2") == 1


@pytest.mark.parametrize(
    "name, changes, told",
    [
        ("digits-mlp", {"teachers": 0}, "`teachers` must be between 1, the network itself, and 32"),
        ("digits-mlp", {"teachers": 33}, "`teachers` must be between 1, the network itself, and 32"),
        ("digits-mlp", {"teachers": 2, "distil": {"hints": [{"kind": "features"}]}}, "as layers are one's own"),
        ("digits-mlp", {"teachers": 2, "distil": {"soft": 0.0}}, "as nobody listens to them"),
        ("digits-gan", {"teachers": 2}, "as nothing of this task is learnt from a teacher"),
    ],
)
def test_teachers_whom_nobody_hears_are_refused(name: str, changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    """Before anything is trained; the text names the file and what to change."""
    with pytest.raises(SettingsError, match=f"{name}-changed.yaml: `teachers` must be .*{told}|{told}"):
        load_any(variant(name, tmp_path, **changes), "tiny")


def test_students_are_of_two_shapes(tmp_path: Path) -> None:
    """One with fewer layers, one with narrower ones."""
    settings = yaml.safe_load((RECIPES / "code-tags.yaml").read_text())
    settings["profiles"]["tiny"]["network"] = {"layers": 2, "width": 32}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(settings))
    it = Recipe(str(tmp_path / "two.yaml"), tmp_path)
    shallow, narrow = (it.made(Network(route=route, share=0.25)).config for route in ("shallow", "student"))
    assert (1, 2) == (shallow.layers, narrow.layers)
    assert shallow.width > narrow.width


def test_routes_are_those_that_the_network_has() -> None:
    """Layers go first where there are some to choose from; hints are a remedy where they aren't what is usual."""
    encoder = EncoderConfig(layers=2, width=32, heads=2)
    plain = DistilSettings(fit=FitSettings(epochs=1))
    assert routes_of(encoder, Tagging(), plain) == ALL
    assert list(routes_of(replace(encoder, layers=1), Tagging(), plain)) == ["pruned", "student"]
    hinted = replace(plain, hints=(HintSettings(kind="relations"),))
    assert routes_of(encoder, Tagging(), hinted)["student"] == ("assisted",)
    assert routes_of(VariationalConfig(), Variational(), plain)["pruned"] == ("gradual",)
    assert routes_of(GANConfig(), Adversarial(), plain) == {"pruned": ()}

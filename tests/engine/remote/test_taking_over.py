"""A remote generation takes a ready one's place only when it is ready itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.artifact.config import parse_config
from service.engine.catalog import Catalog
from service.engine.remote.address import parse_remotes
from service.engine.remote.model import RemoteModel
from service.engine.source import EngineLimits
from service.metrics import Metrics
from service.repository.folder import ModelFolder, VersionFolder
from tests.engine.remote.asking import CALM, REMOTE, ask, until
from tests.engine.remote.triton import SmallTriton, identity, rows, running


@asynccontextmanager
async def catalog(**remotes: SmallTriton) -> AsyncIterator[Catalog]:
    """Of models that these compute."""
    limits = EngineLimits(remotes=parse_remotes([f"{name}={triton.address}" for name, triton in remotes.items()]))
    catalog = Catalog(lambda source, metrics: RemoteModel(source, metrics, limits, CALM), Metrics(), at_once=4)
    try:
        yield catalog
    finally:
        await catalog.stop()


def folder(path: Path, remote: str, *versions: int) -> ModelFolder:
    """What a look at the repository gives for model "m", computed by that remote."""
    config = REMOTE.replace("east", remote)
    if versions != (1,):
        config += f"version_policy {{ specific {{ versions: {list(versions)} }} }}"
    return ModelFolder(
        name="m",
        path=path,
        config=parse_config(config, name="m"),
        versions=tuple(VersionFolder(version=version, model_path=path) for version in versions),
    )


def index(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """State and reason by version."""
    return {entry.version: (entry.state, entry.reason) for entry in catalog.index()}


async def test_one_that_is_down_takes_nothing_over(tmp_path: Path) -> None:
    """The generation that answers goes on, and the index says why; brought again with the remote up, it takes over."""
    west = identity()
    async with running(identity()) as east, catalog(east=east, west=west) as models:
        assert {} == await models.bring(folder(tmp_path, "east", 1))
        reason = "m/1: can't take over yet: the remote server can't be reached"
        assert {1: reason} == await models.bring(folder(tmp_path, "west", 1))

        assert {"1": ("READY", reason)} == index(models)
        await ask(models.find("m", None), rows(1))
        assert 1 == len(east.asked)
        async with running(west):
            assert {} == await models.bring(folder(tmp_path, "west", 1))
            assert {"1": ("READY", "")} == index(models)
            await ask(models.find("m", None), rows(1))
            assert (1, 1) == (len(east.asked), len(west.asked))


async def test_another_version_is_not_let_go_for_one_that_is_down(tmp_path: Path) -> None:
    """The same where the new generation has another version's number."""
    west = identity()
    async with running(identity()) as east, catalog(east=east, west=west) as models:
        await models.bring(folder(tmp_path, "east", 3))
        (reason,) = (await models.bring(folder(tmp_path, "west", 7))).values()

        assert {"3": ("READY", ""), "7": ("UNAVAILABLE", reason)} == index(models)
        async with running(west):
            await models.bring(folder(tmp_path, "west", 7))
            await until(lambda: index(models) == {"7": ("READY", "")})


async def test_those_that_are_down_together_are_listed(tmp_path: Path) -> None:
    """At the start nothing is to be protected: each waits for its remote, and another config replaces it at once."""
    async with running(identity()) as east, catalog(east=east, west=identity()) as models:
        assert {} == await models.bring(folder(tmp_path, "west", 1))
        assert {"1": ("UNAVAILABLE", "the remote server can't be reached")} == index(models)

        assert {} == await models.bring(folder(tmp_path, "east", 1))
        await ask(models.find("m", None), rows(1))

"""A whole server whose models are computed elsewhere. `make test-triton` asks the same of a real tritonserver."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from tests.certificate import make_certificate
from tests.engine.remote.triton import SmallTriton, identity, running
from tests.integration.served import CONFIG, Served, run_to_end, serving, write_model

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.5, -3.0]}]}


def write_remote(root: Path, name: str = "m", config: str = REMOTE) -> None:
    """A model's folder with nothing but its config."""
    (root / name).mkdir()
    (root / name / "config.pbtxt").write_text(config)


@asynccontextmanager
async def hone(repository: Path, *flags: str) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    """A server for the time of a block, started beside this loop, and a client of it."""
    server = serving(repository, *flags)
    served = await asyncio.to_thread(server.__enter__)
    try:
        async with httpx.AsyncClient(base_url=served.http) as client:
            yield served, client
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def status(client: httpx.AsyncClient, wanted: int) -> None:
    """Wait until the model's ready route answers this."""
    async with asyncio.timeout(20):
        while (await client.get("/v2/models/m/ready")).status_code != wanted:
            await asyncio.sleep(0.05)


async def test_a_remote_that_comes_and_goes(tmp_path: Path) -> None:
    """The server starts without the remote, says what it lacks, and passes requests through once the remote is there;
    a model of its own beside it serves all the time.
    """
    write_remote(tmp_path)
    write_model(tmp_path, "own")
    triton = identity()
    async with hone(tmp_path, "--remote", f"east=grpc://{triton.address}") as (served, client):
        index = {entry["name"]: entry for entry in (await client.post("/v2/repository/index")).json()}
        refused = await client.post("/v2/models/m/infer", json=BODY)
        assert ("READY", "UNAVAILABLE") == (index["own"]["state"], index["m"]["state"])
        assert "the remote server can't be reached" == index["m"]["reason"]
        assert (503, "not_ready") == (refused.status_code, refused.json()["reason"])
        told = (await client.get("/v2/models/stats")).json()["model_stats"]
        assert ["m", "own"] == sorted(one["name"] for one in told)

        async with running(triton):
            await status(client, 200)
            answer = await client.post("/v2/models/m/infer", json=BODY)
            assert [1.0, 2.5, -3.0] == answer.json()["outputs"][0]["data"]
            assert "m" == answer.json()["model_name"]
            raw = await binary(client, np.array([[1, 2.5, -3]], np.float32))
            assert raw.content.endswith(np.array([1, 2.5, -3], np.float32).tobytes())
        lost = await client.post("/v2/models/m/infer", json=BODY)
        own = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}
        assert 503 == lost.status_code
        assert 200 == (await client.post("/v2/models/own/infer", json=own)).status_code
        scraped = (await client.get(f"{served.metrics}/metrics")).text
        assert 'hone_requests_total{model="m",outcome="ok",protocol="http",version="1"} 2.0' in scraped
        assert 'hone_remote_calls_total{end="ok",model="m",version="1"} 2.0' in scraped
        assert 'hone_remote_calls_total{end="ok",model="own"' not in scraped
        assert 'hone_worker_up{device="remote",model="m",version="1"}' in scraped


async def binary(client: httpx.AsyncClient, array: Any) -> httpx.Response:
    """A request whose body is nothing but the tensor's bytes; so are its answer's."""
    headers = {"Inference-Header-Content-Length": "0"}
    return await client.post("/v2/models/m/infer", content=array.tobytes(), headers=headers)


async def test_a_config_that_names_another_remote(tmp_path: Path) -> None:
    """When the repository is polled, a changed config swaps the remote, and a bad one leaves the model as it is."""
    write_remote(tmp_path)
    path = tmp_path / "m" / "config.pbtxt"
    west = identity()
    flags = ["--model-control-mode", "poll", "--repository-poll-secs", "0.1"]
    async with running(identity()) as east, running(west):
        flags += ["--remote", f"east={east.address}", "--remote", f"west={west.address}"]
        async with hone(tmp_path, *flags) as (_, client):

            async def asked() -> int:
                assert 200 == (await client.post("/v2/models/m/infer", json=BODY)).status_code
                return len(west.asked)

            assert 0 == await asked()
            path.write_text(REMOTE.replace("east", "west"))
            async with asyncio.timeout(20):
                while not await asked():
                    await asyncio.sleep(0.02)
            path.write_text(REMOTE.replace("east", "nowhere"))
            async with asyncio.timeout(20):
                while "nowhere" not in (await client.post("/v2/repository/index")).text:
                    await asyncio.sleep(0.02)
            before = len(west.asked)
            assert before + 1 == await asked()
            path.unlink()
            async with asyncio.timeout(20):
                while (await client.get("/v2/models/m")).status_code != 404:
                    await asyncio.sleep(0.05)


class Asker:
    """A client that asks for as long as a block lasts, and notes who computed each answer."""

    LOCAL, REMOTE = [1, 10], [1, 64]

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.shapes: list[list[int]] = []

    async def run(self) -> None:
        x = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}
        while True:
            answer = await self._client.post("/v2/models/m/infer", json={"inputs": [x]})
            assert 200 == answer.status_code, answer.text
            self.shapes.append(answer.json()["outputs"][0]["shape"])
            await asyncio.sleep(0.005)

    async def hears(self, shape: list[int], *, index: str) -> None:
        """Wait until answers have this shape and the model, which is ready all the time, this reason in the index."""
        async with asyncio.timeout(20):
            while True:
                (entry,) = (await self._client.post("/v2/repository/index")).json()
                assert "READY" == entry["state"]
                reason = entry.get("reason", "")
                if self.shapes[-1:] == [shape] and (index in reason if index else not reason):
                    return
                await asyncio.sleep(0.02)


async def test_a_model_that_moves_to_a_remote_and_back(tmp_path: Path) -> None:
    """When the repository is polled, a model is computed by whom its config names, from when that one is ready; until
    then, and while the config can't be read, whoever computed it goes on. The index says why; nobody's request is lost.
    """
    write_model(tmp_path, "m")
    path = tmp_path / "m" / "config.pbtxt"
    triton = SmallTriton([("x", "FP32", (-1, 64))], [("y", "FP32", (-1, 64))], max_batch_size=8)
    flags = ["--model-control-mode", "poll", "--repository-poll-secs", "0.1", "--remote", f"east={triton.address}"]
    async with hone(tmp_path, *flags) as (served, client), asyncio.TaskGroup() as group:
        asker = Asker(client)
        asking = group.create_task(asker.run())
        await asker.hears(Asker.LOCAL, index="")
        path.write_text(REMOTE)
        await asker.hears(Asker.LOCAL, index="can't take over yet: the remote server can't be reached")
        async with running(triton):
            await asker.hears(Asker.REMOTE, index="")
            path.write_bytes(b"\xff\xfe")
            await asker.hears(Asker.REMOTE, index="m/config.pbtxt")
            path.write_text(CONFIG)
            await asker.hears(Asker.LOCAL, index="")
            asking.cancel()

        turns = [shape for shape, before in zip(asker.shapes, [None, *asker.shapes], strict=False) if shape != before]
        assert [Asker.LOCAL, Asker.REMOTE, Asker.LOCAL] == turns
        assert len(triton.asked) == asker.shapes.count(Asker.REMOTE)
        scraped = (await client.get(f"{served.metrics}/metrics")).text
        assert 'hone_model_info{backend="onnxruntime",family="",model="m"' in scraped


async def test_a_load_by_request_of_a_remote_that_is_down(tmp_path: Path) -> None:
    """Whoever asked hears why it isn't taken and what goes on serving; asked again once the remote is up, it is."""
    write_remote(tmp_path)
    west = identity()
    async with running(identity()) as east:
        flags = ["--model-control-mode", "explicit", "--load-model", "m", "--remote", f"east={east.address}"]
        async with hone(tmp_path, *flags, "--remote", f"west={west.address}") as (_, client):
            (tmp_path / "m" / "config.pbtxt").write_text(REMOTE.replace("east", "west"))
            refused = await client.post("/v2/repository/models/m/load", timeout=30)
            assert "can't take over yet: the remote server can't be reached; version 1 goes on" in refused.text
            assert 200 == (await client.post("/v2/models/m/infer", json=BODY)).status_code
            async with running(west):
                assert 200 == (await client.post("/v2/repository/models/m/load", timeout=30)).status_code
                assert 200 == (await client.post("/v2/models/m/infer", json=BODY)).status_code
                assert (400, 1, 1) == (refused.status_code, len(east.asked), len(west.asked))


async def test_a_client_that_hangs_up(tmp_path: Path) -> None:
    """The call at the remote is cancelled when the client closes its connection."""
    write_remote(tmp_path)
    async with running(identity()) as triton, hone(tmp_path, "--remote", f"east={triton.address}") as (_, client):
        triton.gate.clear()
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v2/models/m/infer", json=BODY, timeout=0.3)
        async with asyncio.timeout(10):
            while not triton.cancelled:
                await asyncio.sleep(0.01)


async def test_encrypted(tmp_path: Path, require_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With grpcs:// the connection is encrypted, and a server whose certificate nobody vouches for isn't trusted."""
    key, certificate = make_certificate(require_tool("openssl"), tmp_path)
    repository = tmp_path / "models"
    repository.mkdir()
    write_remote(repository)
    write_remote(repository, "stranger", REMOTE.replace("east", "west"))
    triton = identity()
    triton.credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(certificate))
    remotes = ["--remote", f"east=grpcs://{triton.address}", "--remote", f"west={triton.address}"]
    async with running(triton), hone(repository, *remotes) as (_, client):
        answer = await client.post("/v2/models/m/infer", json=BODY)
        unencrypted = await client.get("/v2/models/stranger/ready")

        assert [1.0, 2.5, -3.0] == answer.json()["outputs"][0]["data"]
        assert 400 == unencrypted.status_code
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    async with running(triton), hone(repository, *remotes) as (_, client):
        assert 503 == (await client.post("/v2/models/m/infer", json=BODY)).status_code


def test_nobody_named_the_remote(tmp_path: Path) -> None:
    """A model of a remote that no flag names isn't served, and the log says which flag would."""
    write_remote(tmp_path)
    code, log = run_to_end(
        ["run", "--model-repository", str(tmp_path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    )

    assert 2 == code
    assert "no --remote east=URL names" in log


def test_wrong_remote(tmp_path: Path) -> None:
    """A flag without a usable address is refused at the start, by name."""
    code, text = run_to_end(["run", "--model-repository", str(tmp_path), "--remote", "east=http://h:1"])

    assert 2 == code
    assert "--remote (HONE_REMOTE)" in text
    assert "grpcs://host:port" in text

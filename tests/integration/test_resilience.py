"""What users are promised when processes die and servers stop: nothing that was accepted is lost."""

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.load import Clients
from tests.integration.models import hanging
from tests.integration.served import CONFIG, Served, serving, start, write_model

KILLS = 100
INSTANCES = 2


@pytest.mark.slow
def test_killing_workers_a_hundred_times_under_load_loses_no_request(tmp_path: Path) -> None:
    """kill -9 of a worker, again and again: every request is answered, and with its own answer."""
    write_model(tmp_path, "mlp", config=CONFIG + f"instance_group [ {{ count: {INSTANCES} kind: KIND_CPU }} ]")
    with serving(tmp_path) as served, Clients(served.address, 8, pause=0.02) as clients:
        descriptors = open_descriptors(served)
        for _ in range(KILLS):
            kill_one(served)
        tally = clients.stop()
        settled = wait_for_workers(served, INSTANCES)

        assert [] == tally.wrong
        assert [] == tally.lost
        assert tally.answered > KILLS
        assert settled
        assert open_descriptors(served) <= descriptors + 2  # client connections closed, nothing else opened


@pytest.mark.parametrize("flags", [(), ("--model-control-mode", "poll", "--repository-poll-secs", "0.2")])
def test_a_worker_comes_back_after_its_file_was_overwritten(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Where it lies, by other bytes that are no model: those that were loaded are loaded again, and nobody notices."""
    config = CONFIG + f"instance_group [ {{ count: {INSTANCES} kind: KIND_CPU }} ]"
    version = write_model(tmp_path, "mlp", config=config)
    with serving(tmp_path, *flags) as served, Clients(served.address, 2, pause=0.02) as clients:
        (version / "model.onnx").write_bytes(b"nonsense")
        time.sleep(1)  # for some looks
        for _ in range(INSTANCES):
            kill_one(served)
        assert INSTANCES == workers_up(served)
        tally = clients.stop()

        assert ([], []) == (tally.wrong, tally.lost)
        assert tally.answered


@pytest.mark.parametrize("instances", [1, 2])
def test_a_worker_that_is_stopped_under_load_loses_no_request(tmp_path: Path, instances: int) -> None:
    """SIGSTOP silences a worker: it is ended when its heartbeat has been missing, what it held is computed by another,
    and a new one takes its place; whoever asked gets the right answer.
    """
    write_model(tmp_path, "mlp", config=CONFIG + f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]")
    with serving(tmp_path) as served, Clients(served.address, 8, pause=0.01) as clients:
        time.sleep(0.3)
        victim = min(served.workers())
        os.kill(victim, signal.SIGSTOP)
        until = time.monotonic() + 20
        while (victim in served.workers() or workers_up(served) < instances) and time.monotonic() < until:
            time.sleep(0.05)
        before = clients.tally.answered
        time.sleep(0.3)
        tally = clients.stop()

        assert ([], []) == (tally.wrong, tally.lost)
        assert tally.answered > before > 0
        assert victim not in served.workers()
        assert instances == workers_up(served) == len(served.workers())
        assert 1 == sample(served, 'hone_worker_restarts_total{device="cpu",model="mlp",reason="silent",version="1"}')


def test_a_request_that_ends_its_worker_each_time_is_refused(tmp_path: Path) -> None:
    """Who is alone at the second end of a worker gets 500, and so does, at once, whoever sends the same again; those
    who were computed together with it get their answers, and the model stays ready.
    """
    write_model(tmp_path, "moody", config=None, model=hanging(666))
    with serving(tmp_path, "--batch-timeout-secs", "1") as served, ThreadPoolExecutor(8) as pool:
        beside = [pool.submit(ask_moody, served, value) for value in range(1, 5)]
        culprit = pool.submit(ask_moody, served, 666)
        beside += [pool.submit(ask_moody, served, value) for value in range(5, 8)]

        assert [(200, float(value)) for value in range(1, 8)] == [answer.result() for answer in beside]
        assert (500, "crashed_worker") == culprit.result()
        ends = sample(served, 'hone_worker_restarts_total{device="cpu",model="moody",reason="batch_timeout"')
        assert (500, "crashed_worker") == ask_moody(served, 666)
        assert (200, 8.0) == ask_moody(served, 8)
        assert (
            ends == sample(served, 'hone_worker_restarts_total{device="cpu",model="moody",reason="batch_timeout"') == 2
        )


def test_several_requests_that_end_their_workers_keep_nobody_from_an_answer(tmp_path: Path) -> None:
    """Different ones at once are each refused as what they are, and those who ask meanwhile are answered."""
    write_model(tmp_path, "moody", config=None, model=hanging(666))
    with serving(tmp_path, "--batch-timeout-secs", "1") as served, ThreadPoolExecutor(16) as pool:
        assert (200, 1.0) == ask_moody(served, 1)
        culprits = [pool.submit(ask_moody, served, 666, number) for number in range(4)]
        beside: list[Future[tuple[int, object]]] = []
        while not all(culprit.done() for culprit in culprits):
            beside.append(pool.submit(ask_moody, served, 7000 + len(beside)))
            time.sleep(0.5)

        assert [(500, "crashed_worker")] * 4 == [culprit.result() for culprit in culprits]
        assert [(200, 7000.0 + number) for number in range(len(beside))] == [answer.result() for answer in beside]


def test_a_worker_that_is_stopped_while_it_starts_is_replaced(tmp_path: Path) -> None:
    """SIGSTOP before the new worker's first heartbeat: it is ended too, and who waits gets an answer."""
    write_model(tmp_path, "moody", config=None, model=hanging(666))
    with serving(tmp_path) as served:
        (first,) = served.workers()
        os.kill(first, signal.SIGKILL)
        until = time.monotonic() + 10
        while not (young := [pid for pid in served.workers() if pid != first and is_worker(pid)]):
            assert time.monotonic() < until
            time.sleep(0.001)
        os.kill(young[0], signal.SIGSTOP)

        assert (200, 1.0) == ask_moody(served, 1)
        assert young[0] not in served.workers()


def is_worker(pid: int) -> bool:
    """Whether the process runs a worker's program already; until then its parent waits for it, in the kernel."""
    return b"service.workers.main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def ask_moody(served: Served, *values: float) -> tuple[int, object]:
    """Status and the first answer, or the reason why there is none."""
    x = {"name": "x", "datatype": "FP32", "shape": [len(values), 1], "data": values}
    url = f"{served.http}/v2/models/moody/infer"
    try:
        with urllib.request.urlopen(url, json.dumps({"inputs": [x]}).encode(), timeout=30) as answer:
            return answer.status, json.load(answer)["outputs"][0]["data"][0]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reason"]


def test_a_model_whose_file_has_gone_starts_its_workers_anew(tmp_path: Path) -> None:
    """What is served doesn't depend on its path any more: the file may be replaced, or its version removed."""
    version = write_model(tmp_path, "mlp")
    with serving(tmp_path) as served, Clients(served.address, 2, pause=0.02) as clients:
        other = tmp_path / "other"
        other.write_bytes(b"another file")
        other.replace(version / "model.onnx")
        replace_worker(served)
        shutil.rmtree(version)
        replace_worker(served)
        tally = clients.stop()

        assert ([], []) == (tally.wrong, tally.lost)
        assert tally.answered


def replace_worker(served: Served) -> None:
    """kill -9 the only worker, and wait for the next."""
    (victim,) = served.workers()
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while (victim in served.workers() or workers_up(served) < 1) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers_up(served) == 1


def kill_one(served: Served) -> None:
    """kill -9 the oldest worker, then wait until a new one takes batches in its place.

    A worker that is killed while it still loads looks as if it couldn't load: the next one would wait for seconds.
    """
    victim = min(served.workers())
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while victim in served.workers() and time.monotonic() < until:
        time.sleep(0.01)
    while workers_up(served) < INSTANCES and time.monotonic() < until:
        time.sleep(0.05)


def workers_up(served: Served) -> float:
    """How many workers take batches, as the metrics tell it."""
    return sample(served, "hone_worker_up{")


def sample(served: Served, beginning: str) -> float:
    """The value of the first sample that begins like this, as the metrics tell it."""
    with urllib.request.urlopen(f"{served.metrics}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(beginning)).rpartition(" ")[2])


def open_descriptors(served: Served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


def wait_for_workers(served: Served, count: int) -> bool:
    until = time.monotonic() + 20
    while len(served.workers()) != count and time.monotonic() < until:
        time.sleep(0.05)
    return len(served.workers()) == count


def are_gone(workers: Iterable[int]) -> bool:
    """True when all have ended, and were reaped, within seconds of their parent's end."""
    until = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_sigterm_under_load_answers_everything_and_leaves_nothing(tmp_path: Path) -> None:
    """After SIGTERM every request that was sent is answered, the exit code is 0 and no process is left."""
    write_model(tmp_path, "mlp")
    for _ in range(3):
        served = start(tmp_path)
        with Clients(served.address, 8) as clients:
            time.sleep(0.7)
            workers = served.workers()
            served.process.send_signal(signal.SIGTERM)
            code = served.process.wait(30)
            tally = clients.stop()

        assert 0 == code
        assert [] == tally.lost
        assert [] == tally.wrong
        assert tally.answered > 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in [*workers, served.process.pid])


def test_sigkill_of_the_server_leaves_no_worker(tmp_path: Path) -> None:
    """Workers end with the front, however it ends."""
    write_model(tmp_path, "mlp")
    served = start(tmp_path)
    workers = served.workers()
    assert workers
    served.process.kill()
    served.process.wait(10)

    assert are_gone(workers)


def test_sigterm_while_models_load_ends_promptly(tmp_path: Path) -> None:
    """A server that is still starting stops as well as one that serves."""
    for number in range(4):
        write_model(tmp_path, f"mlp{number}")
    served = start(tmp_path, wait=False)
    until = time.monotonic() + 20
    while not served.workers() and time.monotonic() < until:
        time.sleep(0.01)
    workers = served.workers()

    began = time.monotonic()
    code = served.stop()

    assert 0 == code
    assert time.monotonic() - began < 10
    assert are_gone(workers)

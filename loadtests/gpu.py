"""Hone on a GPU, for whoever has one: `python -m loadtests.gpu` measures ResNet-50 (pixels) and BERT-base (tokens) in
float16 through the service, against ONNX Runtime's CUDA provider in a loop.

Service and bare runtime take turns, the order turned round each time; what counts is the median of the ratios within a
round. It needs `onnxruntime-gpu` (extra `gpu`), the extras training and loadtests, wrk, and nvidia-smi for the GPU's
name. With `--device cpu` a small network goes the same way on the processor: that shows that the script works, and
nothing about speed.

Exit codes: 0 every target met, 1 something couldn't be measured, 2 no such device here, 4 a target missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
from numpy.typing import NDArray

from loadtests import instruments, results, wrk
from loadtests.gpu_report import Round, Setup, entry, section
from loadtests.lone import check_answer, first_answer
from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.request import JSON_LENGTH, Request, output_of
from loadtests.served import Served, ServerError, hone, leave_on_sigterm
from loadtests.turns import turned
from loadtests.workloads import mlp
from loadtests.workloads.cache import model_file
from loadtests.workloads.catalogue import SIDE, VOCABULARY, W1
from loadtests.workloads.workload import Tensor, Wire, Workload
from service.backends.backend import LoadError
from service.backends.onnxruntime import providers
from service.backends.plan import Plan

NAME = "gpu"
OK, FAILED, NO_DEVICE, MISSED = 0, 1, 2, 4
TOKENS = 128
TOLERANCE = 0.03
"""Largest difference of an answer, as a share of the largest: float16 adds up in another order in other batches."""
START_SECONDS = 300.0

RESNET = Workload(
    name="G1",
    title="ResNet-50, float16, 150 KB binary uint8, normalised in the graph",
    input=Tensor(name="image", datatype="UINT8", dims=(3, SIDE, SIDE)),
    output=Tensor(name="logits", datatype="FP32", dims=(1000,)),
    wire=Wire.BINARY,
    threads=1,
    connections=128,
    turn=5,
    values=lambda random: random.integers(0, 256, (1, 3, SIDE, SIDE)),
)
BERT = Workload(
    name="G2",
    title=f"BERT-base, float16, {TOKENS} tokens, binary",
    input=Tensor(name="input_ids", datatype="INT64", dims=(TOKENS,)),
    output=Tensor(name="pooled", datatype="FP32", dims=(768,)),
    wire=Wire.BINARY,
    threads=1,
    connections=128,
    turn=5,
    values=lambda random: random.integers(1000, VOCABULARY, (1, TOKENS)),
)
SMALL = replace(W1, title="MLP 64-256-256-10, binary", wire=Wire.BINARY)
WORKLOADS = {"cuda": (RESNET, BERT), "cpu": (SMALL,)}


class RawDevice:
    """Owns a session on the device, told what the service's workers tell theirs. Copies count: there and back."""

    def __init__(self, model: bytes, workload: Workload, setup: Setup) -> None:
        name = "cpu" if setup.device == "cpu" else f"{setup.device}:{setup.number}"
        plan = Plan(backend="onnxruntime", path="", device=name, batch_buckets=(workload.max_batch_size,))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = workload.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=providers(plan))
        self._place = (setup.device, setup.number)
        self._names = (workload.input.name, workload.output.name)

    def answer(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """The network's output for a batch."""
        found: NDArray[np.float32] = self._session.run([self._names[1]], {self._names[0]: inputs})[0]
        return found

    def rate(self, row: NDArray[Any], batch: int, seconds: float) -> float:
        """Rows per second of a loop over batches of `row` that are copied there, computed, and copied back."""
        inputs = np.repeat(row, batch, axis=0)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(inputs.copy(), *self._place)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._names[0], value)
        binding.bind_output(self._names[1], *self._place)

        def once() -> None:
            value.update_inplace(inputs)
            self._session.run_with_iobinding(binding)
            binding.copy_outputs_to_cpu()

        once()
        done, started = 0, time.perf_counter()
        while not done or time.perf_counter() - started < seconds:
            once()
            done += batch
        return done / (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code."""
    options = _options(arguments)
    setup = Setup(device=options.device, number=options.gpu, instances=options.instances, graphs=options.graphs)
    leave_on_sigterm()
    entries: dict[str, dict[str, Any]] = {}
    failed = False
    for workload in WORKLOADS[options.device]:
        try:
            entries[workload.name] = entry(workload, measure(workload, setup, options), setup)
        except LoadError as error:
            print(f"{error}; or try --device cpu", file=sys.stderr)
            return NO_DEVICE
        except (ServerError, ValueError, wrk.WrkError) as error:
            print(f"{workload.name}: {error}", file=sys.stderr)
            failed = True
    if not entries:
        return FAILED
    text = section(entries)
    print(text)
    results.write(NAME, text, {"bench": NAME, "workloads": entries}, folder=options.out)
    met = all(one["met"] for one in entries.values())
    return FAILED if failed else OK if met else MISSED


def measure(workload: Workload, setup: Setup, options: argparse.Namespace) -> list[Round]:
    """Start the service, check an answer, and measure it and the runtime in turns.

    Raises ServerError, WrkError, LoadError without the device, or ValueError for a wrong answer.
    """
    _check(setup)
    model = mlp.build() if workload is SMALL else model_file(workload).read_bytes()
    runtime, row = RawDevice(model, workload, setup), workload.sample()
    with tempfile.TemporaryDirectory(prefix="hone-gpu-") as scratch:
        repository, cache = Path(scratch, "models"), str(Path(scratch, "cache"))
        version = repository / workload.model / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(model)
        (repository / workload.model / "config.pbtxt").write_text(config(workload, setup))
        with hone(repository, flags=("--cache-dir", cache), patience=START_SECONDS) as served:
            answer = output_of(first_answer(served.url, workload.request()))
            check_answer(answer, runtime.answer(row), tolerance=TOLERANCE)
            wrk.run(served.url, lean(workload), connections=workload.connections, seconds=options.seconds)
            sizes = _sizes(workload.max_batch_size)
            rates = {size: runtime.rate(row, size, options.seconds / 10) for size in sizes}
            best = sorted(sizes, key=lambda size: -rates[size])[:2]
            turns = [turned(("service", "runtime"), turn) for turn in range(options.rounds)]
            return [_round(workload, served, runtime, best, seconds=options.seconds, order=order) for order in turns]


def config(workload: Workload, setup: Setup) -> str:
    """The workload's config.pbtxt for the device: batches in buckets, by recorded graphs where asked for."""
    kind = "KIND_CPU" if setup.device == "cpu" else f"KIND_GPU gpus: [ {setup.number} ]"
    parameters = {"hone.batch_buckets": ",".join(map(str, _sizes(workload.max_batch_size)))}
    if setup.graphs:
        parameters["hone.cuda_graphs"] = "true"
    text = workload.config().replace("kind: KIND_CPU count: 1", f"kind: {kind} count: {setup.instances}")
    return text + "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n' for key, value in parameters.items()
    )


def _check(setup: Setup) -> None:
    """Raises LoadError at once where the service would after half a minute of making networks."""
    if setup.device != "cpu":
        providers(Plan(backend="onnxruntime", path="", device=f"{setup.device}:{setup.number}"))


def lean(workload: Workload) -> Request:
    """The workload's request, asking for its answer in binary."""
    request = workload.request()
    length = int(request.headers[JSON_LENGTH])
    head = orjson.dumps(orjson.loads(request.body[:length]) | {"parameters": {"binary_data_output": True}})
    return replace(request, body=head + request.body[length:], headers={**request.headers, JSON_LENGTH: str(len(head))})


def _round(
    workload: Workload, served: Served, runtime: RawDevice, best: Sequence[int], *, seconds: int, order: Sequence[str]
) -> Round:
    """Both once."""
    rates: dict[int, float] = {}
    measured: tuple[wrk.Load, float, float] | None = None
    for one in order:
        if one == "runtime":
            rates = {size: runtime.rate(workload.sample(), size, seconds / len(best)) for size in best}
        else:
            measured = _service(workload, served, seconds)
    assert measured is not None
    load, cpu, mean = measured
    return Round(
        throughput=load.throughput,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_micros=cpu / load.requests * 1e6,
        mean_batch=mean,
        raw_rates=rates,
    )


def _service(workload: Workload, served: Served, seconds: int) -> tuple[wrk.Load, float, float]:
    """A turn of load, with the processor seconds and the rows a batch of it."""
    before, used = instruments.batches(served.metrics_url, workload.model), cpu_seconds(served.pid)
    load = wrk.run(served.url, lean(workload), connections=workload.connections, seconds=seconds)
    used = cpu_seconds(served.pid) - used
    wait_until_idle(served.pid)
    return load, used, instruments.batches(served.metrics_url, workload.model).mean_since(before)


def _sizes(largest: int) -> list[int]:
    return [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.gpu", description=__doc__)
    parser.add_argument("--device", choices=WORKLOADS, default="cuda", help="cuda, or cpu to try the script (cuda)")
    parser.add_argument("--gpu", type=int, default=0, help="which GPU (0)")
    parser.add_argument("--instances", type=int, default=2, help="workers, so that one copies while one computes (2)")
    parser.add_argument("--graphs", action="store_true", help="compute by recorded CUDA graphs")
    parser.add_argument("--rounds", type=int, default=8, help="turns that service and runtime have each (8)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a turn (5)")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder for RESULTS.md and its JSON twin")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

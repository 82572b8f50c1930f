"""What runs inside a worker process: load what the plan says, then answer one RUN after the other.

Started as `python -m service.workers.main FD`, FD being the worker's end of the seqpacket socket. It ends on STOP,
when the front closes its end, and, by the kernel's hand, when the front dies.
"""

import ctypes
import gc
import hashlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.external_data import asks_for_other_files
from service.backends.backend import DEVICE_FAULT, Backend, DeviceFault, LoadError, RunError, open_backend
from service.backends.plan import Plan
from service.backends.reshaped import as_clients_see
from service.datatypes import BYTES, NUMPY_DTYPES
from service.workers import wire
from service.workers.bindings import Bindings, Bound
from service.workers.frames import (
    ATTACHED,
    FINAL,
    Frame,
    FrameError,
    Kind,
    decode,
    repeat,
    view_tensors,
)
from service.workers.payloads import Failure, Ready, Timings
from service.workers.region import Region, TensorWriter

_MAX_DESCRIPTORS = 8
_PR_SET_PDEATHSIG = 1


class Worker:
    """Owns the socket, the slots and the backend of this process."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._plan = Plan(backend="", path="")
        self._number = 0
        self._backend: Backend | None = None
        self._sha256 = ""
        self._slots: list[Region] = []
        self._names: tuple[str, ...] = ()
        self._outputs: list[str] = []
        self._datatypes: list[str] = []
        self._bindings: Bindings | None = None

    def serve(self) -> None:
        """Answer frames until STOP or the end of the socket."""
        while True:
            data, descriptors = wire.receive(self._socket, _MAX_DESCRIPTORS)
            if not data:
                return
            bound = self._bindings.find(data) if self._bindings else None
            if bound:
                self._run_bound(data, bound)
                continue
            frame = decode(data)
            if frame.kind is Kind.RUN:
                self._run(data, frame, descriptors)
            elif frame.kind is Kind.PLAN:
                self._replan(frame, descriptors)
            elif frame.kind is Kind.STOP:
                return
            else:
                raise FrameError(f"{frame.kind.name} isn't for a worker")

    def _fail(self, frame: Frame, text: str) -> None:
        payload = msgspec.json.encode(Failure(text=text))
        wire.send(
            self._socket,
            Frame(kind=Kind.FAIL, sequence=frame.sequence, plan=frame.plan, slot=frame.slot, payload=payload),
        )

    def _replan(self, frame: Frame, descriptors: list[int]) -> None:
        plan = msgspec.json.decode(frame.payload, type=Plan)
        refusal = ""
        try:
            if self._backend is None:
                os.nice(plan.nice)  # before the runtime starts threads, which inherit it
                model = _read_model(plan)
                self._sha256 = hashlib.sha256(model).hexdigest()
                _check_model(model, plan.sha256, self._sha256)
                self._backend = open_backend(plan, model)
            self._backend = as_clients_see(self._backend, plan)
            self._slots = [Region.attach(descriptor) for descriptor in descriptors]
            for slot in self._slots:
                self._backend.adopt(slot.memory)
            self._plan, self._number = plan, frame.plan
            self._names = tuple(spec.name for spec in plan.inputs)
            self._outputs = [spec.name for spec in plan.outputs]
            self._datatypes = [spec.datatype for spec in plan.outputs]
            self._bindings = Bindings(self._backend, plan)
            for rows in plan.warm_batches:
                refusal = refusal or self._warm(plan, rows)
        except (LoadError, RunError) as error:
            self._fail(frame, str(error))
            return
        except MemoryError:
            self._fail(frame, f"not enough memory for the model at {max(plan.warm_batches, default=1)} rows")
            return
        if not plan.slots:
            _Pulse(self._socket, plan.beat_seconds).start()
        gc.freeze()  # what is loaded stays: the collector need not look at it again
        backend = self._backend
        ready = Ready(signature=backend.signature, runtime=backend.runtime, sha256=self._sha256, refusal=refusal)
        try:
            wire.send(self._socket, Frame(kind=Kind.READY, plan=frame.plan, payload=msgspec.json.encode(ready)))
        except FrameError as error:
            self._fail(frame, f"the model has too many or too long names: {error}")

    def _warm(self, plan: Plan, rows: int) -> str:
        """Compute zeros once; why the runtime refuses them, if it does.

        Nobody asked for zeros, so that is no reason against the model. Raises RunError where the run was to record a
        graph: without one the model can't serve as it was asked to.
        """
        assert self._backend
        try:
            self._backend.run(self._names, _zeros(plan, rows), self._outputs)
        except RunError as error:
            if plan.cuda_graphs:
                raise
            return str(error)
        return ""

    def _run_bound(self, data: bytes, bound: Bound) -> None:
        began = time.perf_counter_ns()
        try:
            bound.compute()
        except RunError as error:
            self._fail(decode(data), str(error))
            return
        timings = Timings(input=0, infer=time.perf_counter_ns() - began, output=0)
        self._socket.send(repeat(bound.answer, data, timings.pack()))

    def _run(self, data: bytes, frame: Frame, descriptors: list[int]) -> None:
        if frame.plan != self._number or self._backend is None or not 0 <= frame.slot < len(self._slots):
            raise FrameError(f"RUN for plan {frame.plan}, slot {frame.slot}: there is none")
        began = time.perf_counter_ns()
        slot = self._slots[frame.slot]
        source = Region.attach(descriptors[0]) if frame.flags & ATTACHED else slot
        inputs = view_tensors(frame.tensors, source.memory, len(self._names))
        loaded = time.perf_counter_ns()
        try:
            results = self._backend.run(self._names, inputs, self._outputs)
            _check_outputs(results, self._plan.max_output_bytes)
        except RunError as error:
            self._fail(frame, str(error))
            return
        finally:
            if source is not slot:
                source.close()
        ran = time.perf_counter_ns()
        end = 0 if source is not slot else max([extent.offset + extent.nbytes for extent in frame.tensors], default=0)
        extents, region = TensorWriter(slot, end).pack(self._datatypes, [[result] for result in results])
        timings = Timings(input=loaded - began, infer=ran - loaded, output=time.perf_counter_ns() - ran)
        spilled = region is not slot
        flags = FINAL | ATTACHED if spilled else FINAL
        answer = Frame(
            kind=Kind.RESULT,
            sequence=frame.sequence,
            plan=frame.plan,
            slot=frame.slot,
            flags=flags,
            tensors=extents,
            payload=timings.pack(),
        )
        wire.send(self._socket, answer, [region] if spilled else ())
        if spilled:
            region.close()
        if self._bindings:
            self._bindings.prepare(data, frame, inputs, answer, slot)


class _Pulse(threading.Thread):
    """Says at a steady rate that the process is alive, also while a batch is being computed."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__(name="pulse", daemon=True)
        self._socket = connection
        self._seconds = seconds

    def run(self) -> None:
        """Send a BEAT until the socket is gone."""
        while True:
            try:
                wire.send(self._socket, Frame(kind=Kind.BEAT))
            except OSError:
                return
            time.sleep(self._seconds)


def _read_model(plan: Plan) -> bytes:
    """The model file's bytes: they are checked here, so that what was checked is what is loaded. Raises LoadError."""
    if not plan.path:
        return b""
    try:
        model = Path(plan.path).read_bytes()
    except OSError as error:
        raise LoadError(f"can't read the model file: {error.strerror}") from error
    return model


def _check_outputs(results: Sequence[NDArray[Any]], limit: int) -> None:
    """Raises RunError for more than the front should have to hold; some models decide by their input how much it is."""
    size = sum([result.nbytes for result in results])
    if size > limit:
        raise RunError(f"the outputs have {size} bytes, the limit for a batch is {limit}")


def _check_model(model: bytes, expected: str, found: str) -> None:
    """Raises LoadError unless these are the bytes that are to be served, and all of them."""
    if expected not in ("", found):
        raise LoadError("the model file isn't the one that card.json, or the first load, gave the SHA-256 of")
    try:
        if model and asks_for_other_files(model):
            raise LoadError("the model keeps tensors in other files (external data); export it as one file")
    except ValueError as error:
        raise LoadError(f"the model file isn't ONNX: {error}") from error


def _zeros(plan: Plan, rows: int) -> list[NDArray[Any]]:
    """One input of zeros per spec; dims that vary are 1."""
    arrays: list[NDArray[Any]] = []
    for spec in plan.inputs:
        dims = [dim if isinstance(dim, int) and dim >= 0 else 1 for dim in spec.dims]
        shape = [rows, *dims] if plan.max_batch_size else dims
        filled = np.zeros(shape, NUMPY_DTYPES[spec.datatype])
        if spec.datatype == BYTES:
            filled.fill(b"")
        arrays.append(filled)
    return arrays


def main() -> None:
    """Entry of the process."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the front died before the line above took effect
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the front decides when we end
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            Worker(connection).serve()
        except (BrokenPipeError, ConnectionResetError):
            return  # the front is gone, and nobody is left to answer
        except DeviceFault:
            sys.exit(DEVICE_FAULT)  # another process may be able to use the device again, this one isn't


if __name__ == "__main__":
    main()

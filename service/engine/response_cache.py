"""Answers that were given before, for requests that ask the same again: Triton's response cache.

A request is looked up once it is known to fit its model, and before it is admitted: a hit neither waits nor is refused
for lack of time or room. Equal requests at the same moment are all computed; the first answer is kept.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from sys import getsizeof
from typing import Any

import msgspec
import structlog
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.engine.exchange import Exchange, Receiver, end_all
from service.engine.inputs_digest import digest_inputs
from service.errors import HoneError
from service.messages import InferResponse, Tensor
from service.metrics import ModelMetrics
from service.turn import Turn

ENTRY_BYTES = 512
"""What an entry takes besides its arrays: its key, and its places in the tables."""
LARGEST = 4
"""An answer beyond this fraction of the bound isn't kept: it would drive out too many others."""
_SECRET_BYTES = 32
_AT_ONCE = 1000
_log = structlog.get_logger()


class _Entry(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """One answer: its arrays, nobody else's and read-only, in the order in which they were asked for.

    The collector of cycles doesn't look at entries, of which there may be a million: whoever holds them drops them.
    """

    model: "ModelCache"
    arrays: tuple[NDArray[Any], ...]
    nbytes: int


class ResponseCache:
    """Owns the answers that are kept of all models, `most_bytes` of them; the one last used longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.nbytes = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, config: ModelConfig, version: str, metrics: ModelMetrics) -> "ModelCache | None":
        """A generation's part of it; None, with a line in the log, where none of its answers may be kept."""
        log = _log.bind(model=config.name, version=version)
        if not self.most_bytes:
            log.warning("response_cache needs --response-cache-byte-size: no answer is kept")
            return None
        if not metrics.batch_independent:
            log.warning("what a batch-mate may change isn't kept: response_cache is ignored")
            return None
        return ModelCache(self, config, version, metrics)

    def get(self, key: bytes) -> tuple[NDArray[Any], ...] | None:
        """The arrays of the answer under this key, if it is there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.arrays

    def fits(self, nbytes: int) -> bool:
        """Whether an answer of as many bytes is kept."""
        return nbytes * LARGEST <= self.most_bytes

    def put(self, key: bytes, model: "ModelCache", arrays: tuple[NDArray[Any], ...], nbytes: int) -> None:
        """Keep an answer that fits and isn't there yet."""
        while self.nbytes + nbytes > self.most_bytes:
            self.drop(next(iter(self._entries)))
        self._entries[key] = _Entry(model=model, arrays=arrays, nbytes=nbytes)
        self.nbytes += nbytes
        model.keys.add(key)
        model.metrics.cache_bytes += nbytes

    def drop(self, key: bytes) -> None:
        """Forget an answer."""
        entry = self._entries.pop(key)
        self.nbytes -= entry.nbytes
        entry.model.keys.remove(key)
        entry.model.metrics.cache_bytes -= entry.nbytes


class ModelCache:
    """Owns which answers of one generation are kept, by their `keys`, and the requests that are about to have theirs.

    A key is a digest that begins with a secret of this generation's own, so no other's answer is ever found. SHA-256,
    since processors have instructions for it: 1.5 GB a second where BLAKE2 took in 0.6.
    """

    def __init__(self, cache: ResponseCache, config: ModelConfig, version: str, metrics: ModelMetrics) -> None:
        self.keys: set[bytes] = set()
        self.metrics = metrics
        self._cache = cache
        self._model = config.name
        self._version = version
        self._blank = sha256(os.urandom(_SECRET_BYTES))
        self._blank.update(repr([(spec.name, spec.datatype) for spec in config.inputs]).encode())
        self._turn = Turn.of(asyncio.get_running_loop())
        self._due: list[tuple[Exchange, tuple[NDArray[Any], ...], float]] = []
        self._closed = self._has_refused = False

    def answers(self, exchange: Exchange) -> bool:
        """Whether it is answered from the cache: later in this turn of the loop, never within this call. If it isn't,
        the answer that it is going to have will be kept.
        """
        began = time.perf_counter()
        key = self._key(exchange)
        arrays = self._cache.get(key)
        seconds = time.perf_counter() - began
        if arrays is None:
            exchange.receiver = _Keeper(exchange.receiver, self, key, seconds)
            return False
        exchange.started = exchange.admitted  # nobody need take it out of a queue when it ends
        if not self._due:
            self._turn.last(self._answer)
        self._due.append((exchange, arrays, seconds))
        return True

    def keep(self, key: bytes, outputs: Sequence[Tensor]) -> None:
        """Copy an answer, unless it is there already or too large."""
        if self._closed or self._cache.get(key) is not None:
            return
        nbytes = ENTRY_BYTES + sum([_bytes_of(tensor.array) for tensor in outputs])
        if not self._cache.fits(nbytes):
            self._refuse(nbytes)
            return
        arrays = tuple([tensor.array.copy() for tensor in outputs])
        for array in arrays:
            array.flags.writeable = False
        self._cache.put(key, self, arrays, nbytes)

    async def close(self) -> None:
        """Forget all answers and keep no more; what is about to be answered still is. Others have their turn."""
        self._closed = True
        while self.keys:
            for key in [key for key, _ in zip(self.keys, range(_AT_ONCE), strict=False)]:
                self._cache.drop(key)
            await asyncio.sleep(0)

    def _key(self, exchange: Exchange) -> bytes:
        digest = self._blank.copy()
        digest.update(f"{[position for position, _ in exchange.outputs]}{exchange.lengths}".encode())
        digest_inputs(digest.update, exchange.inputs)
        return digest.digest()

    def _answer(self) -> None:
        due, self._due = self._due, []
        for exchange, arrays, seconds in due:
            began = time.perf_counter()
            response = self._response(exchange, arrays)
            taken = time.perf_counter() - began
            exchange.emit(response)
            if not exchange.ended:
                self.metrics.looked_up(seconds + taken, hit=True)
        end_all([exchange for exchange, _, _ in due], None)

    def _response(self, exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> InferResponse:
        outputs = [
            Tensor(name=spec.name, datatype=spec.datatype, array=array)
            for (_, spec), array in zip(exchange.outputs, arrays, strict=True)
        ]
        return InferResponse(model=self._model, version=self._version, outputs=tuple(outputs), id=exchange.request.id)

    def _refuse(self, nbytes: int) -> None:
        if not self._has_refused:
            _log.warning(
                "an answer is too large for the response cache", model=self._model, version=self._version, bytes=nbytes
            )
        self._has_refused = True


class _Keeper:
    """Stands before a receiver, and has the answer kept that it hands on. Implements `Receiver`."""

    def __init__(self, receiver: Receiver, model: ModelCache, key: bytes, seconds: float) -> None:
        self._receiver = receiver
        self._model = model
        self._key = key
        self._seconds = seconds

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        self._receiver.emit(response)
        began = time.perf_counter()
        self._model.keep(self._key, response.outputs)
        self._seconds += time.perf_counter() - began

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        if error is None:
            self._model.metrics.looked_up(self._seconds, hit=False)
        self._receiver.finish(error)


def _bytes_of(array: NDArray[Any]) -> int:
    """What a copy of it takes in memory. Elements of BYTES are objects of their own, which the copy shares."""
    size = getsizeof(array) + (0 if array.flags.owndata else array.nbytes)
    return size + sum(map(getsizeof, array.ravel().tolist())) if array.dtype.hasobject else size

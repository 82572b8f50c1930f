"""Writes one text: asks the decoder for the next token, chooses it, gives it out, and goes on from it."""

import asyncio
import time
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from service.artifact.generate import TEXT_OUTPUT, Generate
from service.datatypes import BYTES, NUMPY_DTYPES, numbers, one_element
from service.engine.exchange import Exchange
from service.engine.served_model import ServedModel
from service.engine.text.sampler import Sampler
from service.engine.text.stops import Stops
from service.engine.text.tokens import Tokens
from service.engine.text.wishes import Wishes
from service.errors import BackendError, DeadlineExceeded, HoneError, InvalidRequest
from service.messages import InferRequest, InferResponse, Parameters, Tensor

_log = structlog.get_logger()


class Author:
    """Owns one text and the task that writes it. Each token is a step of the decoder's sequence number `sequence`, so
    that texts that are written at the same time share batches.

    The last answer says why the text ended (`finish_reason`: `eos`, `stop` or `length`) and how many tokens there were.
    """

    def __init__(
        self,
        exchange: Exchange,
        wishes: Wishes,
        generate: Generate,
        tokens: Tokens,
        decoder: ServedModel,
        *,
        sequence: int,
    ) -> None:
        self._exchange = exchange
        self._wishes = wishes
        self._generate = generate
        self._tokens = tokens
        self._decoder = decoder
        self._sequence = sequence
        self._reader = tokens.reader()
        self._stops = Stops(wishes.stops)
        self._sampler = Sampler(sampling=wishes.sampling)
        self._streams = exchange.request.streams and wishes.stream
        self._unsaid: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Nobody waits for it any more, or it is written."""
        if self._task and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self) -> None:
        exchange = self._exchange
        try:
            prompt = await asyncio.to_thread(self._prompt)
            await self._write(prompt)
        except HoneError as error:
            exchange.fail(error)
        except asyncio.CancelledError:
            raise
        except BaseException:  # a fault of ours, or a panic of the tokenizer, must end the exchange
            _log.exception("can't write a text", **exchange.request.named)
            exchange.fail(BackendError("internal error while the text was written; the log has the trace"))
        finally:
            if self._decoder.sequences:
                self._decoder.sequences.end(self._sequence)

    def _prompt(self) -> list[int]:
        """The tokens to begin with. Raises InvalidRequest for none, and for more than there is room for."""
        text: bytes = self._exchange.inputs[0].ravel()[0]
        found, room = self._tokens.encode(text.decode()), self._generate.context
        if not 0 < len(found) < room:
            raise InvalidRequest(f"text_input has {len(found)} tokens, this model takes 1 to {room - 1}")
        return found

    async def _write(self, prompt: list[int]) -> None:
        most = min(self._wishes.max_tokens, self._generate.context - len(prompt))
        logits = await self._read(prompt)
        for number in range(1, most + 1):
            token = self._sampler.choose(logits)
            if token == self._generate.eos:
                return self._end("eos", number)
            text = self._stops.add(self._reader.add(token))
            if self._stops.reached:
                self._unsaid.append(text)
                return self._end("stop", number)
            self._say(text)
            if self._exchange.ended:  # the client can't take it
                return None
            if number < most:
                logits = await self._step([token], first=False)
        return self._end("length", most)

    async def _read(self, prompt: list[int]) -> NDArray[Any]:
        """The logits behind the prompt: in one step, where the decoder takes several tokens at once."""
        if self._decoder.config.inputs[0].shape == (-1,):
            return await self._step(prompt, first=True)
        for number, token in enumerate(prompt[:-1]):
            await self._step([token], first=number == 0)
        return await self._step(prompt[-1:], first=len(prompt) == 1)

    async def _step(self, tokens: list[int], *, first: bool) -> NDArray[Any]:
        """The logits [vocabulary] of what may follow these tokens."""
        exchange, spec = self._exchange, self._decoder.config.inputs[0]
        left = exchange.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"not written within {exchange.deadline - exchange.admitted:.3g} s")
        step = _Step()
        request = InferRequest(
            model=exchange.request.model,
            version=exchange.request.version,
            inputs=(
                Tensor(name=spec.name, datatype=spec.datatype, array=np.array([tokens], NUMPY_DTYPES[spec.datatype])),
            ),
            outputs=(self._generate.logits,),
            parameters={"sequence_id": self._sequence, "sequence_start": first},
            timeout=left,
            protocol=exchange.request.protocol,
        )
        asked = self._decoder.submit(request, step)
        try:
            return await step.logits
        finally:
            asked.cancel()  # has no effect on one that has ended

    def _say(self, text: str) -> None:
        """Give out what was added, at once if the client wants that."""
        self._unsaid.append(text)
        if self._streams and (said := "".join(self._unsaid)):
            self._unsaid.clear()
            self._exchange.emit(self._response(said, {}, final=False))

    def _end(self, reason: str, number: int) -> None:
        rest = "" if self._stops.reached else self._stops.rest()
        parameters: Parameters = {"finish_reason": reason, "generated_tokens": number}
        self._exchange.answer(self._response("".join([*self._unsaid, rest]), parameters, final=True))

    def _response(self, text: str, parameters: Parameters, *, final: bool) -> InferResponse:
        array = one_element(text.encode(), self._exchange.inputs[0].ndim)
        return InferResponse(
            model=self._decoder.name,
            version=self._decoder.version,
            outputs=(Tensor(name=TEXT_OUTPUT, datatype=BYTES, array=array),),
            id=self._exchange.request.id,
            final=final,
            parameters=parameters,
        )


class _Step:
    """Waits for the logits of one step. Implements `Receiver`."""

    def __init__(self) -> None:
        self.logits: asyncio.Future[NDArray[Any]] = asyncio.get_running_loop().create_future()
        self._last: NDArray[Any] | None = None

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        (output,) = response.outputs
        row = output.array.reshape(-1, output.array.shape[-1])[-1]
        self._last = np.array(numbers(output.datatype, row))

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        if self.logits.done():
            return
        if error is not None or self._last is None:
            self.logits.set_exception(error or BackendError("the decoder gave no answer"))
        else:
            self.logits.set_result(self._last)

"""A generation that writes texts: what clients see of a decoder that computes the next token."""

import asyncio
from collections.abc import Collection, Sequence
from itertools import count

from service.artifact.config import ModelConfig, text_config
from service.artifact.generate import Generate
from service.engine.admission import Admission
from service.engine.device import Devices
from service.engine.exchange import Exchange, Receiver
from service.engine.scheduling.expiry import Expiry
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.engine.text.author import Author
from service.engine.text.tokens import Tokens
from service.engine.text.wishes import wishes_of
from service.errors import ArtifactError, Draining, HoneError, InvalidRequest, NotReady, QueueFull, WorkerLost
from service.messages import InferRequest
from service.metrics import ModelMetrics

_BYTES_A_TOKEN = 32
"""Of a prompt, at most: texts have about four."""


class TextModel:
    """Owns the decoder and the tokenizer of one generation, and the texts that are being written.

    Implements `Servable`. Requests that are counted are those for texts, batches and rows are those of the decoder's
    steps, which texts that are written at the same time share. `config` is what clients see: a text is one row.
    """

    def __init__(self, source: ModelSource, devices: Devices, metrics: ModelMetrics, limits: EngineLimits) -> None:
        assert source.config
        assert source.config.hone.generate
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self.config: ModelConfig = text_config(source.config)
        self._generate: Generate = source.config.hone.generate
        self._decoder = ServedModel(source, devices, metrics, limits, requests=ModelMetrics())
        self._admission = Admission(self.config, metrics, default_deadline=limits.default_deadline)
        self._most = limits.max_queued_requests
        self._numbers = count(1)
        self._tokens: Tokens | None = None
        self._authors: dict[Exchange, Author] = {}
        self._expiry = Expiry(lambda: self._authors, (), _never)

    @property
    def ready(self) -> bool:
        """Whether a worker is there to compute."""
        return self._decoder.ready

    @property
    def problem(self) -> str:
        """Why no worker is there to compute; empty while one is."""
        return self._decoder.problem

    @property
    def transformation(self) -> None:
        """See `Servable`: nothing makes its inputs."""

    @property
    def sequences(self) -> None:
        """See `Servable`: those of its texts are its own."""

    async def load(self) -> None:
        """Read the tokenizer and load the decoder. Raises ArtifactError with what is wrong with either."""
        self._tokens = await asyncio.to_thread(Tokens, self.config.tokenizer, source=self.name)
        await self._decoder.load()
        try:
            self._check()
        except ArtifactError:
            await self._decoder.stop()
            raise

    def _check(self) -> None:
        """Raises ArtifactError unless the decoder has the tensors that the configuration names."""
        config, said = self._decoder.config, self._generate
        inputs = {spec.name: spec for spec in config.inputs}
        outputs = {spec.name: spec for spec in config.outputs}
        place = f"{config.origin}: hone.generate"
        if list(inputs) != [said.token]:
            raise ArtifactError(f'{place}: token is "{said.token}", the inputs besides states are {sorted(inputs)}')
        if said.logits not in outputs:
            raise ArtifactError(f'{place}: logits is "{said.logits}", the outputs besides states are {sorted(outputs)}')
        token = inputs[said.token]
        if token.datatype not in ("INT64", "INT32") or token.shape not in ((-1,), (1,)):
            raise ArtifactError(
                f'{place}: input "{said.token}" is {token.datatype} {list(token.shape)}, expected INT64 or INT32 [-1]'
                " or [1]"
            )

    # -- requests

    def precheck(self, timeout: float | None) -> None:
        """Raises NotReady while no worker is there: how long a text will be, headers don't say."""
        del timeout
        if self._tokens is None:
            raise NotReady(f'model "{self.name}" is still loading')

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Begin to write a text. Raises a HoneError when the request isn't taken."""
        if self._tokens is None:
            raise NotReady(f'model "{self.name}" is still loading')
        self._check_rows(request)
        exchange = self._admission.exchange(request, receiver, self)
        wishes = wishes_of(request.parameters)
        self._check_prompt(exchange.inputs[0].ravel()[0])
        if len(self._authors) >= self._most:
            raise QueueFull(f"{self._most} texts are being written, which is the limit")
        author = Author(exchange, wishes, self._generate, self._tokens, self._decoder, sequence=next(self._numbers))
        exchange.started = exchange.admitted  # its steps wait, it doesn't
        self._authors[exchange] = author
        self._expiry.watch(exchange.deadline)
        self._admission.live += 1
        author.start()
        return exchange

    def _check_rows(self, request: InferRequest) -> None:
        """Raises InvalidRequest for several texts, which the contract would have made into parts."""
        for tensor in request.inputs:
            rows = tensor.array.shape[0] if self.config.max_batch_size and tensor.array.ndim else 1
            if rows != 1:
                raise InvalidRequest(f'{rows} rows, but model "{self.name}" writes one text a request')

    def _check_prompt(self, text: bytes) -> None:
        """Raises InvalidRequest for one that can't be short enough: cutting texts into tokens holds the interpreter."""
        most = _BYTES_A_TOKEN * self._generate.context
        if len(text) > most:
            raise InvalidRequest(
                f"text_input has {len(text)} bytes, at most {most} are read for {self._generate.context} tokens"
            )

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        self._admission.ended(exchanges, error)
        for exchange in exchanges:
            self._authors.pop(exchange).stop()

    # -- the end

    async def linger(self, seconds: float) -> None:
        """See `Servable`."""
        await self._admission.drain(seconds)

    async def drain(self, seconds: float) -> bool:
        """Wait until all texts are written, for so long at most; whether they are."""
        return await self._admission.drain(seconds)

    def interrupt(self) -> None:
        """End all texts that are being written."""
        for exchange in list(self._authors):
            exchange.fail(Draining("the server is stopping, and the text isn't finished"))

    async def stop(self) -> None:
        """End the decoder; texts that are being written fail."""
        self._expiry.stop()
        for exchange in list(self._authors):
            exchange.fail(WorkerLost("the model was stopped"))
        await self._decoder.stop()


def _never(exchanges: Collection[Exchange]) -> None:
    """Nothing is delayed here."""

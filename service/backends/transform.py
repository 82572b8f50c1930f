"""A backend without a model: it makes tensors of pictures and texts, by the steps that come with each.

They come from anybody, so that they are decoded in a process that nothing but them suffers from. It takes `order`, an
`Order` as JSON, `content`, a picture's file or a text, and `tokenizer`, the file that the steps of a text name, all of
them UINT8 [n]. It gives `tensors`, the bytes of one after the other in the order of the steps, and `shapes`, a list of
theirs as JSON, both UINT8 [n]. Tokenizers are kept, so `tokenizer` may be empty: where it isn't known, nothing is made,
and it is to be sent.
"""

import resource
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.artifact.picturing import PictureError, picture_tensor
from service.artifact.signature import Signature, TensorSpec
from service.artifact.tokenizer import load_tokenizer
from service.artifact.tokenizing import TextError, text_tensors
from service.backends.backend import RunError, one_line
from service.backends.order import Order

_INPUTS, _OUTPUTS = ("order", "content", "tokenizer"), ("tensors", "shapes")
SIGNATURE = Signature(
    inputs=tuple(TensorSpec(name=name, datatype="UINT8", dims=(-1,)) for name in _INPUTS),
    outputs=tuple(TensorSpec(name=name, datatype="UINT8", dims=(-1,)) for name in _OUTPUTS),
)
MOST_MEMORY = 2 << 30
"""Bytes of address space that the process may have: what a picture does to it, it does to nobody else."""
KEPT = 4
"""Tokenizers at most; those of many languages take a hundred megabytes."""


class TransformBackend:
    """Owns the tokenizers that were used last, by their digests."""

    def __init__(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        self.signature = SIGNATURE
        self.runtime = "pillow, tokenizers"
        self._tokenizers: OrderedDict[str, Tokenizer] = OrderedDict()

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """See `Backend`."""
        given = {name: array.tobytes() for name, array in zip(names, inputs, strict=True)}
        order = msgspec.json.decode(given["order"], type=Order)
        try:
            made = self._made(order, given["content"], given["tokenizer"])
        except (PictureError, TextError) as error:
            raise RunError(str(error)) from error
        except MemoryError:
            raise RunError("it takes more memory to decode than it may") from None
        found = {
            "tensors": np.frombuffer(b"".join(array.tobytes() for array in made), np.uint8),
            "shapes": np.frombuffer(msgspec.json.encode([array.shape for array in made]), np.uint8),
        }
        return [found[name] for name in outputs]

    def _made(self, order: Order, content: bytes, tokenizer: bytes) -> list[NDArray[Any]]:
        """The tensors, none where the tokenizer has to be sent. Raises PictureError or TextError."""
        if not order.tokenizer:
            return [picture_tensor(content, steps) for steps in order.transforms.values()]
        known = self._tokenizers.get(order.tokenizer)
        if known is None:
            if not tokenizer:
                return []
            known = self._tokenizers[order.tokenizer] = load_tokenizer(tokenizer.decode(), source="card.json")
        self._tokenizers.move_to_end(order.tokenizer)
        if len(self._tokenizers) > KEPT:
            self._tokenizers.popitem(last=False)
        try:
            return list(text_tensors(content, order.transforms, known).values())
        except TextError:
            raise
        except BaseException as error:
            if not isinstance(error, Exception):  # a panic of the library, and nobody knows what it leaves
                del self._tokenizers[order.tokenizer]
            raise TextError(f"the text can't be tokenized: {one_line(str(error))}") from error

    def adopt(self, memory: memoryview) -> None:
        """See `Backend`: nothing is done with it."""

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> Callable[[], None] | None:
        """See `Backend`: never."""
        del names, inputs, output_names, outputs
        return None

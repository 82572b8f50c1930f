"""What the worker that decodes pictures and texts is told with each of them."""

import msgspec

from service.artifact.card import Transform


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made: steps by the names of inputs, and the SHA-256 of the tokenizer that they name, if any."""

    transforms: dict[str, tuple[Transform, ...]]
    tokenizer: str = ""

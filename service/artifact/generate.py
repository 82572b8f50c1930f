"""How a model that computes the next token of a text is served as one that writes texts: `hone.generate`.

In a config's parameters: `hone.generate` = `token=input_ids logits=logits eos=0 context=256`. `token` is the input that
takes token ids, [batch, time] or [batch, 1]; `logits` the output [batch, time, vocabulary] or [batch, vocabulary];
`eos` the id that ends a text; `context` the most tokens that a text may have, the prompt's included. What clients see
are `text_input` and `text_output`; the tokenizer is `tokenizer.json` in the model's folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.artifact.lengths import words
from service.errors import ArtifactError

GENERATE = "hone.generate"
_STRING = 13  # DataType.TYPE_STRING
TEXT_INPUT, TEXT_OUTPUT = "text_input", "text_output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Generate:
    """`eos` is None where no token ends a text."""

    token: str
    logits: str
    eos: int | None
    context: int


def read_generate(values: Mapping[str, str], *, source: str) -> Generate | None:
    """What a config's parameters say; None where they don't. Raises ArtifactError."""
    text = values.get(GENERATE)
    if text is None:
        return None
    place = f'{source}: parameters: "{GENERATE}"'
    said = words(text, ("token", "logits", "eos", "context"), ("token", "logits", "context"), place)
    context = _count(said["context"], "context", place)
    if context < 1:
        raise ArtifactError(f"{place}: context is 0, expected the most tokens of a text")
    eos = _count(said["eos"], "eos", place) if "eos" in said else None
    return Generate(token=said["token"], logits=said["logits"], eos=eos, context=context)


def complete_generate(written: Any, generate: Generate | None, *, source: str) -> None:
    """Check the message `ModelConfig` of a model that writes texts, and write into it what clients see of it.

    Raises ArtifactError, also for a model that gives several answers and writes no texts.
    """
    if generate is None:
        if written.model_transaction_policy.decoupled:
            raise ArtifactError(f"{source}: model_transaction_policy.decoupled: only models with {GENERATE} can be so")
        return
    if not written.sequence_batching.state:
        raise ArtifactError(f"{source}: {GENERATE}: sequence_batching must name the states that a text goes on from")
    for role, tensors, name in (("input", written.input, TEXT_INPUT), ("output", written.output, TEXT_OUTPUT)):
        if not tensors:
            tensors.add(name=name, data_type=_STRING, dims=[1])
        (only, *others) = tensors
        if others or (only.name, only.data_type, list(only.dims)) != (name, _STRING, [1]):
            raise ArtifactError(f'{source}: {GENERATE}: the only {role} is "{name}", TYPE_STRING, dims [ 1 ]')
    written.model_transaction_policy.decoupled = True


def decoder_of(written: Any) -> Any:
    """A copy of the message without what makes texts: the model that computes the next token."""
    copy = type(written)()
    copy.CopyFrom(written)
    for field in ("input", "output", "model_transaction_policy"):
        copy.ClearField(field)
    del copy.parameters[GENERATE]
    return copy


def _count(text: str, word: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ArtifactError(f"{place}: {word} is {text!r}, expected a whole number")
    return int(text)

"""A text generator as it is published: how a server continues a text with it, and keeps what it has read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from training.data.tokenized import TOKENIZER
from training.data.tokens import Ids
from training.graph import tensors_in
from training.machine import machine
from training.model_config import described, keep_states, written
from training.networks.decoder import DecoderConfig
from training.publish import Golden, Release
from training.session import Step, open_stepper
from training.stepwise import INPUTS, OUTPUTS, empty

GOLDEN_ROWS, GOLDEN_TOKENS = 4, 4

MAX_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class TextGenerator:
    """What a config has to know: the decoder, and the id of the `end` of a text."""

    network: DecoderConfig
    end: int

    def config(self, model: Path, *, name: str, family: str, variant: str) -> str:
        """The text of `config.pbtxt` for the ONNX file `model`, published as `name`: text in, text out."""
        ids, past, position = INPUTS
        logits, past_out, position_out = OUTPUTS
        config = described(name=name, family=family, variant=variant, max_batch=MAX_BATCH, threads=1)
        config.model_transaction_policy.decoupled = True
        config.input.add(name="text_input", data_type=pb.TYPE_STRING, dims=[1])
        config.output.add(name="text_output", data_type=pb.TYPE_STRING, dims=[1])
        keep_states(config, tensors_in(model), {past: past_out, position: position_out})
        told = f"token={ids} logits={logits} eos={self.end} context={self.network.context}"
        config.parameters["hone.generate"].string_value = told
        return written(config)


def release(
    generator: TextGenerator,
    model: Path,
    tokenizer: Path,
    *,
    name: str,
    family: str,
    variant: str,
    golden: Ids,
    metrics: Mapping[str, float],
    evidence: Mapping[str, Any],
) -> Release:
    """The ONNX file `model` and its `tokenizer` as a model version `name`; of the tokens `golden` it is given a few."""
    return Release(
        name=name,
        model=model,
        config=generator.config(model, name=name, family=family, variant=variant),
        beside={TOKENIZER: tokenizer.read_bytes()},
        inside={},
        golden=_golden(open_stepper(model), generator.network, golden),
        family=family,
        variant=variant,
        parent=None,
        chosen=None,
        metrics=metrics,
        evidence=evidence,
        transforms={},
        machine=machine(),
    )


def _golden(step: Step, network: DecoderConfig, ids: Ids) -> Golden:
    """The tensors of a first step of a few rows: their cache is empty, so that the file stays small."""
    rows = np.resize(ids, (GOLDEN_ROWS, GOLDEN_TOKENS))
    past, position = empty(network, GOLDEN_ROWS)
    logits, _, after = step(rows, past, position)
    return Golden(
        inputs=dict(zip(INPUTS, (rows, past, position), strict=True)), outputs={OUTPUTS[0]: logits, OUTPUTS[2]: after}
    )

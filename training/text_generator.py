"""A text generator as it is published: how a server continues a text with it, and keeps what it has read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.data.tokens import Ids
from training.machine import machine
from training.networks.decoder import DecoderConfig
from training.publish import Golden, Release
from training.session import Step, open_stepper
from training.stepwise import INPUTS, OUTPUTS, empty

TOKENIZER = "tokenizer.json"
GOLDEN_ROWS, GOLDEN_TOKENS = 4, 4

MAX_BATCH = 16
IDLE_MICROSECONDS = 60_000_000
MAX_SEQUENCES = 64

TEMPLATE = """\
name: "{name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {max_batch}
model_transaction_policy {{ decoupled: true }}
input [
  {{
    name: "text_input"
    data_type: TYPE_STRING
    dims: [ 1 ]
  }}
]
output [
  {{
    name: "text_output"
    data_type: TYPE_STRING
    dims: [ 1 ]
  }}
]
sequence_batching {{
  max_sequence_idle_microseconds: {idle}
  oldest {{ max_candidate_sequences: {sequences} }}
  state [
    {{
      input_name: "{past}"
      output_name: "{past_out}"
      data_type: TYPE_FP32
      dims: [ {cache} ]
      initial_state [ {{ data_type: TYPE_FP32 dims: [ {cache} ] zero_data: true name: "empty" }} ]
    }},
    {{
      input_name: "{position}"
      output_name: "{position_out}"
      data_type: TYPE_INT64
      dims: [ 1 ]
      initial_state [ {{ data_type: TYPE_INT64 dims: [ 1 ] zero_data: true name: "zero" }} ]
    }}
  ]
}}
parameters {{
  key: "intra_op_thread_count"
  value {{ string_value: "1" }}
}}
parameters {{
  key: "hone.generate"
  value {{ string_value: "token={ids} logits={logits} eos={end} context={context}" }}
}}
parameters {{
  key: "hone.family"
  value {{ string_value: "{family}" }}
}}
parameters {{
  key: "hone.variant"
  value {{ string_value: "{variant}" }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class TextGenerator:
    """What a config has to know: the decoder, and the id of the `end` of a text."""

    network: DecoderConfig
    end: int

    def config(self, *, name: str, family: str, variant: str) -> str:
        """The text of `config.pbtxt` for the model `name`."""
        ids, past, position = INPUTS
        logits, past_out, position_out = OUTPUTS
        return TEMPLATE.format(
            name=name,
            family=family,
            variant=variant,
            max_batch=MAX_BATCH,
            idle=IDLE_MICROSECONDS,
            sequences=MAX_SEQUENCES,
            ids=ids,
            past=past,
            position=position,
            logits=logits,
            past_out=past_out,
            position_out=position_out,
            cache=", ".join(map(str, self.network.cache_shape)),
            end=self.end,
            context=self.network.context,
        )


def release(
    generator: TextGenerator,
    model: Path,
    tokenizer: Path,
    *,
    name: str,
    variant: str,
    golden: Ids,
    metrics: Mapping[str, float],
    evidence: Mapping[str, Any],
) -> Release:
    """The ONNX file `model` and its `tokenizer` as a model version `name`; of the tokens `golden` it is given a few."""
    return Release(
        name=name,
        model=model,
        config=generator.config(name=name, family=name, variant=variant),
        beside={TOKENIZER: tokenizer.read_bytes()},
        golden=_golden(open_stepper(model), generator.network, golden),
        family=name,
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

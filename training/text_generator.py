"""The `config.pbtxt` of a text generator: how a server continues a text with it, and keeps what it has read."""

from dataclasses import dataclass

from training.networks.decoder import DecoderConfig
from training.stepwise import INPUTS, OUTPUTS

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

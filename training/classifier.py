"""The `config.pbtxt` of an image classifier: how a server of the protocol should run it."""

from dataclasses import dataclass

from training.export import INPUT, OUTPUT

MAX_BATCH = 32

TEMPLATE = """\
name: "{name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {max_batch}
input [
  {{
    name: "{input}"
    data_type: TYPE_UINT8
    dims: [ {shape} ]
  }}
]
output [
  {{
    name: "{output}"
    data_type: TYPE_FP32
    dims: [ {classes} ]
    label_filename: "labels.txt"
  }}
]
dynamic_batching {{ }}
parameters {{
  key: "intra_op_thread_count"
  value {{ string_value: "{threads}" }}
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
class Classifier:
    """What a config has to know: the shape of one image (C, H, W), how many classes there are, and `threads`.

    Threads are those of its one instance.
    """

    shape: tuple[int, ...]
    classes: int
    threads: int = 1

    def config(self, *, name: str, family: str, variant: str) -> str:
        """The text of `config.pbtxt` for the model `name`."""
        return TEMPLATE.format(
            name=name,
            family=family,
            variant=variant,
            input=INPUT,
            output=OUTPUT,
            max_batch=MAX_BATCH,
            shape=", ".join(str(side) for side in self.shape),
            classes=self.classes,
            threads=self.threads,
        )

"""A decoder that writes the alphabet, and its tokenizer: what it computes is known beforehand."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.integration.served import write_model

VOCABULARY = 257
EOS = 256
CONTEXT = 40
CONFIG = f"""
max_batch_size: 8
sequence_batching {{
  max_sequence_idle_microseconds: 60000000
  oldest {{ max_candidate_sequences: 16 }}
  state [ {{
    input_name: "position" output_name: "position_out" data_type: TYPE_INT64 dims: [ 1 ]
    initial_state [ {{ data_type: TYPE_INT64 dims: [ 1 ] zero_data: true }} ]
  }} ]
}}
parameters {{
  key: "hone.generate"
  value {{ string_value: "token=input_ids logits=logits eos={EOS} context={CONTEXT}" }}
}}
"""


def tokenizer() -> Tokenizer:
    """A token for each byte, and one for the end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({one: number for number, one in enumerate(alphabet)}, []))
    made.add_special_tokens(["<end>"])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return made


def decoder(*, steps: str | int = "T", ends_at: int = 30) -> bytes:
    """`input_ids` INT64 [N, T] and `position` INT64 [N, 1] to `logits` FP32 [N, T, V] and `position_out`.

    After a letter comes the next one, after `z` a space or a line's end, as likely as each other, and after those `a`,
    or the euro sign after another byte of it; from position `ends_at` on the end.
    """
    ids = {one: tokenizer().encode(one).ids for one in (*"abcdefghijklmnopqrstuvwxyz", " ", "\n", "€")}
    table = np.zeros((VOCABULARY, VOCABULARY), np.float32)
    letters = [ids[one][0] for one in "abcdefghijklmnopqrstuvwxyz"]
    table[:, letters[0]] = 10
    for one, following in pairwise(letters):
        table[one] = 0
        table[one, following] = 10
    table[letters[-1]] = 0
    table[letters[-1], [ids[" "][0], ids["\n"][0]]] = 10
    for one, following in pairwise(ids["€"]):
        table[one] = 0
        table[one, following] = 10
    end = np.zeros(VOCABULARY, np.float32)
    end[EOS] = 100
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["likely"]),
        helper.make_node("Shape", ["input_ids"], ["length"], start=1, end=2),
        helper.make_node("Add", ["position", "length"], ["position_out"]),
        helper.make_node("GreaterOrEqual", ["position_out", "last"], ["over"]),
        helper.make_node("Cast", ["over"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["share", "axis"], ["shares"]),
        helper.make_node("Mul", ["shares", "end"], ["ending"]),
        helper.make_node("Add", ["likely", "ending"], ["logits"]),
    ]
    constants = {"table": table, "end": end, "last": np.array(ends_at), "axis": np.array([2])}
    graph = helper.make_graph(
        nodes,
        "alphabet",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", steps]),
            helper.make_tensor_value_info("position", TensorProto.INT64, ["N", 1]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", steps, VOCABULARY]),
            helper.make_tensor_value_info("position_out", TensorProto.INT64, ["N", 1]),
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def write_alphabet(root: Path, name: str, *, steps: str | int = "T", config: str = CONFIG) -> None:
    """A folder of the repository with the decoder and its tokenizer."""
    write_model(root, name, config=config, model=decoder(steps=steps))
    tokenizer().save(str(root / name / "tokenizer.json"))

"""A small encoder that sorts texts into classes, and its tokenizer, learnt from the text of Python's documentation."""

from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from service.artifact.card import Tokenize, Transform
from tests.integration.served import write_model
from tests.repository.cards import card_of

LABELS = ("statement", "expression", "class")
TEXTS = tuple(topics[name].strip()[:300] for name in ("if", "lambda", "class", "numbers"))
LONGEST = 48
_WIDTH = 16


@cache
def tokenizer_json() -> str:
    """Word pieces in lower case, [CLS] before and [SEP] behind a text."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    made.train_from_iterator([text[:4000] for text in topics.values()], trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(made.to_str())


def encode(text: str) -> dict[str, NDArray[np.int64]]:
    """The tensors [1, T] of a text, by the library alone."""
    tokenizer = Tokenizer.from_str(tokenizer_json())
    tokenizer.enable_truncation(LONGEST)
    encoding = tokenizer.encode(text)
    values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
    return {name: np.array([row], np.int64) for name, row in values.items()}


def encoder(length: int | str = "T") -> bytes:
    """`input_ids`, `attention_mask` and `token_type_ids`, INT64 [N, T], to `probabilities` FP32 [N, 3].

    Embeddings, one layer of attention that leaves out what is masked, the mean of the rest, a linear layer, softmax.
    """
    rng = np.random.default_rng(3)
    words = Tokenizer.from_str(tokenizer_json()).get_vocab_size()
    constants = {
        "words": rng.normal(size=(words, _WIDTH)),
        "types": rng.normal(size=(2, _WIDTH)),
        "classes": rng.normal(size=(_WIDTH, len(LABELS))),
        "far": np.array(-1e9),
        "one": np.array(1.0),
    }
    arrays = {name: array.astype(np.float32) for name, array in constants.items()}
    axes = {"last": np.array([2]), "middle": np.array([1])}
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["meanings"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["parts"]),
        helper.make_node("Add", ["meanings", "parts"], ["x"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "middle"], ["columns"]),
        helper.make_node("Unsqueeze", ["mask", "last"], ["rows"]),
        helper.make_node("Transpose", ["x"], ["keys"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "keys"], ["scores"]),
        helper.make_node("Sub", ["one", "columns"], ["left_out"]),
        helper.make_node("Mul", ["left_out", "far"], ["penalty"]),
        helper.make_node("Add", ["scores", "penalty"], ["penalised"]),
        helper.make_node("Softmax", ["penalised"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["attention", "x"], ["mixed"]),
        helper.make_node("Mul", ["mixed", "rows"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "middle"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "classes"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", length]) for name in inputs],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(LABELS)])],
        [numpy_helper.from_array(array, name) for name, array in (arrays | axes).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def tokenize(gives: Literal["ids", "attention_mask", "type_ids"], *, padded: bool) -> Tokenize:
    return Tokenize(file="tokenizer.json", gives=gives, max_length=LONGEST, pad=0 if padded else None)


def steps(*, padded: bool = False) -> dict[str, tuple[Transform, ...]]:
    """What the card says of the inputs."""
    return {
        "input_ids": (tokenize("ids", padded=padded),),
        "attention_mask": (tokenize("attention_mask", padded=padded),),
        "token_type_ids": (tokenize("type_ids", padded=padded),),
    }


def config(length: int) -> str:
    """A config.pbtxt with labels."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = ", ".join(f'{{ name: "{name}" data_type: TYPE_INT64 dims: [ {length} ] }}' for name in names)
    output = f'name: "probabilities" data_type: TYPE_FP32 dims: [ {len(LABELS)} ] label_filename: "labels.txt"'
    return f"max_batch_size: 8 dynamic_batching {{ }} input [ {inputs} ] output [ {{ {output} }} ]"


def write_classifier(root: Path, name: str, *, padded: bool = False) -> Path:
    """A folder of the repository with the encoder, its tokenizer, card and labels; where texts are filled up to one
    length, the model takes nothing else. The version's folder.
    """
    length = LONGEST if padded else "T"
    folder = write_model(root, name, config=config(LONGEST if padded else -1), model=encoder(length))
    (root / name / "labels.txt").write_text("\n".join(LABELS))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    write_card(folder, steps(padded=padded))
    return folder


def write_card(folder: Path, transforms: dict[str, tuple[Transform, ...]]) -> None:
    """A card.json that names the files in a version folder."""
    files = tuple(path.name for path in folder.iterdir() if path.name != "card.json")
    (folder / "card.json").write_bytes(card_of(folder, files, transforms))

"""Reasons say whose they are, however little the one who found out knew."""

import pytest

from service.repository.reason import reason_for, with_version


@pytest.mark.parametrize(
    "text,reason",
    [
        ("No graph was found in the protobuf.", "m/9: No graph was found in the protobuf"),
        ("the model file isn't ONNX: 9/a", "m/9: the model file isn't ONNX: 9/a"),
        ("m/9/model.onnx: is empty", "m/9/model.onnx: is empty"),
        ("m/config.pbtxt: max_batch_size is -1", "m/config.pbtxt: max_batch_size is -1"),
        ("m: hone.cuda_graphs needs fixed shapes", "m: hone.cuda_graphs needs fixed shapes"),
        ("9/golden.npz: isn't a file of golden samples", "m/9/golden.npz: isn't a file of golden samples"),
        ("mm/1: of another", "m/9: mm/1: of another"),
        ("and so on...", "m/9: and so on..."),
    ],
)
def test_model_and_version_stand_in_front_once(text: str, reason: str) -> None:
    """What doesn't begin with a file of the model gets its name and version; to say so twice changes nothing."""
    assert reason == reason_for("m", 9, text)
    assert reason == reason_for("m", "9", reason)


def test_a_line_of_a_version_names_it_once() -> None:
    """Also where the reason is about a file that all versions share."""
    assert "version 9: no graph" == with_version("m", 9, "m/9: no graph")
    assert "version 9: m/config.pbtxt: no input" == with_version("m", 9, "m/config.pbtxt: no input")

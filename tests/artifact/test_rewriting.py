"""A runtime written into a configuration: only that changes."""

import pytest

from service.artifact.config import parse_config
from service.artifact.rewriting import with_runtime

COMMENTED = """\
# Ours, by hand.
name: "m"
platform: "onnxruntime_onnx"
max_batch_size: 8   # rows
parameters { key: "hone.family" value { string_value: "digits" } }
"""
CHOSEN = """\
backend: "onnxruntime"
max_batch_size: 8
parameters {
  key: "hone.precision"
  value { string_value: "f32" }
}
"""


@pytest.mark.parametrize("text", ["", COMMENTED, CHOSEN, 'backend: "openvino"'])
def test_the_runtime_is_what_was_chosen_and_the_rest_what_it_was(text: str) -> None:
    """Backend and precision are written once, whatever was there; other settings and comments stay."""
    before = parse_config(text, name="m")
    written = with_runtime(text, backend="openvino", precision="bf16")
    after = parse_config(written, name="m")

    assert ("openvino", "bf16") == (after.backend, after.hone.precision)
    assert (before.max_batch_size, before.hone.family) == (after.max_batch_size, after.hone.family)
    assert text.count("#") == written.count("#")
    assert 1 == written.count("hone.precision") == written.count("backend:")
    assert written == with_runtime(written, backend="openvino", precision="bf16")

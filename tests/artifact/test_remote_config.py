"""What a remote adds to a configuration that names it."""

import pytest

from service.artifact.config import complete, parse_config
from service.artifact.signature import Signature, TensorSpec
from service.errors import ArtifactError

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'
ROWS = Signature(
    inputs=(TensorSpec(name="x", datatype="BYTES", dims=(-1, 3)),),
    outputs=(TensorSpec(name="y", datatype="BF16", dims=(-1, -1)),),
)


def test_batches_of_the_remote() -> None:
    """A config without tensors takes the remote's `max_batch_size` and its tensors without the batch axis."""
    config = complete(parse_config(REMOTE, name="m"), "m", ROWS, max_batch_size=8)

    assert (8, "remote", "remote") == (config.max_batch_size, config.backend, config.platform)
    assert [(3,), (-1,)] == [spec.shape for spec in (*config.inputs, *config.outputs)]
    assert config == complete(config, "m", ROWS, max_batch_size=8)


@pytest.mark.parametrize(
    "text, batch, dims",
    [
        ("max_batch_size: 4", 4, (3,)),
        ('input { name: "x" data_type: TYPE_STRING dims: [ -1, 3 ] }', 0, (-1, 3)),
    ],
)
def test_batches_of_the_config(text: str, batch: int, dims: tuple[int, ...]) -> None:
    """What the config says of batches holds: its own bound, or tensors written with all their dimensions."""
    config = complete(parse_config(REMOTE + text, name="m"), "m", ROWS, max_batch_size=8)

    assert (batch, dims) == (config.max_batch_size, config.inputs[0].shape)


def test_bounds_without_batches() -> None:
    """The queue's bound may be written without a `max_batch_size`, which is the remote's; elsewhere that is refused."""
    text = "dynamic_batching { default_queue_policy { max_queue_size: 4 } }"
    config = parse_config(REMOTE + text, name="m")

    assert config.dynamic_batching
    assert 4 == config.dynamic_batching.default_queue_policy.max_queue_size
    with pytest.raises(ArtifactError, match="needs a max_batch_size"):
        parse_config(text, name="m")

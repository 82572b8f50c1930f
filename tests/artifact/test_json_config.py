"""A configuration that comes as JSON, as clients send it along with a load."""

import json

import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2 as pb

from service.artifact.config import parse_config, parse_json_config
from service.errors import ArtifactError
from tests.artifact.test_config import WHOLE


def test_json_says_the_same_as_text() -> None:
    """A configuration that is told as JSON is the same when it is read again, and one in protobuf's JSON is, too."""
    config = parse_config(WHOLE, name="m")
    again = parse_json_config(json.dumps(config.to_json()), name="m", source="m/config.pbtxt")

    assert config == again
    proto = pb.ModelConfig.FromString(config.source)
    for names in (True, False):
        text = json_format.MessageToJson(proto, preserving_proto_field_name=names)
        assert config == parse_json_config(text, name="m", source="m/config.pbtxt")


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "config: the JSON is malformed"),
        ("[]", "config: expected a JSON object"),
        ('{"max_batch_sise": 1}', 'config: unknown key "max_batch_sise", did you mean "max_batch_size"?'),
        ('{"input": [{"nam": "x"}]}', 'config: unknown key "nam", did you mean "name"?'),
        ('{"input": [{"data_type": "TYPE_FP31"}]}', "config: unknown value TYPE_FP31 for a DataType, did you mean"),
        ('{"max_batch_size": "many"}', "config: Failed to parse max_batch_size"),
        ('{"max_batch_size": -1}', "config: max_batch_size is -1"),
        ('{"name": "other"}', 'config: name is "other", but the folder is "m"'),
        ('{"input":' * 150 + "1" + "}" * 150, "config: "),
    ],
)
def test_json_that_is_wrong_says_where(text: str, message: str) -> None:
    """In one line, with the nearest word."""
    with pytest.raises(ArtifactError) as caught:
        parse_json_config(text, name="m", source="config")

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)

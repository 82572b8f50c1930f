"""Which configs let answers be kept."""

import pytest

from service.artifact.config import parse_config
from service.errors import ArtifactError

ENABLED = "response_cache { enable: true } "


def test_answers_are_kept_where_the_config_says_so() -> None:
    """Only where it is enabled; the config is shown as it is written."""
    enabled = parse_config(ENABLED, name="m")

    assert (True, (), {"enable": True}) == (
        enabled.response_cache,
        enabled.warnings,
        enabled.to_json()["response_cache"],
    )
    for text in ("", "response_cache { }", "response_cache { enable: false }"):
        assert (False, ()) == (parse_config(text, name="m").response_cache, parse_config(text, name="m").warnings)


def test_sequences_are_not_kept() -> None:
    """A config that asks for both is refused, since an answer depends on what came before."""
    with pytest.raises(ArtifactError, match=r"response_cache: answers within a sequence.*not both"):
        parse_config(ENABLED + "sequence_batching { }", name="m")


def test_what_another_computes_is_not_kept() -> None:
    """A warning says where to enable it instead."""
    config = parse_config(ENABLED + 'parameters { key: "hone.remote" value { string_value: "east" } }', name="m")

    assert (False, ("m/config.pbtxt: response_cache is ignored: enable it on the server that computes",)) == (
        config.response_cache,
        config.warnings,
    )

"""A published text generator: what its config asks of a server, and what lies beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from service.artifact.card import CARD_NAME, load_card, verify_files
from service.artifact.golden import read_golden
from tests.training.models_decoder import Speaker, publish_speaker
from training.data.tokens import load_tokenizer
from training.session import open_stepper


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return publish_speaker(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def config(speaker: Speaker) -> Any:
    return text_format.Parse((speaker.folder / "config.pbtxt").read_text(), pb.ModelConfig())


def test_the_config_asks_for_text_and_answers_it_piece_by_piece(config: Any) -> None:
    """One text in, texts out, any number of answers to a request."""
    assert config.model_transaction_policy.decoupled
    assert 16 == config.max_batch_size
    for tensors, name in ((config.input, "text_input"), (config.output, "text_output")):
        (tensor,) = tensors
        assert (name, pb.TYPE_STRING, [1]) == (tensor.name, tensor.data_type, list(tensor.dims))


def test_the_config_has_the_states_kept_by_the_server(config: Any, speaker: Speaker) -> None:
    """Cache and position go round, and begin as zeros; many texts may be in progress."""
    batching = config.sequence_batching
    assert (60_000_000, 64) == (batching.max_sequence_idle_microseconds, batching.oldest.max_candidate_sequences)
    cache = list(speaker.network.cache_shape)
    expected = [
        ("past", "past_out", pb.TYPE_FP32, cache, "zero"),
        ("position", "position_out", pb.TYPE_INT64, [1], "zero"),
    ]
    found = []
    for state in batching.state:
        (initial,) = state.initial_state
        assert initial.zero_data
        assert (state.data_type, list(state.dims)) == (initial.data_type, list(initial.dims))
        found.append((state.input_name, state.output_name, state.data_type, list(state.dims), initial.name))
    assert expected == found


def test_the_config_says_how_tokens_become_text(config: Any, speaker: Speaker) -> None:
    """Which tensors carry tokens and logits, what ends a text, and how much fits."""
    expected = f"token=input_ids logits=logits eos={speaker.end} context=64"
    assert expected == config.parameters["hone.generate"].string_value
    assert ("speaker", "random") == tuple(
        config.parameters[f"hone.{key}"].string_value for key in ("family", "variant")
    )


def test_everything_lies_where_it_is_looked_for(speaker: Speaker) -> None:
    """Config and tokenizer for all versions, file, card and golden samples for this one."""
    found = {str(path.relative_to(speaker.folder)) for path in speaker.folder.rglob("*") if path.is_file()}
    assert {"config.pbtxt", "tokenizer.json", "1/model.onnx", "1/card.json", "1/golden.npz"} == found
    verify_files(load_card(speaker.folder / "1" / CARD_NAME), speaker.folder / "1")
    assert load_tokenizer(speaker.folder / "tokenizer.json").get_vocab_size() == speaker.network.vocabulary


def test_golden_samples_are_small_and_what_the_file_answers(speaker: Speaker) -> None:
    """The tensors of the model itself: a first step of a few rows."""
    path = speaker.folder / "1" / "golden.npz"
    assert path.stat().st_size < 50_000
    golden = read_golden(path)
    assert golden is not None
    logits, _, after = open_stepper(speaker.folder / "1" / "model.onnx")(
        golden.inputs["input_ids"], golden.inputs["past"], golden.inputs["position"]
    )
    assert np.allclose(golden.outputs["logits"], logits, atol=1e-6)
    assert np.array_equal(golden.outputs["position_out"], after)


def test_the_same_seed_publishes_the_same_model(speaker: Speaker, tmp_path: Path) -> None:
    """Tests that compare texts get the same ones every time, and others for another seed."""
    again, other = (publish_speaker(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    for name in ("1/model.onnx", "tokenizer.json", "config.pbtxt"):
        assert (speaker.folder / name).read_bytes() == (again.folder / name).read_bytes()
    said = [one.continuation("The while", count=12) for one in (speaker, again, other)]
    assert said[0] == said[1] != said[2]
    assert 12 == len(said[0]) > len(set(said[0])) > 3

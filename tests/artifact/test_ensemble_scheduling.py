"""What a config says of an ensemble: its steps, and what is wrong with them before any model is looked at."""

import pytest

from service.artifact.config import ModelConfig, parse_config
from service.errors import ArtifactError

ENDS = """
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }
"""


def step(model: str, takes: str, gives: str, more: str = "model_version: -1") -> str:
    """A step; `takes` and `gives` are like `a=x b=z`: the model's `a` is the tensor `x`."""
    lines = [f'model_name: "{model}" {more}']
    for field, pairs in (("input_map", takes), ("output_map", gives)):
        lines += [f'{field} {{ key: "{key}" value: "{tensor}" }}' for key, _, tensor in map(split, pairs.split())]
    return "step { " + " ".join(lines) + " }"


def split(pair: str) -> tuple[str, str, str]:
    return pair.partition("=")


def config(*steps: str, ends: str = ENDS, head: str = 'platform: "ensemble"') -> ModelConfig:
    return parse_config(f"{head} {ends} ensemble_scheduling {{ {' '.join(steps)} }}", name="e")


@pytest.mark.parametrize("head", ['platform: "ensemble"', ""])
def test_an_ensemble_is_read(head: str) -> None:
    """Steps in their order, with Triton's version -1 for the newest; the platform may go without saying."""
    found = config(step("a", "i=x", "o=t"), step("b", "i=t", "o=y", "model_version: 3"), head=head)

    assert found.ensemble_scheduling
    assert ("ensemble", "ensemble", (), True) == (found.platform, found.backend, found.warnings, found.is_all)
    first, second = found.ensemble_scheduling.steps
    assert (1, "a", None, {"i": "x"}, {"o": "t"}) == (
        first.number,
        first.model,
        first.version,
        first.inputs,
        first.outputs,
    )
    assert (2, "b", "3") == (second.number, second.model, second.version)
    assert ("a", "b") == found.ensemble_scheduling.models


def test_the_config_route_tells_what_perf_analyzer_reads() -> None:
    """Triton's JSON of an ensemble: its platform, no backend, and the steps with their maps."""
    said = config(step("a", "i=x", "o=y"), "max_inflight_requests: 7").to_json()

    assert ("ensemble", "", "") == (said["platform"], said["backend"], said["default_model_filename"])
    assert 7 == said["ensemble_scheduling"]["max_inflight_requests"]
    (only,) = said["ensemble_scheduling"]["step"]
    assert ("a", -1, {"i": "x"}, {"o": "y"}) == (
        only["model_name"],
        only["model_version"],
        only["input_map"],
        only["output_map"],
    )


@pytest.mark.parametrize(
    "steps, words",
    [
        ((), "e: ensemble_scheduling has no step"),
        ((step("e", "i=x", "o=y"),), 'step 1 (model "e"): an ensemble can\'t be made of itself'),
        (("step { }",), "step 1 has no model_name"),
        ((step("a", "", "o=y"),), 'step 1 (model "a") has no input_map'),
        ((step("a", "i=x", ""),), 'step 1 (model "a") has no output_map'),
        ((step("a", "i=x", "o="),), 'step 1 (model "a"): output_map "o" has an empty key or value'),
        (
            (step("a", "i=x", "o=y", "model_version: -2"),),
            "model_version is -2, expected a version, or -1 for the newest",
        ),
        (
            (step("a", "i=x j=q", "o=y"),),
            'step 1 (model "a"): input "j" is tensor "q", which is no input of the ensemble and no output of a step',
        ),
        (
            (step("a", "i=x", "o=y"), step("b", "i=x", "p=y")),
            'step 2 (model "b"): output "p" is tensor "y", which is output "o" of step 1 (model "a") already',
        ),
        ((step("a", "i=x", "o=y p=x"),), 'output "p" is tensor "x", which is an input of the ensemble already'),
        ((step("a", "i=x", "o=t"),), 'output "y" of the ensemble is in no output_map'),
        (
            (step("a", "i=x j=u", "o=y"), step("b", "i=y", "o=u")),
            'step 1 (model "a") needs tensor "u", which is made in a circle',
        ),
        (
            (step("a", "i=x", "o=y", 'model_namespace: "n"'),),
            "ensemble_scheduling.step.model_namespace: namespaces of models aren't supported",
        ),
    ],
)
def test_what_is_wrong_is_named(steps: tuple[str, ...], words: str) -> None:
    """The step with its model, the tensor, and both places that claim it."""
    with pytest.raises(ArtifactError) as caught:
        config(*steps)

    assert words.removeprefix("e: ") in str(caught.value)
    assert str(caught.value).startswith("e/config.pbtxt: ensemble_scheduling")


@pytest.mark.parametrize(
    "head, words",
    [
        ('backend: "onnxruntime"', 'ensemble_scheduling needs the platform "ensemble", and no backend'),
        ('platform: "onnxruntime_onnx"', 'ensemble_scheduling needs the platform "ensemble", and no backend'),
        ("instance_group { count: 2 }", "instance_group: an ensemble computes nothing itself"),
        ("dynamic_batching { }", "dynamic_batching"),
        (
            'parameters { key: "hone.remote" value { string_value: "east" } }',
            "hone.remote: another server computes, so leave ensemble_scheduling out",
        ),
        ('input { name: "z" data_type: TYPE_FP32 dims: [ 3 ] }', 'input "z" of the ensemble is in no input_map'),
    ],
)
def test_what_an_ensemble_cannot_say(head: str, words: str) -> None:
    """As in Triton: neither instances nor batching of its own, nor a backend; every input is used."""
    with pytest.raises(ArtifactError) as caught:
        config(step("a", "i=x", "o=y"), head=head)

    assert words in str(caught.value)


@pytest.mark.parametrize("head", ['platform: "ensemble"', 'backend: "ensemble"'])
def test_an_ensemble_without_steps(head: str) -> None:
    """The platform alone says nothing that could be served."""
    with pytest.raises(ArtifactError, match="needs ensemble_scheduling, which says its steps"):
        parse_config(head, name="e")


@pytest.mark.parametrize("ends, role", [("", "input"), (ENDS[: ENDS.index("output")], "output")])
def test_tensors_are_said(ends: str, role: str) -> None:
    """There is no model file that inputs and outputs could be read from."""
    with pytest.raises(ArtifactError, match=f"has no {role}$"):
        config(step("a", "i=x", "o=y"), ends=ends)


def test_what_is_needed_for_an_output() -> None:
    """The steps behind an output, however far back; `certain` are those that begin whatever is asked for."""
    ends = ENDS + 'output { name: "z" data_type: TYPE_FP32 dims: [ 3 ] }'
    steps = step("a", "i=x", "o=t"), step("b", "i=t", "o=y"), step("c", "i=t j=x", "o=z"), step("d", "i=x", "o=idle")
    scheduling = config(*steps, ends=ends).ensemble_scheduling

    assert scheduling
    assert [{0, 1}, {0, 2}, {0, 1, 2}, {3}] == [
        scheduling.needed(tensors) for tensors in (["y"], ["z"], ["y", "z"], ["idle"])
    ]
    assert {1} == scheduling.certain

"""One workflow of Microsoft Olive; run by the interpreter of Olive's environment, without Hone.

`python olive_workflow.py MODEL SAMPLES MODE TARGET`, SAMPLES an .npz of inputs. By MODE it is quantized as
Olive does it by default, `static` or `dynamic`, where static quantization learns ranges from all samples; or Olive does
a `search` among all settings of its pass, for the least latency where at most a hundredth of the classes changes that
the float file gives to one half of the samples. Ranges are learnt from the other half. The last line on stdout is how
many seconds the workflow took. An evaluator measures latencies, as Olive's own examples have it, so that it can tell
when the result is slower.

A metric of one's own would be nearer to what Hone goes by, but Olive 0.13.0 fails to keep the settings of any.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # read when it is imported

import numpy as np
import onnxruntime
import torch
from olive.data.registry import Registry
from olive.workflows import run

PASSES = {"static": "OnnxStaticQuantization", "dynamic": "OnnxDynamicQuantization", "search": "OnnxQuantization"}
INFORMATION = 1
MAX_DROP = 0.01


class Rows(torch.utils.data.Dataset[tuple[dict[str, Any], Any]]):
    """Samples [N, ...] by the names of the inputs, each with its `labels`, or one that nobody reads."""

    def __init__(self, arrays: dict[str, Any], labels: Any = None) -> None:
        self._arrays = arrays
        self._labels = labels

    def __len__(self) -> int:
        """How many."""
        return min(map(len, self._arrays.values()))

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any]:
        """One."""
        label = 0 if self._labels is None else self._labels[index]
        return {name: array[index] for name, array in self._arrays.items()}, label


def main(model: Path, samples: Path, mode: str, target: Path) -> None:
    """Run the workflow and put its file at `target`."""
    arrays = dict(np.load(samples))
    output = target.with_suffix(".olive")
    config: dict[str, Any] = {
        "input_model": {"type": "ONNXModel", "model_path": str(model)},
        "output_dir": str(output),
        "cache_dir": str(output / "cache"),
        "log_severity_level": INFORMATION,
        **(_search(model, arrays) if mode == "search" else _quantization(arrays, mode)),
    }
    started = time.perf_counter()
    done = run(config)
    seconds = time.perf_counter() - started
    if not done.has_output_model():
        sys.exit("no model came of it")
    shutil.copy(done.get_best_candidate().model_path, target)
    print(seconds)


def _quantization(arrays: dict[str, Any], mode: str) -> dict[str, Any]:
    learnt = {"data_config": "samples"} if mode == "static" else {}
    return {
        "data_configs": [_data("samples", Rows(arrays))],
        "passes": {"quantize": {"type": PASSES[mode], **learnt}},
        "evaluators": {"speed": _evaluator(_latency("samples"))},
        "evaluator": "speed",
    }


def _search(model: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    middle = min(map(len, arrays.values())) // 2
    learnt = {name: array[:middle] for name, array in arrays.items()}
    asked = {name: array[middle:] for name, array in arrays.items()}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    answers = dict(zip(names, session.run(names, asked), strict=True))
    scores = next(name for name, answer in answers.items() if answer.dtype.kind == "f")  # others are classes already

    @Registry.register_post_process("classes")  # type: ignore[untyped-decorator] # Olive ships no types
    def classes(output: Any, **_: Any) -> Any:
        return (output[scores] if isinstance(output, dict) else output).argmax(-1)

    accuracy = {
        "name": "accuracy_score",
        "priority": 2,
        "metric_config": {"task": "multiclass", "num_classes": answers[scores].shape[-1]},
        "goal": {"type": "max-degradation", "value": MAX_DROP},
    }
    return {
        "data_configs": [
            _data("learnt", Rows(learnt)),
            _data("asked", Rows(asked, answers[scores].argmax(-1)), "classes"),
        ],
        "passes": {"quantize": {"type": PASSES["search"], "data_config": "learnt"}},
        "evaluators": {
            "judge": _evaluator(
                _latency("asked"),
                {"name": "accuracy", "type": "accuracy", "data_config": "asked", "sub_types": [accuracy]},
            )
        },
        "evaluator": "judge",
        "search_strategy": {"execution_order": "joint", "sampler": "sequential"},
    }


def _data(name: str, rows: Rows, post_process: str = "skip_post_process") -> dict[str, Any]:
    @Registry.register_dataset(name)  # type: ignore[untyped-decorator] # Olive ships no types
    def dataset(**_: Any) -> Rows:
        return rows

    return {
        "name": name,
        "load_dataset_config": {"type": name},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": post_process},
        "dataloader_config": {"params": {"batch_size": 1}},
    }


def _evaluator(*metrics: dict[str, Any]) -> dict[str, Any]:
    return {"type": "OnnxEvaluator", "metrics": list(metrics)}


def _latency(data: str) -> dict[str, Any]:
    average = {"name": "avg", "priority": 1}
    return {"name": "latency", "type": "latency", "data_config": data, "sub_types": [average]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))

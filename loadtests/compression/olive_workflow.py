"""One workflow of Microsoft Olive, by its defaults; run by the interpreter of Olive's environment, without Hone.

`python olive_workflow.py MODEL SAMPLES MODE TARGET`: MODE is `static` or `dynamic`, SAMPLES an .npz of what static
quantization learns ranges from. The last line on stdout is how many seconds the workflow took. Its evaluator measures
latencies, as its own examples have it do, so that it can tell when the result is slower.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # read when it is imported

import numpy as np
import torch
from olive.data.registry import Registry
from olive.workflows import run

PASSES = {"static": "OnnxStaticQuantization", "dynamic": "OnnxDynamicQuantization"}
INFORMATION = 1


class Rows(torch.utils.data.Dataset[tuple[dict[str, Any], int]]):
    """The samples, each with a label that nobody reads."""

    def __init__(self, path: Path) -> None:
        self._arrays = dict(np.load(path))

    def __len__(self) -> int:
        """How many."""
        return min(map(len, self._arrays.values()))

    def __getitem__(self, index: int) -> tuple[dict[str, Any], int]:
        """One, by the names of the inputs."""
        return {name: array[index] for name, array in self._arrays.items()}, 0


def main(model: Path, samples: Path, mode: str, target: Path) -> None:
    """Run the workflow and put its file at `target`."""

    @Registry.register_dataset("rows")  # type: ignore[untyped-decorator]
    def rows(**_: Any) -> Rows:
        return Rows(samples)

    quantize = {"type": PASSES[mode], **({"data_config": "samples"} if mode == "static" else {})}
    output = target.with_suffix(".olive")
    started = time.perf_counter()
    done = run(
        {
            "input_model": {"type": "ONNXModel", "model_path": str(model)},
            "data_configs": [
                {
                    "name": "samples",
                    "load_dataset_config": {"type": "rows"},
                    "pre_process_data_config": {"type": "skip_pre_process"},
                    "post_process_data_config": {"type": "skip_post_process"},
                    "dataloader_config": {"params": {"batch_size": 1}},
                }
            ],
            "passes": {"quantize": quantize},
            "evaluators": {
                "speed": {
                    "type": "OnnxEvaluator",
                    "metrics": [
                        {
                            "name": "latency",
                            "type": "latency",
                            "data_config": "samples",
                            "sub_types": [{"name": "avg"}],
                        }
                    ],
                }
            },
            "evaluator": "speed",
            "output_dir": str(output),
            "cache_dir": str(output / "cache"),
            "log_severity_level": INFORMATION,
        }
    )
    seconds = time.perf_counter() - started
    if not done.has_output_model():
        sys.exit("no model came of it")
    shutil.copy(done.get_best_candidate().model_path, target)
    print(seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))

"""A TensorFlow SavedModel becomes an ONNX graph by tf2onnx, in an interpreter of its own.

TensorFlow wants other versions of what is here, so it lives in an environment apart, whose interpreter is named.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.errors import ArtifactError, SettingsError
from training.durable import naming
from training.imports import onnx_file
from training.imports.converted import Converted
from training.session import Arrays

OPSET = 18
"""The newest that tf2onnx writes."""
SIGNATURE = "serving_default"
NEEDED = ("tensorflow", "tf2onnx")
VERSIONS = f"""
import json
from importlib import metadata
from importlib.util import find_spec
packages = metadata.packages_distributions()
print(json.dumps({{name: metadata.version(packages[name][0]) for name in {NEEDED} if find_spec(name)}}))
"""


def load(folder: Path, python: Path) -> Converted:
    """The signature `serving_default` of the SavedModel in `folder`, converted by the interpreter `python`.

    Raises SettingsError if that lacks TensorFlow or tf2onnx, and ArtifactError that names what can't be converted.
    """
    tensorflow = _TensorFlow(python=python, folder=folder.resolve())
    made_by = tensorflow.versions()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{tensorflow.folder.name}.onnx"
        tensorflow.convert(path)
        graph = onnx_file.load(path).model
    return Converted(model=graph, original=tensorflow.answers, made_by=made_by)


@dataclass(frozen=True, kw_only=True)
class _TensorFlow:
    """The interpreter that has TensorFlow, and the SavedModel that it is asked about."""

    python: Path
    folder: Path

    def versions(self) -> Mapping[str, str]:
        found: dict[str, str] = json.loads(self._run("-c", VERSIONS))
        if missing := [name for name in NEEDED if name not in found]:
            raise SettingsError(
                f"{self.python} has no {' and no '.join(missing)}; install tensorflow-cpu and tf2onnx in an environment"
                " of their own, and name its interpreter with --python"
            )
        return found

    def convert(self, to: Path) -> None:
        words = {"--saved-model": str(self.folder), "--signature_def": SIGNATURE, "--opset": str(OPSET)}
        self._run("-m", "tf2onnx.convert", *(word for pair in words.items() for word in pair), "--output", str(to))

    def answers(self, names: Sequence[str], batches: Sequence[Arrays]) -> list[Mapping[str, Any]]:
        arrays = {
            f"{number}/{name}": array
            for number, batch in enumerate(batches)
            for name, array in zip(names, batch, strict=True)
        }
        script = Path(__file__).with_name("tensorflow_answers.py")
        with tempfile.TemporaryDirectory() as scratch:
            asked, answered = Path(scratch) / "asked.npz", Path(scratch) / "answered.npz"
            with naming(asked):
                np.savez(asked, allow_pickle=False, **arrays)
            self._run(str(script), str(self.folder), SIGNATURE, str(asked), str(answered))
            with np.load(answered, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
        return [
            {name.partition("/")[2]: array for name, array in found.items() if name.startswith(f"{number}/")}
            for number in range(len(batches))
        ]

    def _run(self, *words: str) -> str:
        # Isolated: packages that are on the path for this interpreter aren't made for that one.
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        try:
            done = subprocess.run(
                [str(self.python), "-I", *words], env=quiet, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise SettingsError(f"--python {self.python}: can't be run ({error.strerror})") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ArtifactError(f"{self.folder.name}: TensorFlow can't convert or compute it ({said[-1]})")
        return done.stdout

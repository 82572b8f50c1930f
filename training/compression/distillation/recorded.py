"""Answers that a teacher gave once, for all epochs: what an ONNX file computes needn't be computed again."""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn

from service.artifact.digest import sha256_file
from service.errors import SettingsError
from training.compression.distillation.onnx_teacher import OnnxTeacher
from training.data.split import Array
from training.durable import put

AT_ONCE = 64
"""Inputs that a teacher is asked about together; always the same ones, since sums may depend on their number."""
MOST = 4 * 1024**3
"""Bytes of answers that are kept in memory."""


class Recorded(nn.Module):
    """A teacher whose `answers` [N, ...] to `inputs` [N, ...] are known; it knows no others."""

    def __init__(self, inputs: Array, answers: Array) -> None:
        super().__init__()
        self._places = {_digest(row): place for place, row in enumerate(inputs)}
        self.answers = torch.from_numpy(answers)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The answers to these. Raises SettingsError where one of them was never asked about."""
        try:
            places = [self._places[_digest(row)] for row in inputs.detach().cpu().numpy()]
        except KeyError:
            text = "teacher: its recorded answers are those to inputs as they are, and these were changed"
            raise SettingsError(f"{text}; leave out what augments them, or ask the teacher itself") from None
        return self.answers[places].to(inputs.device)


def answers_of(teacher: nn.Module, inputs: Array) -> Array:
    """What `teacher` answers to all `inputs` [N, ...]: one tensor, [N, ...].

    Raises SettingsError if that is more than memory should hold.
    """
    return np.concatenate(list(_asked(teacher.eval(), inputs)))


def recorded(teacher: OnnxTeacher, inputs: Array, file: Path) -> Recorded:
    """The teacher's answers to `inputs`, as `file` has them if it is of this model and these inputs.

    Otherwise the teacher is asked, and the file written. Raises OSError if that can't be, and SettingsError as
    `answers_of` does.
    """
    key = f"{sha256_file(teacher.path)} {teacher.output} {inputs.dtype} {inputs.shape} {_digest(inputs).hex()}"
    answers = _kept(file, key)
    if answers is None:
        answers, content = answers_of(teacher, inputs), BytesIO()
        np.savez(content, key=np.array(key), answers=answers)
        put(file, content.getvalue())
    return Recorded(inputs, answers)


def _asked(teacher: nn.Module, inputs: Array) -> Iterator[Array]:
    for start in range(0, len(inputs), AT_ONCE):
        with torch.inference_mode():
            answer = teacher(torch.from_numpy(inputs[start : start + AT_ONCE]))
        if not isinstance(answer, torch.Tensor):
            raise SettingsError("teacher: answers several tensors, which aren't recorded; ask the teacher itself")
        found: Array = answer.cpu().numpy()
        if (needed := found.nbytes * -(-len(inputs) // AT_ONCE)) > MOST:
            text = f"teacher: its answers take {needed / 1e9:.1f} GB, more than is kept"
            raise SettingsError(f"{text}; record fewer inputs, or ask the teacher itself")
        yield found


def _kept(file: Path, key: str) -> Array | None:
    """The answers in `file`, if they are those."""
    try:
        with np.load(BytesIO(file.read_bytes()), allow_pickle=False) as kept:
            answers: Array = kept["answers"]
            return answers if str(kept["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _digest(array: Array) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()

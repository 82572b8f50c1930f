"""What a SavedModel answers. Run by an interpreter that has TensorFlow, and needs nothing of Hone.

    python tensorflow_answers.py SAVED_MODEL SIGNATURE INPUTS.npz OUTPUTS.npz

In the files `NUMBER/NAME` is the array of an input or output in a batch.
"""

import sys
from typing import Any

import numpy as np
import tensorflow as tf


def main() -> None:
    """Ask the signature for each batch."""
    folder, signature, inputs, outputs = sys.argv[1:]
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    model = tf.saved_model.load(folder)
    answers: dict[str, Any] = {}
    for number in sorted({name.partition("/")[0] for name in arrays}):
        own = f"{number}/"
        batch = {name.removeprefix(own): tf.constant(one) for name, one in arrays.items() if name.startswith(own)}
        answers |= {own + name: answer.numpy() for name, answer in model.signatures[signature](**batch).items()}
    np.savez(outputs, allow_pickle=False, **answers)


if __name__ == "__main__":
    main()

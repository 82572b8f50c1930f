"""`hone-train import`: a finished model from elsewhere, into a model repository."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from training.commands.flags import MODELS, Json, Keep, Repository, Sign
from training.commands.outcome import exit_codes
from training.commands.screen import console, print_json


def import_model(  # noqa: PLR0913 - each is a flag
    source: Annotated[
        Path, typer.Argument(help="A .onnx or .keras file, or the folder of a TensorFlow SavedModel.", metavar="FILE")
    ],
    *,
    name: Annotated[str, typer.Option(help="What the model is called when it is served.")],
    samples: Annotated[
        Path | None,
        typer.Option(help="An NPZ with an array for each input, to compare on.", show_default="random numbers"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="The names of the classes, one a line.")] = None,
    max_batch: Annotated[int, typer.Option(help="How many rows are computed at once at most.", min=1)] = 32,
    batched: Annotated[
        bool, typer.Option("--batched", help="Make a model that takes one row at a time one that takes many.")
    ] = False,
    python: Annotated[
        Path, typer.Option(help="An interpreter that has TensorFlow and tf2onnx.", show_default="this one")
    ] = Path(sys.executable),
    repository: Repository = MODELS,
    keep: Keep = None,
    sign: Sign = None,
    json: Json = False,
) -> None:
    """Publish a finished model, after its ONNX file was compared with the original at three batch sizes.

    An ONNX file becomes self-contained, a Keras model or a SavedModel becomes ONNX. Its card says where it came from.
    """
    with exit_codes():
        from training.errors import as_given
        from training.imports.release import ImportSettings, release
        from training.publish import publish
        from training.signing_key import read_signing_key

        key = read_signing_key(sign) if sign else None
        settings = ImportSettings(
            source=source,
            name=name,
            samples=samples,
            labels=labels,
            python=python,
            max_batch=max_batch,
            batched=batched,
        )
        with tempfile.TemporaryDirectory() as scratch, as_given():
            made = release(settings, Path(scratch) / "model.onnx")
            published = publish(repository, made, keep=keep, key=key)
        if json:
            print_json({"published": published, "evidence": made.evidence})
            return
        state = "published" if published.new else "unchanged"
        parity = made.evidence["parity"]["difference"]
        console().print(
            f"  {state} {name} version {published.version} in {repository}", highlight=False, soft_wrap=True
        )
        console().print(
            f"  answers differ from the original's by {parity:.1g} at most", highlight=False, soft_wrap=True
        )
        if why := made.evidence.get("unbatched"):
            console().print(f"  without a batch (max_batch_size: 0): {why}", highlight=False, soft_wrap=True)

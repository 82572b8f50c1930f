"""`hone-train compress`: what can be made of a trained network that is worth having."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.errors import SettingsError
from training.commands.flags import RUNS, Json, Keep, Retrain, Runs, Sign
from training.commands.outcome import GOAL_MISSED, exit_codes
from training.commands.screen import console, open_journal

if TYPE_CHECKING:
    from training.compression_report import CompressionReport


Given = Annotated[
    str, typer.Argument(help="A recipe's name (see `list`), a .yaml file, or a .onnx file.", metavar="RECIPE|MODEL")
]
Samples = Annotated[
    Path | None,
    typer.Option(
        help="For a .onnx file: an NPZ with some hundreds of rows for each input.", show_default="random numbers"
    ),
]
MaxDrop = Annotated[
    float, typer.Option(help="What may be lost of the headline figure, as a share of the trained network's.")
]
By = Annotated[Literal["latency", "throughput", "size"], typer.Option(help="What is to be gained by it.")]
AtLeast = Annotated[
    float, typer.Option(help="How many times as good as the trained network it has to become, or the exit code is 4.")
]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Begin nothing that is foreseen to end later; the best so far is told, and a further call goes on.",
        show_default="never",
    ),
]
Profile = Annotated[
    str | None, typer.Option(help="For a recipe: how much to do, `tiny`, `quick` or `full`.", show_default="quick")
]
Into = Annotated[
    Path | None,
    typer.Option(
        help="Publish what is worth having into this model repository.", file_okay=False, show_default="nowhere"
    ),
]


def compress(  # noqa: PLR0913 - each is a flag
    recipe: Given,
    *,
    samples: Samples = None,
    max_drop: MaxDrop = 0.01,
    objective: By = "latency",
    at_least: AtLeast = 1.0,
    minutes: Minutes = None,
    repository: Into = None,
    keep: Keep = None,
    sign: Sign = None,
    profile: Profile = None,
    runs: Runs = RUNS,
    retrain: Retrain = False,
    json: Json = False,
) -> None:
    """Search for smaller and faster variants of a recipe's network that lose no more than they may.

    Other numbers and runtimes are tried first, then smaller networks that learn from the trained one. Each is measured
    through the service beside it, on validation inputs; those worth having then on test inputs. An interrupted search
    goes on where it stopped. A .onnx file has no training data, so nothing of it learns; what it loses is how far its
    answers are from those before. The first axis of all that it takes and answers has to vary: that is the batch.

    With --repository the chosen variant is published under the family's name, and all that nothing beats in both loss
    and gain under names of their own; nothing if the goal is missed, which is exit code 4.
    """
    with exit_codes():
        from training.compression.search.budget import Budget
        from training.durable import check_creatable
        from training.signing_key import read_signing_key

        if repository is None and (keep is not None or sign is not None):
            raise SettingsError("--keep, --sign: are for what is published: name a --repository")
        if repository is not None:
            check_creatable(repository)
        key = read_signing_key(sign) if sign else None
        try:
            budget = Budget(max_drop=max_drop, objective=objective, at_least=at_least, minutes=minutes)
        except ValueError as error:
            raise SettingsError(f"--{str(error).replace('_', '-', 1)}") from error
        chosen = _given(recipe, samples, profile)
        with open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            from training import compressing  # slow to import, and a wrong flag is told before

            _tell(compressing.compress(journal, budget, repository=repository, keep=keep, key=key), json=json)


def _given(recipe: str, samples: Path | None, profile: str | None) -> Any:
    """A recipe, or what is known of a file."""
    from training.recipe import load_any
    from training.specimens.file import FileSettings

    if recipe.endswith(".onnx"):
        if profile is not None:
            raise SettingsError("--profile: is for recipes; for a .onnx file --minutes says how much to do")
        return FileSettings(name=Path(recipe).stem, source=Path(recipe), samples=samples)
    if recipe.endswith(".keras") or Path(recipe, "saved_model.pb").is_file():
        raise SettingsError(
            f"{recipe}: isn't an ONNX file; `hone-train import` publishes one of it, which can be given"
        )
    if samples is not None:
        raise SettingsError("--samples: a recipe has its own data; this is for .onnx files")
    return load_any(recipe, profile or "quick")


def _tell(report: "CompressionReport", *, json: bool) -> None:
    """Show what was found. Raises KeyboardInterrupt if that was cut short, and typer.Exit if the goal was missed."""
    from training.compression_table import print_compression

    if json:
        sys.stdout.buffer.write(report.to_json())
    else:
        print_compression(report, console())
    if report.ended == "interrupted":
        raise KeyboardInterrupt
    if not report.met:
        raise typer.Exit(GOAL_MISSED)

"""`hone-train export`: one variant's ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.flags import RUNS, Json, Profile, RecipeName, Retrain, Runs
from training.commands.outcome import exit_codes
from training.commands.screen import console, open_journal, print_json


def export(
    recipe: RecipeName,
    variant: Annotated[
        str,
        typer.Argument(
            help="teacher, student, pruned or int8; of a language model decoder; else the form, such as classifier.",
            metavar="VARIANT",
        ),
    ],
    to: Annotated[Path, typer.Option(help="The ONNX file to write; in a folder it is named <family>-<variant>.onnx.")],
    *,
    profile: Profile = "quick",
    runs: Runs = RUNS,
    retrain: Retrain = False,
    json: Json = False,
) -> None:
    """Write one variant's ONNX file where you want it: it takes raw inputs and answers what clients ask for.

    A language model's takes tokens and what it kept of those before, and answers logits.
    """
    with exit_codes():
        from training.durable import check_writable, copy_file
        from training.recipe import load_any
        from training.stories import story_of
        from training.suggestion import check_variant

        check_writable(to if to.is_dir() else to.parent)
        chosen = load_any(recipe, profile)
        story = story_of(chosen)
        if story.VARIANTS:  # said now, and not after minutes of training
            check_variant(variant, story.VARIANTS)
        with open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            name, model = story.model_of(journal, variant)
        path = to / f"{name}.onnx" if to.is_dir() else to
        copy_file(model, path)
        if json:
            print_json({"model": name, "path": str(path), "bytes": path.stat().st_size})
        else:
            console().print(f"  {name} is in {path}", highlight=False, soft_wrap=True)

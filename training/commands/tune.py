"""`hone-train tune`: better settings for a recipe, found by trying."""

import sys
from typing import Annotated

import typer

from service.errors import SettingsError
from training.commands.flags import RUNS, Json, Profile, RecipeName, Runs
from training.commands.outcome import exit_codes
from training.commands.screen import console, open_journal


def tune(
    recipe: RecipeName,
    *,
    trials: Annotated[
        int, typer.Option(help="How many settings to try in all, with those of earlier calls.", min=1)
    ] = 30,
    minutes: Annotated[
        float | None, typer.Option(help="End after so long, with the best so far.", min=0.0, show_default="never")
    ] = None,
    profile: Profile = "quick",
    runs: Runs = RUNS,
    json: Json = False,
) -> None:
    """Try other settings of a network's recipe, those that its `search` spans, and keep the best as a recipe.

    Trials are judged on validation inputs, never on test inputs; what isn't promising is given up early. An interrupted
    search goes on where it stopped. The best is in runs/<recipe>/<profile>/tune/best.yaml, for `publish`.
    """
    with exit_codes():
        from training import network
        from training.network_recipe import NetworkRecipe
        from training.recipe import load_any
        from training.tuning.screen import print_tuned

        chosen = load_any(recipe, profile)
        if not isinstance(chosen, NetworkRecipe):
            raise SettingsError(f"`{chosen.name}` can't be tuned; recipes of the kind `network` can")
        with open_journal(chosen, runs, retrain=False, json=json) as journal:
            tuned = network.tune(journal, given=recipe, trials=trials, minutes=minutes)
        if json:
            sys.stdout.buffer.write(tuned.to_json())
        else:
            print_tuned(tuned, console())
        if tuned.ended == "interrupted":
            raise KeyboardInterrupt

"""`hone-train train`: the teacher."""

import msgspec

from training.commands.flags import RUNS, Json, Profile, RecipeName, Retrain, Runs
from training.commands.outcome import exit_codes, leads
from training.commands.screen import console, open_journal, print_json


def train(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Train the recipe's network (of digits, the teacher), and say how well it does on validation inputs.

    An interrupted run goes on where it stopped, and ends with the same weights as one that never stopped. Several
    processes share every batch: `torchrun --nproc-per-node 2 -m training train RECIPE`.
    """
    with exit_codes(shared=True):
        from training.optimization.distributed import joined
        from training.recipe import load_any
        from training.stories import story_of

        chosen = load_any(recipe, profile)
        with joined(), open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            *_, learned = story_of(chosen).train(journal)
        if not json:
            console().print(f"  {learned.checkpoint}", highlight=False)
        elif leads():
            print_json({"checkpoint": str(learned.checkpoint), **msgspec.to_builtins(learned.facts)})

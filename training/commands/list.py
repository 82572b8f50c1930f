"""`hone-train list`: which recipes there are, and what they came to."""

from training.commands.flags import RUNS, Json, Runs
from training.commands.outcome import exit_codes
from training.commands.screen import console, print_json


def list_recipes(runs: Runs = RUNS, json: Json = False) -> None:
    """Show the recipes that can be trained: problem, data, network, time, and the last result of each.

    Those of your own are shown once they have a result. The result is the figure that decides, with its 95 % interval,
    whether the goal was met, how long the fits took, and when it was told; it is read from the folder of runs. For a
    recipe without one, the time is that of the table in training/RESULTS.md.
    """
    with exit_codes():
        from training.listing import listed, print_listed

        found = listed(runs)
        if json:
            print_json({one.recipe: one for one in found})
        else:
            print_listed(found, console())

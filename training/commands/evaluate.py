"""`hone-train evaluate`: what was made, measured and judged."""

from training.commands.flags import RUNS, Json, Profile, RecipeName, Retrain, Runs
from training.commands.outcome import exit_codes
from training.commands.screen import open_journal, tell


def evaluate(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Measure what was made through the service, beside what it has to beat, judge it, and write a report.

    Figures have their 95 % intervals. Variants are compared with their parents, a network with its baselines, a
    language model with an n-gram (in this process). If the recipe's goal is missed, the exit code is 4.
    """
    with exit_codes():
        from training.recipe import load_any
        from training.stories import story_of

        chosen = load_any(recipe, profile)
        with open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            *_, report = story_of(chosen).evaluate(journal)
        tell(report, json=json)

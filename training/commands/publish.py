"""`hone-train publish`: the whole story of a recipe."""

from training.commands.flags import MODELS, RUNS, Json, Keep, Profile, RecipeName, Repository, Retrain, Runs, Sign
from training.commands.outcome import exit_codes
from training.commands.screen import open_journal, tell


def publish(
    recipe: RecipeName,
    *,
    repository: Repository = MODELS,
    keep: Keep = None,
    sign: Sign = None,
    profile: Profile = "quick",
    runs: Runs = RUNS,
    retrain: Retrain = False,
    json: Json = False,
) -> None:
    """Do everything, and publish what was proved: each variant, and the chosen one under the family's name.

    If no variant meets the recipe's budget, nothing is published and the exit code is 4.
    """
    with exit_codes():
        from training.durable import check_creatable
        from training.recipe import load_any
        from training.signing_key import read_signing_key
        from training.stories import story_of

        check_creatable(repository)
        key = read_signing_key(sign) if sign else None
        chosen = load_any(recipe, profile)
        with open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            report = story_of(chosen).publish(journal, repository, keep=keep, key=key)
        tell(report, json=json)

"""`hone-train compress`: the teacher's descendants."""

from service.errors import SettingsError
from training.commands.flags import RUNS, Json, Profile, RecipeName, Retrain, Runs
from training.commands.outcome import exit_codes
from training.commands.screen import open_journal, print_json


def compress(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Make the teacher's descendants: a distilled student, a pruned network, and the best of them in INT8.

    Each becomes an ONNX file whose answers were compared with the network's. What they are worth says `evaluate`.
    """
    with exit_codes():
        from training import run
        from training.recipe import Recipe, load_any
        from training.table import print_networks

        chosen = load_any(recipe, profile)
        if not isinstance(chosen, Recipe):
            text = "is published as it was trained; there are train, evaluate, export, publish"
            raise SettingsError(f"`{chosen.name}` {text}")
        with open_journal(chosen, runs, retrain=retrain, json=json) as journal:
            family = run.compress(journal)
            sizes = {variant.variant: variant.model.stat().st_size for variant in family.variants}
            networks = {one.variant: one.facts for one in family.networks}
            if json:
                files = {one.variant: {"path": str(one.model), "bytes": sizes[one.variant]} for one in family.variants}
                print_json({"networks": networks, "files": files})
            else:
                print_networks(networks, sizes, journal.console)

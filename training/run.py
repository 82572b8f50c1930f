"""The whole story of one recipe: real images in; measured, judged and published models out."""

from pathlib import Path

from rich.console import Console

from training.cache import Cache
from training.machine import machine
from training.recipe import Recipe
from training.report import REPORT, Report, current_commit
from training.steps import Steps
from training.verdict import choose


def run(recipe: Recipe, *, runs: Path, repository: Path, console: Console, keep: int | None = None) -> Report:
    """Do what `recipe` says, as far as it isn't done already, and publish into `repository`.

    Checkpoints, models and `report.json` lie in `runs/<recipe>/<profile>`. Every variant is published under its own
    name, and the chosen one again under the family's; `keep` is how many versions of each stay. If the goal is
    missed, nothing is published. Raises HoneError, ServingError or OSError.
    """
    folder = runs / recipe.name / recipe.profile
    steps = Steps(recipe, Cache(folder), console)

    dataset = steps.data()
    network = steps.train(dataset)
    teacher = steps.export(network, dataset)
    int8 = steps.quantize(teacher, dataset)
    variants = (teacher, int8)

    measured = steps.evaluate(variants, dataset)
    verdict = choose(measured, recipe.budget)
    published = steps.publish(repository, variants, dataset, measured, verdict, keep=keep)

    report = Report(
        recipe=recipe,
        steps=steps.times,
        training=steps.history(),
        variants=measured,
        verdict=verdict,
        published=published,
        machine=machine(),
        commit=current_commit(),
    )
    (folder / REPORT).write_bytes(report.to_json())
    return report

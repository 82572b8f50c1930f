"""The command line: `python -m training`, installed as `hone-train`.

Every verb goes one step further in the same story and takes the steps before it along; what is done already is found
in `--runs`. Exit codes: 0 done, 1 failed, 2 a wrong flag, setting or file, 4 done but the recipe's goal was missed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console

from service.errors import HoneError, SettingsError

if TYPE_CHECKING:
    from training.language_report import LanguageReport
    from training.report import Report
    from training.steps.journal import Journal, R
    from training.steps.learning import Trained
    from training.steps.reading import LearnedDecoder

FAILED = 1
WRONG_SETTING = 2
GOAL_MISSED = 4
INTERRUPTED = 130

app = typer.Typer(
    name="hone-train",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Train a network, make it small and fast, prove what it is worth, and publish it for the service.

    A recipe is one story: train, compress, evaluate, publish. Each verb takes the steps before it along, and steps
    that are done already aren't done again, so `hone-train publish digits` alone does everything.""",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong flag, setting or file, 4 the recipe's goal was missed.",
)

RecipeName = Annotated[str, typer.Argument(help="A recipe's name (see `list`), or a .yaml file.", metavar="RECIPE")]
Profile = Annotated[
    str, typer.Option(help="How much to do: `tiny` proves that it works, `quick` takes two minutes, `full` its time.")
]
Runs = Annotated[
    Path,
    typer.Option(help="Where checkpoints and reports are kept; what is done already is found here.", file_okay=False),
]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Do steps again whose files were damaged, instead of stopping there.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")]
RUNS = Path("runs")


@app.command("list")
def list_recipes(json: Json = False) -> None:
    """Show the recipes that can be trained, and their profiles."""
    # Imported when needed, here and below: torch takes seconds, and --help must not wait for it.
    from training.recipe import RECIPES, read_settings, recipe_names

    with _exit_codes():
        settings = {name: read_settings(RECIPES / f"{name}.yaml") for name in recipe_names()}
        if json:
            told = {name: {"about": one["about"], "profiles": list(one["profiles"])} for name, one in settings.items()}
            _print_json(told)
            return
        for name, one in settings.items():
            typer.echo(f"{name:<12} {one['about']}  (profiles: {', '.join(one['profiles'])})")


@app.command()
def train(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Train the recipe's network, the teacher, and say how well it does on validation images (or texts).

    An interrupted run goes on where it stopped, and ends with the same weights as one that never stopped.
    """
    with _exit_codes():
        from training import language, run
        from training.recipe import Recipe, load_any

        chosen = load_any(recipe, profile)
        trained: Trained | LearnedDecoder
        if isinstance(chosen, Recipe):
            with _journal(chosen, runs, retrain=retrain, json=json) as journal:
                _, trained = run.train(journal)
        else:
            with _journal(chosen, runs, retrain=retrain, json=json) as notes:
                _, trained = language.train(notes)
        if json:
            _print_json({"checkpoint": str(trained.checkpoint), **msgspec.to_builtins(trained.facts)})
        else:
            _console().print(f"  {trained.checkpoint}", highlight=False)


@app.command()
def compress(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Make the teacher's descendants: a distilled student, a pruned network, and the best of them in INT8.

    Each becomes an ONNX file whose answers were compared with the network's. What they are worth says `evaluate`.
    """
    with _exit_codes():
        from training import run
        from training.recipe import Recipe, load_any
        from training.table import print_networks

        chosen = load_any(recipe, profile)
        if not isinstance(chosen, Recipe):
            text = "is a language model, and is published as it was trained; there are train, evaluate, export, publish"
            raise SettingsError(f"`{chosen.name}` {text}")
        with _journal(chosen, runs, retrain=retrain, json=json) as journal:
            family = run.compress(journal)
            sizes = {variant.variant: variant.model.stat().st_size for variant in family.variants}
            networks = {one.variant: one.facts for one in family.networks}
            if json:
                files = {one.variant: {"path": str(one.model), "bytes": sizes[one.variant]} for one in family.variants}
                _print_json({"networks": networks, "files": files})
            else:
                print_networks(networks, sizes, journal.console)


@app.command()
def evaluate(
    recipe: RecipeName, profile: Profile = "quick", runs: Runs = RUNS, retrain: Retrain = False, json: Json = False
) -> None:
    """Measure all variants side by side through the service, judge them, and write report.html.

    Accuracy has its 95 % interval and a paired test against the parent. If no variant meets the recipe's budget, the
    nearest miss is named and the exit code is 4. A language model is measured beside an n-gram, in this process.
    """
    with _exit_codes():
        from training import language, run
        from training.recipe import Recipe, load_any

        chosen = load_any(recipe, profile)
        report: Report | LanguageReport
        if isinstance(chosen, Recipe):
            with _journal(chosen, runs, retrain=retrain, json=json) as journal:
                _, report = run.evaluate(journal)
        else:
            with _journal(chosen, runs, retrain=retrain, json=json) as notes:
                _, report = language.evaluate(notes)
        _tell(report, json=json)


@app.command()
def export(
    recipe: RecipeName,
    variant: Annotated[
        str, typer.Argument(help="teacher, student, pruned or int8; of a language model, decoder.", metavar="VARIANT")
    ],
    to: Annotated[Path, typer.Option(help="The ONNX file to write; in a folder it is named <family>-<variant>.onnx.")],
    *,
    profile: Profile = "quick",
    runs: Runs = RUNS,
    retrain: Retrain = False,
    json: Json = False,
) -> None:
    """Write one variant's ONNX file where you want it: it takes raw pixels and answers probabilities.

    A language model's takes tokens and what it kept of those before, and answers logits.
    """
    with _exit_codes():
        from training import language, run
        from training.durable import copy_file
        from training.recipe import Recipe, load_any

        chosen = load_any(recipe, profile)
        variants = run.VARIANTS if isinstance(chosen, Recipe) else language.VARIANTS
        if variant not in variants:  # said now, as the next line is, and not after minutes of training
            raise SettingsError(f"no variant `{variant}`; there are {', '.join(variants)}")
        _check_writable(to if to.is_dir() else to.parent)
        if isinstance(chosen, Recipe):
            with _journal(chosen, runs, retrain=retrain, json=json) as journal:
                name, model = next((o.name, o.model) for o in run.compress(journal).variants if o.variant == variant)
        else:
            with _journal(chosen, runs, retrain=retrain, json=json) as notes:
                name, model = chosen.family, language.export(notes).model
        path = to / f"{name}.onnx" if to.is_dir() else to
        copy_file(model, path)
        if json:
            _print_json({"model": name, "path": str(path), "bytes": path.stat().st_size})
        else:
            _console().print(f"  {name} is in {path}", highlight=False, soft_wrap=True)


@app.command()
def publish(
    recipe: RecipeName,
    *,
    repository: Annotated[Path, typer.Option(help="The model repository to publish into.", file_okay=False)] = Path(
        "runs/models"
    ),
    keep: Annotated[
        int | None, typer.Option(help="How many versions of each model stay in the repository.  [default: all]", min=1)
    ] = None,
    profile: Profile = "quick",
    runs: Runs = RUNS,
    retrain: Retrain = False,
    json: Json = False,
) -> None:
    """Do everything, and publish what was proved: each variant, and the chosen one under the family's name.

    If no variant meets the recipe's budget, nothing is published and the exit code is 4.
    """
    with _exit_codes():
        from training import language, run
        from training.recipe import Recipe, load_any

        _check_writable(next(path for path in (repository.absolute(), *repository.absolute().parents) if path.exists()))
        chosen = load_any(recipe, profile)
        report: Report | LanguageReport
        if isinstance(chosen, Recipe):
            with _journal(chosen, runs, retrain=retrain, json=json) as journal:
                report = run.publish(journal, repository, keep=keep)
        else:
            with _journal(chosen, runs, retrain=retrain, json=json) as notes:
                report = language.publish(notes, repository, keep=keep)
        _tell(report, json=json)


def main() -> None:
    """Run the command line."""
    # Before torch is imported: threads that spin while they wait for each other make training several times slower
    # where others use the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


def _journal(recipe: "R", runs: Path, *, retrain: bool, json: bool) -> "Journal[R]":
    from training.steps.journal import Journal

    return Journal(recipe, runs, _console(stderr=json), retrain=retrain)


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, markup=False)


def _check_writable(folder: Path) -> None:
    """Raise OSError now, and not after minutes of training, if nothing can be written to `folder`."""
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"{folder}: isn't a folder that can be written to")


def _tell(report: "Report | LanguageReport", *, json: bool) -> None:
    from training.language_report import LanguageReport
    from training.language_table import print_language
    from training.table import print_report

    if json:
        sys.stdout.buffer.write(report.to_json())
    elif isinstance(report, LanguageReport):
        print_language(report, _console())
    else:
        print_report(report, _console())
    if not (report.goal_met if isinstance(report, LanguageReport) else report.verdict.goal_met):
        raise typer.Exit(GOAL_MISSED)


def _print_json(told: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn errors with a known cause into one line and an exit code; anything else is a bug and keeps its trace."""
    from training.errors import Damaged

    try:
        yield
    except Damaged as error:
        typer.echo(f"error: {error}; --retrain makes it anew", err=True)
        raise typer.Exit(WRONG_SETTING) from error
    except SettingsError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(WRONG_SETTING) from error
    except HoneError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(FAILED) from error
    except OSError as error:
        typer.echo(f"error: {error}; once that is mended, the same command goes on where it stopped", err=True)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        typer.echo("interrupted; the same command goes on where it stopped", err=True)
        raise typer.Exit(INTERRUPTED) from error


if __name__ == "__main__":
    main()

"""The command line: `python -m training`, installed as `hone-train`.

Exit codes: 0 done, 1 failed, 2 a wrong flag, setting or file, 4 done but the recipe's goal was missed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import HoneError, SettingsError

FAILED = 1
WRONG_SETTING = 2
GOAL_MISSED = 4

app = typer.Typer(
    name="hone-train",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train a network, make it small and fast, prove what it is worth, and publish it for the service.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong flag, setting or file, 4 the recipe's goal was missed.",
)


@app.command("list")
def list_recipes() -> None:
    """Show the recipes that can be trained, and their profiles."""
    # Imported when needed, here and below: torch takes seconds, and --help must not wait for it.
    from training.recipe import RECIPES, read_settings, recipe_names

    with _exit_codes():
        for name in recipe_names():
            settings = read_settings(RECIPES / f"{name}.yaml")
            typer.echo(f"{name:<12} {settings['about']}  (profiles: {', '.join(settings['profiles'])})")


@app.command()
def train(  # noqa: PLR0917 - the command line passes them by name
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `list`), or a .yaml file.", metavar="RECIPE")],
    profile: Annotated[
        str, typer.Option(help="How much to do: `tiny` proves that it works, `quick` takes a minute, `full` its time.")
    ] = "quick",
    repository: Annotated[Path, typer.Option(help="The model repository to publish into.", file_okay=False)] = Path(
        "runs/models"
    ),
    runs: Annotated[
        Path,
        typer.Option(
            help="Where checkpoints and reports are kept; what is done already is found here.", file_okay=False
        ),
    ] = Path("runs"),
    keep: Annotated[
        int | None, typer.Option(help="How many versions of each model stay in the repository.  [default: all]", min=1)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; progress goes to stderr.")] = False,
) -> None:
    """Train, export, quantize, evaluate through the service, and publish what was proved.

    Steps whose inputs, code and settings haven't changed aren't done again.
    """
    from training.recipe import load_recipe
    from training.run import run

    console = Console(stderr=json)
    with _exit_codes():
        settings = load_recipe(recipe, profile)
        report = run(settings, runs=runs, repository=repository, console=console, keep=keep)
    if json:
        sys.stdout.buffer.write(report.to_json())
    else:
        report.print(console)
    if not report.verdict.goal_met:
        raise typer.Exit(GOAL_MISSED)


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn errors with a known cause into one line and an exit code; anything else is a bug and keeps its trace."""
    from training.serving import ServingError

    try:
        yield
    except SettingsError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(WRONG_SETTING) from error
    except (HoneError, ServingError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(FAILED) from error


if __name__ == "__main__":
    main()

"""The flags and arguments that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

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
Repository = Annotated[Path, typer.Option(help="The model repository to publish into.", file_okay=False)]
Keep = Annotated[
    int | None, typer.Option(help="How many versions of each model stay in the repository.", min=1, show_default="all")
]
Sign = Annotated[
    Path | None,
    typer.Option(help="Sign the cards with the Ed25519 key in this PEM file.", metavar="KEY", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")]
RUNS = Path("runs")
MODELS = RUNS / "models"

"""The command line: `python -m training`, installed as `hone-train`.

Every verb goes one step further in the same story and takes the steps before it along; what is done already is found
in `--runs`. Only `import` stands apart: what it publishes was made elsewhere. Exit codes: 0 done, 1 failed, 2 a wrong
flag, setting or file, 4 done but the recipe's goal was missed.
"""

import os

import typer

from training.commands.compress import compress
from training.commands.evaluate import evaluate
from training.commands.export import export
from training.commands.import_model import import_model
from training.commands.list import list_recipes
from training.commands.publish import publish
from training.commands.train import train
from training.commands.tune import tune

app = typer.Typer(
    name="hone-train",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Train a network, make it small and fast, prove what it is worth, and publish it for the service.

    A recipe is one story: train, compress, evaluate, publish. Each verb takes the steps before it along, and steps
    that are done already aren't done again, so `hone-train publish digits` alone does everything. A model
    that was made elsewhere is published by `import`.""",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong flag, setting or file, 4 the recipe's goal was missed.",
)

app.command("list")(list_recipes)
app.command()(train)
app.command()(tune)
app.command()(compress)
app.command()(evaluate)
app.command()(export)
app.command()(publish)
app.command("import")(import_model)


def main() -> None:
    """Run the command line."""
    # Before torch is imported: threads that spin while they wait for each other make training several times slower
    # where others use the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Before numpy is, for the same reason: linear baselines took 16 times the processor time with two threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()


if __name__ == "__main__":
    main()

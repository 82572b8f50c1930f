"""`make dashboards`: writes the dashboards that Grafana reads, `deploy/grafana/dashboards/*.json`.

What they show is said in a module for each; `panels.py` and `board.py` say how all of them look, `promql.py` what
several ask. Nothing of it is needed to run Grafana.
"""

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.load_test import load_test
from deploy.grafana.models import models
from deploy.grafana.service import service

FOLDER = Path(__file__).parent / "dashboards"


def written() -> dict[str, str]:
    """The text of each file."""
    made = {"service": service(), "models": models(), "load-test": load_test()}
    return {f"{name}.json": _text(dashboard) for name, dashboard in made.items()}


def _text(dashboard: Dashboard) -> str:
    built = dashboard.build()
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number  # links to a panel name it
    return JSONEncoder(sort_keys=True, indent=2).encode(built) + "\n"


def main() -> None:
    """Write all of them, and remove those that are no more."""
    texts = written()
    for path in FOLDER.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
        print(f"{FOLDER.name}/{name}: {len(text.splitlines())} lines")


if __name__ == "__main__":
    main()

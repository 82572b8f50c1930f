"""What the demo prints."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from deploy.demo.digits_client import MODEL, DigitsClient
from deploy.demo.held_out import HeldOut
from service.repository.scan import scan

SHADES = " .:-=+*#%@"
SHOWN = {
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "compute_seconds",
    "images_per_second",
    "shrink",
    "speedup_compute",
    "speedup_throughput",
}


def variants(repository: Path) -> Table:
    """What the cards in `repository` say, one line a model."""
    table = Table(title="Models, as measured through the service on this machine", title_justify="left")
    table.caption = "smaller, faster: times the teacher's; computing one image / images a second at the best batch size"
    table.caption_justify = "left"
    table.add_column("model")
    for column in ("accuracy [95 %]", "size", "compute, batch 1", "images/s", "smaller", "faster 1 / best"):
        table.add_column(column, justify="right")
    table.add_column("the chosen one")
    for model in scan(repository):
        for version in model.versions:
            if version.card is not None and version.card.metrics.keys() >= SHOWN:  # older ones measured other things
                size = version.model_path.stat().st_size
                name = f"{model.name} v{version.version}"
                table.add_row(name, *_figures(version.card.metrics, size), version.card.chosen or "")
    return table


def predictions(client: DigitsClient, digits: HeldOut) -> Group:
    """The images, and what the server says of them: one request for each."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(_picture(image[0]) for image in digits.images))
    client.classify(digits.images[0])  # the first request also opens the connection; its time would mislead
    answers = [client.classify(image) for image in digits.images]
    grid.add_row(*(_caption(*answer, int(label)) for answer, label in zip(answers, digits.labels, strict=True)))
    return Group(
        "", f"{len(digits.labels)} test images, each classified by model {MODEL} in a request of its own:", "", grid, ""
    )


def invitation(url: str, metrics_port: int, *, body: Path, golden: Path) -> Text:
    """Lines to copy while the server runs: `body` is a request in JSON, `golden` images in numpy's format."""
    address = url.removeprefix("http://")
    return Text(f"""\
The server runs at {url}; Ctrl-C stops it. In another terminal:

  curl -s {url}/v2/models/{MODEL}/infer -d @{body}
  curl -s {url}/v2/models/{MODEL}
  curl -s http://127.0.0.1:{metrics_port}/metrics

or in .venv/bin/python:

  import numpy, tritonclient.http as triton
  images = numpy.load("{golden}")["input.image"]
  tensor = triton.InferInput("image", list(images.shape), "UINT8")
  tensor.set_data_from_numpy(images)
  answer = triton.InferenceServerClient("{address}").infer("{MODEL}", [tensor])
  print(answer.as_numpy(answer.get_response()["outputs"][0]["name"]).argmax(axis=1))
""")


def _figures(metrics: Mapping[str, float], size: int) -> Iterable[str]:
    yield f"{metrics['accuracy']:.4f} [{metrics['accuracy_low']:.4f}-{metrics['accuracy_high']:.4f}]"
    yield f"{size / 1e6:.2f} MB"
    yield f"{metrics['compute_seconds'] * 1e3:.2f} ms"
    yield f"{metrics['images_per_second']:,.0f}"
    yield f"{metrics['shrink']:.1f}x"
    yield f"{metrics['speedup_compute']:.2f} / {metrics['speedup_throughput']:.2f}"


def _caption(probabilities: Sequence[float], seconds: float, label: int) -> Text:
    first, second = sorted(range(len(probabilities)), key=lambda digit: -probabilities[digit])[:2]
    text = Text(f"labelled {label}\n")
    text.append(f"{first}: {probabilities[first]:.4f}\n", style="bold green" if first == label else "bold red")
    text.append(f"{second}: {probabilities[second]:.4f}\n{seconds * 1e3:.1f} ms")
    return text


def _picture(image: NDArray[np.uint8]) -> Text:
    """Pixels [side, side] as characters, two rows a line because characters are twice as high as wide."""
    levels = image.reshape(-1, 2, image.shape[-1]).mean(axis=1) / 256 * len(SHADES)  # [side / 2, side]
    return Text("\n".join("".join(SHADES[level] for level in line) for line in levels.astype(int).tolist()) + "\n")

"""A user who sends a digit as a PNG file, and lets the server decode it."""

import io
from typing import Any

import orjson
from locust import task
from PIL import Image

from loadtests.users import model
from loadtests.users.http_user import HttpUser

SIDE = 120


class ImageUser(HttpUser):
    """Asks Hone's friendly door: other servers of the protocol have none for pictures."""

    @task
    def ask(self) -> None:
        """One picture, answered with the likeliest classes."""
        path = f"/v1/models/{model.NAME}:predict"
        with self.asking(path, self._picture(), "predict png", **{"Content-Type": "image/png"}) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text}")
            elif wrong := misread(orjson.loads(answer.content)):
                answer.failure(wrong)

    def _picture(self) -> bytes:
        """A digit as ink on paper, larger than the model takes it."""
        paper = Image.fromarray(255 - self.model.some(1)[0, 0]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        paper.save(stream, "PNG")
        return stream.getvalue()


def misread(answer: dict[str, Any]) -> str | None:
    """What is wrong with the classes of a picture, if anything."""
    chances = [one["probability"] for one in answer.get("predictions", [])]
    if not chances or sorted(chances, reverse=True) != chances or not 0 < sum(chances) <= 1.001:
        return f"the likeliest classes have the probabilities {chances}"
    return None

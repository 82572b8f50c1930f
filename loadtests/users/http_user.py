"""What users over HTTP share: one connection, and what the server says of its model."""

import time
from typing import Any

import orjson
from locust import FastHttpUser
from locust.exception import StopUser

from loadtests.users import model

HEADER = "Inference-Header-Content-Length"


class HttpUser(FastHttpUser):
    """A client with one connection."""

    abstract = True
    wait_time = model.pause

    def on_start(self) -> None:
        """Ask what the model takes."""
        answer = self.client.get(f"/v2/models/{model.NAME}", name=model.SETUP)
        if answer.status_code != 200:
            raise StopUser  # counted as a failure already, and nothing else can be asked
        self.model = model.Model.of(orjson.loads(answer.content))
        time.sleep(model.first_pause(self))

    def asking(self, path: str, body: bytes, name: str, **headers: str) -> Any:
        """A request under Locust's eyes: a context whose answer is marked as failed unless its status is 200."""
        content: Any = body  # Locust says it takes text; it takes bytes
        return self.client.post(path, data=content, headers=headers, name=name, catch_response=True)

"""A user who sends a few images as one binary tensor."""

import random

import numpy as np
import orjson
from locust import task

from loadtests.users import model
from loadtests.users.http_user import HEADER, HttpUser


class BinaryUser(HttpUser):
    """Raw bytes behind JSON, in both directions."""

    weight = 3

    @task
    def ask(self) -> None:
        """One to eight images."""
        count = random.randint(1, model.LARGEST)
        raw = self.model.some(count).tobytes()
        tensor = {**self.model.tensor(count), "parameters": {"binary_data_size": len(raw)}}
        wanted = [{"name": self.model.output, "parameters": {"binary_data": True}}]
        head = orjson.dumps({"inputs": [tensor], "outputs": wanted})
        headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
        with self.asking(f"/v2/models/{model.NAME}/infer", head + raw, "infer binary", **headers) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text}")
                return
            found = answer.content[int(answer.headers[HEADER]) :]
            if wrong := model.problem(np.frombuffer(found, dtype=np.float32), count):
                answer.failure(wrong)

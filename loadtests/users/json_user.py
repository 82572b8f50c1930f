"""A user who sends one image as JSON."""

import orjson
from locust import task

from loadtests.users import model
from loadtests.users.http_user import HttpUser


class JsonUser(HttpUser):
    """Numbers written out, in both directions."""

    @task
    def ask(self) -> None:
        """One image."""
        tensor = {**self.model.tensor(1), "data": self.model.some(1).ravel().tolist()}
        body = orjson.dumps({"inputs": [tensor]})
        path = f"/v2/models/{model.NAME}/infer"
        with self.asking(path, body, "infer json", **{"Content-Type": "application/json"}) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text}")
            elif wrong := model.problem(orjson.loads(answer.content)["outputs"][0]["data"], 1):
                answer.failure(wrong)

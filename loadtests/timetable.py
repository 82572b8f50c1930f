"""A shape of load as Locust wants it."""

from locust import LoadTestShape

from loadtests.shapes import Plan


class Timetable(LoadTestShape):
    """Locust's question how many users there are to be, answered by a plan that ends after so many seconds."""

    abstract = True  # Locust would make one by itself, without a plan

    def __init__(self, plan: Plan, seconds: float) -> None:
        super().__init__()
        self._plan = plan
        self._seconds = seconds

    def tick(self) -> tuple[int, float] | None:
        """See Locust. Users come and go at once: the plan itself says how fast."""
        second = self.get_run_time()
        if second >= self._seconds:
            return None
        users = self._plan(second)
        return users, max(1, users)

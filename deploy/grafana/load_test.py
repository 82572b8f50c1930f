"""The dashboard *Load test*: what is offered, what is answered, and what gives way first.

Hone counts all of it itself, so it doesn't matter who asks: Locust, a bench, or users.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana import vitals
from deploy.grafana.board import Panels, board, choice, fill
from deploy.grafana.panels import BAD, CLEAR, graph, heat
from deploy.grafana.promql import BROKEN, MODEL, rate, ratio


def load_test() -> Dashboard:
    """The whole dashboard."""
    text = "What is offered, what is answered, and what gives way first, while a load test runs."
    made = board("load-test", "Load test", text, since="now-15m", refresh="5s")
    made.with_variable(choice("model", "Model", "label_values(hone_model_ready, model)", every=".+"))
    return fill(made, {"Traffic": _traffic(), "Inside": _inside()})


def _traffic() -> Panels:
    offered, broken = rate("hone_requests_total"), rate("hone_requests_total", BROKEN)
    return [
        graph(
            "Throughput",
            "Requests that ended, all of them and those that were answered. Where the lines part, more is asked than"
            " can be done.",
            "reqps",
            {"offered": offered, "answered": rate("hone_requests_total", 'outcome="ok"')},
        ),
        vitals.latency(),
        vitals.rejections(),
        graph(
            "Broken",
            "Share of requests that failed, were rejected or missed their deadline.",
            "percentunit",
            {"of all": ratio(f"({broken} or 0 * {offered})", offered)},
            steps=((None, CLEAR), (0.01, BAD)),
        ),
        graph(
            "By protocol",
            "Requests that ended.",
            "reqps",
            {"{{protocol}}": rate("hone_requests_total", by="protocol")},
        ),
        vitals.rows_computed(),
    ]


def _inside() -> Panels:
    return [
        vitals.mean_batch(),
        heat(
            "Time in the queue",
            "How many requests waited so long for a worker.",
            "s",
            f"sum by (le) (increase(hone_queue_duration_seconds_bucket{{{MODEL}}}[$__rate_interval]))",
        ),
        vitals.queue_age(),
        vitals.waiting(),
        graph(
            "Processor of workers",
            "Cores that the workers of each model use. Near the number of cores, the machine is what limits.",
            "short",
            {"{{model}}": rate("hone_worker_cpu_seconds_total", by="model")},
        ),
        vitals.loop_lag(),
    ]

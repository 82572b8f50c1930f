"""Panels that several dashboards have."""

from grafana_foundation_sdk.builders import timeseries

from deploy.grafana.panels import BAD, CLEAR, WARNING, graph
from deploy.grafana.promql import MODEL, mean, none_yet, quantile, rate


def latency(*, width: int = 8) -> timeseries.Panel:
    """Quantiles over all models that are selected."""
    return graph(
        "Latency",
        "From admission to the end, of all selected models. Clients see the network and their own time besides. Above"
        " the dashed line the promise is broken.",
        "s",
        {f"p{percent}": quantile(percent / 100, "hone_request_duration_seconds") for percent in (50, 95, 99)},
        width=width,
        steps=((None, CLEAR), (0.25, BAD)),
    )


def latency_by_model(share: float, *, width: int = 8) -> timeseries.Panel:
    """One quantile, for each model and protocol."""
    return graph(
        f"Latency p{share * 100:.0f} by model",
        "From admission to the end, over each protocol.",
        "s",
        {"{{model}} {{protocol}}": quantile(share, "hone_request_duration_seconds", by="model, protocol")},
        width=width,
        steps=((None, CLEAR), (0.25, BAD)),
    )


def rows_computed(*, width: int = 8) -> timeseries.Panel:
    """Goodput, whatever the sizes of requests."""
    text = "Rows that were computed: a request may have many."
    return graph("Rows", text, "ops", {"{{model}}": rate("hone_inference_total", by="model")}, width=width)


def mean_batch() -> timeseries.Panel:
    """How far batching goes."""
    text = "Rows of a batch, on average: it grows with the load until it is as large as it may be."
    return graph("Mean batch", text, "short", {"{{model}}": mean("hone_batch_size", by="model")})


def queue_age() -> timeseries.Panel:
    """How long the oldest waits."""
    return graph(
        "Queue age",
        "How long the request that waits longest has waited. Where it grows without end, nobody computes.",
        "s",
        {"{{model}}": f"max by (model) (hone_queue_age_seconds{{{MODEL}}})"},
        steps=((None, CLEAR), (1, WARNING), (10, BAD)),
    )


def waiting() -> timeseries.Panel:
    """How many wait."""
    text = "Requests that wait for a worker, or are at a remote server."
    return graph("Waiting requests", text, "short", {"{{model}}": f"sum by (model) (hone_pending_requests{{{MODEL}}})"})


def rejections() -> timeseries.Panel:
    """What is refused, and why."""
    return graph(
        "Rejections by reason",
        "queue_full and deadline_infeasible say that more is asked than can be computed in time; not_ready and"
        " worker_lost that workers are missing.",
        "reqps",
        {"{{model}} {{reason}}": none_yet(rate("hone_rejected_total", by="model, reason"), "reason")},
    )


def worker_memory() -> timeseries.Panel:
    """Of each model."""
    return graph(
        "Memory of workers",
        "Of all workers of a model; what they share is counted in each.",
        "bytes",
        {"{{model}}": f"sum by (model) (hone_worker_resident_bytes{{{MODEL}}})"},
    )


def loop_lag() -> timeseries.Panel:
    """How late the front is."""
    lag = "sum by (le) (rate(hone_event_loop_lag_seconds_bucket[$__rate_interval]))"
    return graph(
        "Event loop lag",
        "How late the front comes to what is due: every request waits so long besides. Above 50 ms something holds the"
        " loop, or the machine has no time for it.",
        "s",
        {f"p{percent}": f"histogram_quantile({percent / 100}, {lag})" for percent in (50, 99)},
        steps=((None, CLEAR), (0.05, BAD)),
    )

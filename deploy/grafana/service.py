"""The dashboard *Service*: is the promise kept, and where does the time go?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana import vitals
from deploy.grafana.board import Panels, board, choice, fill
from deploy.grafana.panels import BAD, CLEAR, GOOD, WARNING, bars, events, figure, graph, heat, rows, stacked
from deploy.grafana.promql import (
    BROKEN,
    MODEL,
    RANGE,
    availability,
    budget_left,
    burn,
    mean,
    none_yet,
    rate,
    ratio,
)

_FRONT = "and on (job, instance) hone_build_info"
"""Of the figures that every process exports, those of Hone's front."""


def service() -> Dashboard:
    """The whole dashboard, from what users see down to the machine."""
    made = board(
        "service", "Service", "Is the promise kept, and where does the time go?", since="now-1h", refresh="10s"
    )
    return fill(
        made.with_variable(choice("model", "Model", "label_values(hone_model_ready, model)", every=".+")),
        {
            "Promise": _promise(),
            "Requests": _requests(),
            "Where time goes": _time(),
            "Batches": _batches(),
            "Models and workers": _models(),
            "Process and machine": _process(),
        },
    )


def _promise() -> Panels:
    within = rate("hone_request_duration_seconds_bucket", 'le="0.25"', over=RANGE)
    return [
        figure(
            "Availability",
            "Share of the requests in this range that were answered. Errors, rejections and missed deadlines count"
            " against it; what was the client's fault, or was given up by it, doesn't count at all.",
            "percentunit",
            availability(),
            decimals=3,
            steps=((None, BAD), (0.99, WARNING), (0.999, GOOD)),
            empty="no requests",
        ),
        figure(
            "Within 250 ms",
            "Share of the admitted requests in this range that ended within 250 ms.",
            "percentunit",
            ratio(within, rate("hone_request_duration_seconds_count", over=RANGE)),
            decimals=2,
            steps=((None, BAD), (0.9, WARNING), (0.99, GOOD)),
            empty="no requests",
        ),
        *(
            bars(
                f"Budget left: {name}",
                f"Share of the requests that may {fate} in 30 days and haven't, by model. Below 0 the promise is"
                " broken.",
                "percentunit",
                budget_left(promise),
                legend="{{model}}",
                steps=((None, BAD), (0.1, WARNING), (0.5, GOOD)),
                empty="no requests",
            ).max(1)
            for promise, name, fate in (("errors", "availability", "fail"), ("slow", "latency", "be slow"))
        ),
        vitals.latency(width=12),
        graph(
            "Burn rate",
            "How fast the worst model uses up its budget: at 1 it is gone after 30 days, at 14.4 after two.",
            "short",
            {
                f"{name}, {window}": burn(promise, window)
                for promise, name in (("errors", "availability"), ("slow", "latency"))
                for window in ("5m", "1h", "6h")
            },
            width=12,
            steps=((None, CLEAR), (1, GOOD), (6, WARNING), (14.4, BAD)),
        ),
    ]


def _requests() -> Panels:
    ended = rate("hone_requests_total", by="model, protocol")
    not_ok = rate("hone_requests_total", 'outcome!="ok"', by="model, outcome")
    return [
        graph("Rate", "Requests that ended, however they did.", "reqps", {"{{model}} {{protocol}}": ended}),
        graph(
            "Broken",
            "Share of requests that failed, were rejected or missed their deadline.",
            "percentunit",
            {"{{model}} {{protocol}}": ratio(rate("hone_requests_total", BROKEN, by="model, protocol"), ended)},
            steps=((None, CLEAR), (0.001, BAD)),
        ),
        graph(
            "Outcomes other than ok",
            "client_error and cancelled are the client's; rejected is overload, or a model that isn't ready; deadline"
            " what was admitted and not finished in time; error a model or a worker that failed.",
            "reqps",
            {"{{model}} {{outcome}}": none_yet(f"{not_ok} > 0", "outcome")},
        ),
        vitals.latency_by_model(0.99, width=12),
        vitals.rows_computed(width=12),
    ]


def _time() -> Panels:
    return [
        stacked(
            "A request's time",
            "Means: waiting for a worker, and for its batch moving the inputs, computing, writing the outputs. What is"
            " missing to the latency above is the front's.",
            "s",
            {
                "queue": mean("hone_queue_duration_seconds"),
                "{{phase}}": mean("hone_compute_duration_seconds", by="phase"),
            },
            width=12,
        ),
        graph(
            "Computing, by model",
            "How long the model itself took for a batch, on average.",
            "s",
            {"{{model}}": mean("hone_compute_duration_seconds", 'phase="infer"', by="model")},
            width=12,
        ),
        vitals.queue_age(),
        vitals.waiting(),
        vitals.rejections(),
    ]


def _batches() -> Panels:
    return [
        heat(
            "Batch size",
            "How many batches had so many rows. Single rows under load mean that requests aren't joined.",
            "short",
            f"sum by (le) (increase(hone_batch_size_bucket{{{MODEL}}}[$__rate_interval]))",
        ),
        vitals.mean_batch(),
        graph(
            "Padding",
            "Share of padded batches that nobody asked for. Only models with buckets have any.",
            "percentunit",
            {"{{model}}": mean("hone_padding_ratio", by="model")},
            steps=((None, CLEAR), (0.5, WARNING)),
        ),
    ]


def _models() -> Panels:
    labels = "model, version, family, variant, backend, precision"
    loaded = f"max by (model, version) (hone_model_loaded_timestamp_seconds{{{MODEL}}}) * 1000"
    restarts = f"sum by (model, reason) (increase(hone_worker_restarts_total{{{MODEL}}}[$__rate_interval]))"
    hits, misses = (rate(f"hone_cache_{which}_total", by="model") for which in ("hits", "misses"))
    return [
        rows(
            "What is served",
            "Every version, when it took over and how long its load took. Ready is 1 when it answers.",
            f"max by ({labels}) (hone_model_info{{{MODEL}}})",
            {
                "Ready": ("short", f"max by (model, version) (hone_model_ready{{{MODEL}}})"),
                "Loaded": ("dateTimeFromNow", loaded),
                "Load": ("s", f"max by (model, version) (hone_model_load_duration_seconds{{{MODEL}}})"),
                "Memory": ("bytes", f"sum by (model, version) (hone_worker_resident_bytes{{{MODEL}}})"),
            },
        ),
        graph(
            "Workers",
            "Worker processes that take batches; a remote server that answers is one.",
            "short",
            {"{{model}} {{device}}": f"sum by (model, device) (hone_worker_up{{{MODEL}}})"},
        ),
        events(
            "Worker restarts",
            "Workers that ended unasked, by how. None of their requests is lost, unless one of them did it.",
            {"{{model}} {{reason}}": none_yet(restarts, "reason")},
        ),
        graph(
            "Sequences",
            "Sequences in progress, texts that are being written among them, and those that wait for a slot.",
            "short",
            {"{{model}}": f"sum by (model) (hone_sequences{{{MODEL}}})"},
        ),
        graph(
            "Response cache hits",
            "Share of the requests that were answered without computing. Only models with response_cache have any.",
            "percentunit",
            {"{{model}}": ratio(hits, f"({hits} + {misses})")},
            width=12,
        ),
        graph(
            "Response cache",
            "What is kept for each model; --response-cache-byte-size bounds the sum.",
            "bytes",
            {"{{model}}": f"sum by (model) (hone_cache_bytes{{{MODEL}}})"},
            width=12,
        ),
    ]


def _process() -> Panels:
    return [
        vitals.loop_lag(),
        graph(
            "Processor",
            "Cores in use: by the front, which computes no model, and by the workers of each.",
            "short",
            {
                "front": f"rate(process_cpu_seconds_total[$__rate_interval]) {_FRONT}",
                "{{model}}": rate("hone_worker_cpu_seconds_total", by="model"),
            },
        ),
        graph(
            "Memory taken",
            "Share of the memory that the container may have, or the machine where it has no limit. At 1 processes are"
            " killed.",
            "percentunit",
            {"{{instance}}": "hone_memory_used_bytes / hone_memory_limit_bytes"},
            steps=((None, CLEAR), (0.9, BAD)),
        ).max(1),
        graph(
            "Memory of the front",
            "Requests and answers that are under way, kept answers, and what it takes by itself.",
            "bytes",
            {"front": f"process_resident_memory_bytes {_FRONT}"},
        ),
        vitals.worker_memory(),
        graph(
            "GPU",
            "Share of the time in which each GPU computed anything, whoever's it was. Empty without GPUs.",
            "percentunit",
            {"{{gpu}}": "hone_gpu_utilization_ratio"},
        ).max(1),
        graph(
            "GPU memory",
            "Share of each GPU's memory that is taken, by anybody. Empty without GPUs.",
            "percentunit",
            {"{{gpu}}": "hone_gpu_memory_used_bytes / hone_gpu_memory_bytes"},
            steps=((None, CLEAR), (0.95, BAD)),
        ).max(1),
    ]

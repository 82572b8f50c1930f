"""The dashboard *Models*: variants side by side, by what is measured now and by what their cards say."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana import vitals
from deploy.grafana.board import Panels, board, choice, fill
from deploy.grafana.panels import GOOD, bars, graph, matrix, rows
from deploy.grafana.promql import MODEL, RANGE, RECENT, quantile, rate, ratio

_EACH = "model, version"


def models() -> Dashboard:
    """The whole dashboard."""
    text = "The variants of a family side by side: what each is worth, and what it takes."
    of_family = 'label_values(hone_model_info{family=~"$family"}, model)'
    made = board("models", "Models", text, since="now-1h", refresh="30s")
    made.with_variable(choice("family", "Family", "label_values(hone_model_info, family)", every=".*"))
    made.with_variable(choice("model", "Model", of_family))
    return fill(made, {"Side by side": _compared(), "Measured now": _measured()})


def _compared() -> Panels:
    labels = f"{_EACH}, family, variant, backend, precision"
    accuracy, compute = (
        f'hone_model_metric{{{MODEL}, metric="{metric}"}}' for metric in ("accuracy", "compute_seconds")
    )
    return [
        rows(
            "Variants",
            "Accuracy is the card's. Times and rates are those of the range that is looked at, under the traffic that"
            " there was: only variants that are asked alike can be compared by them. What isn't batched answers a row"
            " by what stands beside it, so each request is computed alone.",
            f"max by ({labels}) (hone_model_info{{{MODEL}}})",
            {
                "Accuracy": ("percentunit", f"max by ({_EACH}) ({accuracy})"),
                "Size": ("bytes", f"max by ({_EACH}) (hone_model_size_bytes{{{MODEL}}})"),
                "Batched": ("bool_yes_no", f"min by ({_EACH}) (hone_model_batch_independent{{{MODEL}}})"),
                "Rows per second": ("ops", rate("hone_inference_total", by=_EACH, over=RANGE)),
                "Computing a row": ("s", _seconds_a_row(by=_EACH, over=RANGE)),
                "p50": ("s", quantile(0.5, "hone_request_duration_seconds", by=_EACH, over=RANGE)),
                "p99": ("s", quantile(0.99, "hone_request_duration_seconds", by=_EACH, over=RANGE)),
            },
        ),
        *(
            bars(
                title,
                text,
                unit,
                f"max by (model) ({metric})",
                legend="{{model}}",
                steps=((None, GOOD),),
                empty="no model that says it",
                width=8,
            )
            for title, text, unit, metric in (
                ("Accuracy", "On images that training never saw, by the card.", "percentunit", accuracy),
                ("Size", "The model file.", "bytes", f"hone_model_size_bytes{{{MODEL}}} > 0"),
                ("Computing, by the card", "A lone image in the worker, measured at the training.", "s", compute),
            )
        ),
        matrix(
            "Cards",
            "Every figure of every card, as it was published: times in seconds, shares between 0 and 1.",
            f"max by (model, metric) (hone_model_metric{{{MODEL}}})",
            row="model",
            column="metric",
        ),
        matrix(
            "Instructions that this CPU lacks",
            "1 where a card's figures were taken with them: answers of integers and times may differ here.",
            f"max by (model, instructions) (hone_model_missing_instructions{{{MODEL}}})",
            row="model",
            column="instructions",
        ),
    ]


def _measured() -> Panels:
    return [
        vitals.latency_by_model(0.5),
        vitals.latency_by_model(0.99),
        vitals.rows_computed(),
        graph(
            "Computing a row",
            "The worker's time for a row of the batches that there were: what compression is to make less.",
            "s",
            {"{{model}}": _seconds_a_row(by="model", over=RECENT)},
        ),
        vitals.mean_batch(),
        vitals.worker_memory(),
    ]


def _seconds_a_row(*, by: str, over: str) -> str:
    seconds = rate("hone_compute_duration_seconds_sum", 'phase="infer"', by=by, over=over)
    return ratio(seconds, rate("hone_inference_total", by=by, over=over))

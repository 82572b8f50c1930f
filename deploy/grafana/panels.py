"""Panels as all dashboards have them: each says what it shows and in which unit, and most are empty for a reason."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
CLEAR, GOOD, WARNING, BAD = "transparent", "green", "orange", "red"
_HEIGHT = 8
_LATEST = common.ReduceDataOptions().calcs(["lastNotNull"])
_BY_THRESHOLD = dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)

Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, bargauge.Panel, heatmap.Panel, table.Panel)

Steps = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first from anywhere (None)."""


def graph(
    title: str, text: str, unit: str, queries: Mapping[str, str], *, width: int = 8, steps: Steps = ()
) -> timeseries.Panel:
    """Lines over time: an expression for each legend. `steps` are drawn as dashed lines."""
    panel = (
        _framed(timeseries.Panel(), title, text, unit, width)
        .min(0)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for ref, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False):
        panel.with_target(prometheus.Dataquery().ref_id(ref).expr(expression).legend_format(legend).range())
    if steps:
        panel.thresholds(_thresholds(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return panel


def stacked(title: str, text: str, unit: str, queries: Mapping[str, str], *, width: int = 8) -> timeseries.Panel:
    """As `graph`, one on top of the other."""
    panel = graph(title, text, unit, queries, width=width)
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(40)


def events(title: str, text: str, queries: Mapping[str, str], *, width: int = 8) -> timeseries.Panel:
    """What happens now and then, counted in bars."""
    return graph(title, text, "short", queries, width=width).draw_style(GraphDrawStyle.BARS).fill_opacity(80)


def figure(
    title: str, text: str, unit: str, expression: str, *, steps: Steps, empty: str, decimals: int = 0, width: int = 6
) -> stat.Panel:
    """One number for the range that is looked at; `empty` says what it means that there is none."""
    return (
        _framed(stat.Panel(), title, text, unit, width)
        .decimals(decimals)
        .no_value(empty)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(_LATEST)
        .color_scheme(_BY_THRESHOLD)
        .thresholds(_thresholds(steps))
        .with_target(prometheus.Dataquery().ref_id("A").expr(expression).instant())
    )


def bars(
    title: str, text: str, unit: str, expression: str, *, legend: str, steps: Steps, empty: str, width: int = 6
) -> bargauge.Panel:
    """A bar for each model, as it is now."""
    return (
        _framed(bargauge.Panel(), title, text, unit, width)
        .min(0)
        .no_value(empty)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(_LATEST)
        .color_scheme(_BY_THRESHOLD)
        .thresholds(_thresholds(steps))
        .with_target(prometheus.Dataquery().ref_id("A").expr(expression).legend_format(legend).instant())
    )


def heat(title: str, text: str, unit: str, expression: str, *, width: int = 8) -> heatmap.Panel:
    """How often each bucket of a histogram was met, over time."""
    return (
        _framed(heatmap.Panel(), title, text, "short", width)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .with_target(
            prometheus.Dataquery()
            .ref_id("A")
            .expr(expression)
            .legend_format("{{le}}")
            .format(PromQueryFormat.HEATMAP)
            .range()
        )
    )


def rows(title: str, text: str, of: str, columns: Mapping[str, tuple[str, str]], *, width: int = 24) -> table.Panel:
    """A row for each series of an expression, with its labels, and `columns` with their units and expressions."""
    panel = _framed(table.Panel(), title, text, "short", width)
    panel.with_target(_listed("A", of))
    options: dict[str, Any] = {"excludeByName": {"Time": True, "Value #A": True}, "indexByName": {}, "renameByName": {}}
    for ref, (column, (unit, expression)) in zip(ascii_uppercase[1:], columns.items(), strict=False):
        panel.with_target(_listed(ref, expression)).override_by_name(column, [DynamicConfigValue("unit", unit)])
        options["renameByName"][f"Value #{ref}"] = column
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))


def matrix(title: str, text: str, expression: str, *, row: str, column: str, width: int = 24) -> table.Panel:
    """A value for each pair of two labels."""
    options: dict[str, Any] = {"rowField": row, "columnField": column, "valueField": "Value"}
    return (
        _framed(table.Panel(), title, text, "short", width)
        .with_target(_listed("A", expression))
        .with_transformation(DataTransformerConfig(id_val="groupingToMatrix", options=options))
    )


def _framed(panel: Panel, title: str, text: str, unit: str, width: int) -> Panel:
    return panel.title(title).description(text).datasource(SOURCE).unit(unit).span(width).height(_HEIGHT)


def _listed(ref: str, expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).expr(expression).format(PromQueryFormat.TABLE).instant()


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(show_legend=True)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )

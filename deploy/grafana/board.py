"""A dashboard as all of Hone's are: read-only, with links to the others, and marks where a model was loaded."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import SOURCE
from deploy.grafana.promql import MODEL

Panels = Sequence[Builder[Panel]]
_EVERY = VariableOption(text="All", value="$__all")


def board(uid: str, title: str, text: str, *, since: str, refresh: str) -> builders.Dashboard:
    """Without panels; it shows what was since then (`now-1h`), and looks again every `refresh`."""
    links = builders.DashboardLink("Hone").type(DashboardLinkType.DASHBOARDS).tags(["hone"])
    return (
        builders.Dashboard(title)
        .uid(f"hone-{uid}")
        .description(text)
        .tags(["hone"])
        .readonly()
        .time(since, "now")
        .refresh(refresh)
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(links.as_dropdown(as_dropdown=True).include_vars(include_vars=True).keep_time(keep_time=True))
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .annotation(_Loads())
    )


def choice(name: str, label: str, query: str, *, every: str = "") -> builders.QueryVariable:
    """A variable with the values of a label, several or all; `every` is the pattern that stands for all."""
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .current(_EVERY)
    )
    return variable.all_value(every) if every else variable


def fill(made: builders.Dashboard, rows: Mapping[str, Panels]) -> builders.Dashboard:
    """The same with these rows, each its panels under its title."""
    for title, panels in rows.items():
        made.with_row(builders.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made


class _Loads(Builder[AnnotationQuery]):
    """Builds the annotation that marks each load of a model, at the time that the metric tells."""

    def build(self) -> AnnotationQuery:
        """See the SDK's `Builder`."""
        return _TimedAnnotation(
            name="Loads",
            datasource=SOURCE,
            icon_color="blue",
            expr=f"hone_model_loaded_timestamp_seconds{{{MODEL}}} * 1000",
        )


class _TimedAnnotation(AnnotationQuery):
    """What the SDK's lacks: the value of a sample is the moment to mark."""

    def to_json(self) -> dict[str, object]:
        """See the SDK's."""
        words = {"titleFormat": "{{model}} {{version}} serves", "tagKeys": "model,version", "useValueForTime": True}
        return super().to_json() | words

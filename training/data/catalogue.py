"""Which sources of data there are, by the names that recipes have for them.

A module is imported when its source is asked for: some take seconds.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from service.errors import SettingsError
from training.data.material import Material
from training.suggestion import suggestion

SOURCES: Mapping[str, str] = {
    "anomalies": "Anomalies",
    "arrays": "Arrays",
    "digits": "Digits",
    "folder": "Folder",
    "lines": "Lines",
    "retrieval": "Retrieval",
    "scenes": "Scenes",
    "series": "Series",
    "series_table": "SeriesTable",
    "source_code": "SourceCode",
    "table": "Table",
    "tabular": "Tabular",
    "texts": "Texts",
}
"""Each source, which is the name of a module beside this one; that of its settings ends with `Settings`."""


def settings_of(source: str) -> type[Any]:
    """The class of a source's settings. Raises SettingsError that names the sources there are."""
    if source not in SOURCES:
        raise SettingsError(f"no source `{source}`{suggestion(source, SOURCES)}")
    found: type[Any] = getattr(import_module(f"{__package__}.{source}"), f"{SOURCES[source]}Settings")
    return found


def gather(settings: object, seed: int) -> Material:
    """The material that the source of these settings gives. Raises SettingsError that says what is wrong with it."""
    found: Material = import_module(type(settings).__module__).material(settings, seed)
    return found

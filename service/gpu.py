"""The GPUs of this machine, as NVIDIA's management library tells of them (NVML, which nvidia-smi asks too)."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def _pynvml() -> Any:
    return importlib.import_module("pynvml")


class GpuCollector(Collector):
    """Exposes how busy each GPU is and what its memory holds; nothing where there is no GPU, no driver or no library.

    `load` gives the module of the package nvidia-ml-py, or raises ImportError. It is asked at the first scrape, in that
    scrape's thread: waking a driver may take a second.
    """

    def __init__(self, load: Callable[[], Any] = _pynvml) -> None:
        self._load = load
        self._nvml: Any = None
        self._gpus: dict[str, Any] | None = None

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at every scrape. What a GPU can't tell, or can't any more, is left out."""
        if self._gpus is None:
            self._gpus = self._found()
        if not self._gpus:
            return
        nvml = self._nvml
        busy = GaugeMetricFamily("hone_gpu_utilization_ratio", "Share of the time in which it computed", labels=["gpu"])
        used = GaugeMetricFamily("hone_gpu_memory_used_bytes", "Memory of the GPU that is taken", labels=["gpu"])
        total = GaugeMetricFamily("hone_gpu_memory_bytes", "Memory that the GPU has", labels=["gpu"])
        for gpu, handle in self._gpus.items():
            with suppress(nvml.NVMLError):
                busy.add_metric([gpu], nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
            with suppress(nvml.NVMLError):
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
                used.add_metric([gpu], memory.used)
                total.add_metric([gpu], memory.total)
        yield from (busy, used, total)

    def _found(self) -> dict[str, Any]:
        """The handle of each GPU by its number, which is nvidia-smi's."""
        try:
            nvml = self._nvml = self._load()
        except ImportError:
            return {}
        found: dict[str, Any] = {}
        with suppress(nvml.NVMLError):
            nvml.nvmlInit()
            for number in range(nvml.nvmlDeviceGetCount()):
                with suppress(nvml.NVMLError):
                    found[str(number)] = nvml.nvmlDeviceGetHandleByIndex(number)
        return found

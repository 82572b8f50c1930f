"""GPU figures, from a library that says what the test wants."""

from types import SimpleNamespace
from typing import Any

import prometheus_client
import pynvml
import pytest

from service.gpu import GpuCollector

GIB = 2**30


class FakeNvml:
    """pynvml for `gpus`, each its utilization in percent and the bytes of its memory, used and in all. None can't be
    told; one that knows neither isn't even found.
    """

    NVMLError = pynvml.NVMLError

    def __init__(self, *gpus: tuple[int | None, tuple[int, int] | None], broken: bool = False) -> None:
        self.gpus = gpus
        self.asked = 0
        self._broken = broken

    def nvmlInit(self) -> None:  # noqa: N802
        self.asked += 1
        if self._broken:
            raise self.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self._told(self.gpus[index][0] or self.gpus[index][1])
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=self._told(self.gpus[handle][0]), memory=0)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        used, total = self._told(self.gpus[handle][1])
        return SimpleNamespace(used=used, total=total, free=total - used)

    def _told(self, what: Any) -> Any:
        if what is None:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return what


def exposed(collector: GpuCollector) -> dict[str, float]:
    """Every sample, by name and GPU."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    return {
        f"{sample.name} {sample.labels['gpu']}": sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_every_gpu_is_told_of() -> None:
    """By its number: how busy it is, as a share, and its memory in bytes."""
    nvml = FakeNvml((75, (10 * GIB, 80 * GIB)), (0, (GIB, 24 * GIB)))

    assert {
        "hone_gpu_utilization_ratio 0": 0.75,
        "hone_gpu_memory_used_bytes 0": 10 * GIB,
        "hone_gpu_memory_bytes 0": 80 * GIB,
        "hone_gpu_utilization_ratio 1": 0.0,
        "hone_gpu_memory_used_bytes 1": GIB,
        "hone_gpu_memory_bytes 1": 24 * GIB,
    } == exposed(GpuCollector(lambda: nvml))


def test_what_a_gpu_cannot_tell_is_left_out() -> None:
    """One that is divided (MIG) has no utilization; one that has fallen off the bus tells nothing any more."""
    nvml = FakeNvml((None, (GIB, 80 * GIB)), (50, (GIB, 24 * GIB)))
    collector = GpuCollector(lambda: nvml)
    assert ["hone_gpu_memory_bytes 0", "hone_gpu_memory_used_bytes 0"] == sorted(
        sample for sample in exposed(collector) if sample.endswith(" 0")
    )

    nvml.gpus = (nvml.gpus[0], (None, None))
    assert not any(sample.endswith(" 1") for sample in exposed(collector))

    nvml.gpus = ((None, None), (50, (GIB, 24 * GIB)))
    assert {"1"} == {sample.rpartition(" ")[2] for sample in exposed(GpuCollector(lambda: nvml))}


@pytest.mark.parametrize("nvml", [FakeNvml(), FakeNvml(broken=True)])
def test_without_a_gpu_there_are_no_series(nvml: FakeNvml) -> None:
    """Nor is the driver asked at every scrape whether there is one now."""
    collector = GpuCollector(lambda: nvml)

    assert ({}, {}, 1) == (exposed(collector), exposed(collector), nvml.asked)


def test_without_the_library_there_are_no_series() -> None:
    """The package belongs to the extra `gpu`."""

    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'pynvml'")

    assert {} == exposed(GpuCollector(missing))


def test_the_fake_is_asked_as_the_library_is() -> None:
    """Every function that the fake has is one of the library's; the real one is asked here too, GPU or not."""
    assert [] == [name for name in vars(FakeNvml) if name.startswith("nvml") and not callable(getattr(pynvml, name))]
    assert all(value >= 0 for value in exposed(GpuCollector()).values())

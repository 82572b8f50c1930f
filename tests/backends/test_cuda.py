"""What can be said of CUDA without a GPU: its options, its errors, and its page-locked memory."""

import mmap
from typing import Any

import pytest

from service.backends.backend import one_line
from service.backends.cuda import LIBRARIES, is_lasting, pin
from service.backends.onnxruntime import cuda_options
from service.backends.plan import Plan

FAILURE = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. Name:'add' Status Message:"
    " CUDA failure {}: something ; GPU=0 ; hostname=box-7 ; file=/onnxruntime_src/cuda/gpu_data_transfer.cc ; line=63 ;"
    " expr=cudaMemcpyAsync(to, from, bytes, kind, stream); "
)


@pytest.mark.parametrize(
    "text, lasting",
    [
        (FAILURE.format(700), True),
        (FAILURE.format(719), True),
        (FAILURE.format(100), True),
        (FAILURE.format(2), False),
        (FAILURE.format(1) + FAILURE.format(710), True),
        ("Got invalid dimensions for input: x index: 1 Got: 700 Expected: 64", False),
    ],
)
def test_errors_that_outlast_a_batch_are_known_by_their_code(text: str, lasting: bool) -> None:
    """A kernel that read where it mustn't, or a lost device, ends the process; lack of memory fails the batch only."""
    assert lasting == is_lasting(text)


def test_an_error_of_the_device_names_no_machine() -> None:
    """What failed is told, and not on which host or in which file."""
    text = one_line(FAILURE.format(2))

    assert "CUDA failure 2: something" in text
    assert not any(word in text for word in ("box-7", "/onnxruntime_src", "cudaMemcpyAsync"))


class Runtime:
    """Stands for the CUDA runtime: answers with `codes`, writes down what it was asked."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.asked: list[str] = []
        self.size = 0

    def cudaSetDevice(self, device: int) -> int:  # noqa: N802 -- CUDA's name
        self.asked.append(f"device {device}")
        return self.codes.get("device", 0)

    def cudaHostRegister(self, address: Any, size: Any, flags: int) -> int:  # noqa: N802 -- CUDA's name
        assert address.value
        assert 1 == flags
        self.asked.append("register")
        self.size = size.value
        return self.codes.get("register", 0)

    def cudaGetLastError(self) -> int:  # noqa: N802 -- CUDA's name
        self.asked.append("forget")
        return 0


def test_memory_is_page_locked_for_the_device_that_uses_it() -> None:
    """All of it, by whichever version of the library there is."""
    runtime = Runtime()
    tried: list[str] = []

    def load(name: str) -> Runtime:
        tried.append(name)
        if name == LIBRARIES[0]:
            raise OSError(name)
        return runtime

    assert pin(memoryview(mmap.mmap(-1, 8192)), 1, load)
    assert list(LIBRARIES) == tried
    assert (["device 1", "register"], 8192) == (runtime.asked, runtime.size)


@pytest.mark.parametrize("codes", [{"device": 100}, {"register": 801}])
def test_where_memory_cannot_be_page_locked_the_error_is_forgotten(codes: dict[str, int]) -> None:
    """The runtime mustn't find it and fail a batch for it."""
    runtime = Runtime(**codes)

    assert not pin(memoryview(mmap.mmap(-1, 4096)), 0, lambda _: runtime)
    assert "forget" == runtime.asked[-1]


def test_without_the_library_nothing_is_page_locked() -> None:
    """There is none on a machine without CUDA."""
    assert not pin(memoryview(mmap.mmap(-1, 4096)), 0)


def test_the_provider_is_told_its_device_and_that_numbers_stay_as_they_are() -> None:
    """float32 isn't rounded to tf32, memory doesn't grow in leaps, and algorithms are searched for few shapes only."""
    plain = cuda_options(Plan(backend="onnxruntime", path="", device="cuda:2"))
    graphs = cuda_options(Plan(backend="onnxruntime", path="", device="cuda:0", batch_buckets=(1, 8), cuda_graphs=True))

    assert ("2", "0", "kSameAsRequested", "HEURISTIC", "0") == (
        plain["device_id"],
        plain["use_tf32"],
        plain["arena_extend_strategy"],
        plain["cudnn_conv_algo_search"],
        plain["enable_cuda_graph"],
    )
    assert ("0", "EXHAUSTIVE", "1") == (
        graphs["device_id"],
        graphs["cudnn_conv_algo_search"],
        graphs["enable_cuda_graph"],
    )

"""Client shared memory, by NVIDIA's clients on all entrances and with real shared memory objects."""

import base64
import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.utils.shared_memory as shm
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from service.errors import Forbidden
from service.protocol.client_memory import ClientMemory
from tests.contract.live import LIMITS
from tests.contract.live_grpc import serve_grpc

X = np.array([[1.5, -2.0, 3.0, 0.25]], np.float32)


class Door:
    """A stock client, and the module that its tensors come from."""

    def __init__(self, client: Any, words: Any) -> None:
        self.client = client
        self.words = words

    def infer(self, given: tuple[str, int, int], taken: tuple[str, int, int] | None = None, **more: Any) -> Any:
        """Ask with the input in a region (name, bytes, offset), and the output in another if that is given."""
        tensor = self.words.InferInput("x", more.pop("shape", [1, 4]), more.pop("datatype", "FP32"))
        tensor.set_shared_memory(*given)
        output = self.words.InferRequestedOutput("y")
        if taken:
            output.set_shared_memory(*taken)
        return self.client.infer("affine", [tensor], outputs=[output])

    def names(self) -> list[str]:
        """The regions that the server lists."""
        found = self.client.get_system_shared_memory_status()
        return sorted(one["name"] for one in found) if isinstance(found, list) else sorted(found.regions)


@pytest.fixture(params=["fast", "plain", "grpc"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each entrance; what was registered goes in the end."""
    with contextlib.ExitStack() as stack:
        if request.param == "grpc":
            live = stack.enter_context(serve_grpc())
            client: Any = stack.enter_context(triton_grpc.InferenceServerClient(f"127.0.0.1:{live.port}"))
        else:
            port = request.getfixturevalue(f"{request.param}_server").port
            client = stack.enter_context(triton.InferenceServerClient(f"127.0.0.1:{port}"))
        yield Door(client, triton_grpc if request.param == "grpc" else triton)
        client.unregister_system_shared_memory()


@pytest.fixture
def region() -> Iterator[Callable[[int], tuple[str, Any]]]:
    """Makes shared memory objects of so many bytes: their keys and handles. They are removed in the end."""
    handles = []

    def make(size: int) -> tuple[str, Any]:
        key = f"/hone-test-{secrets.token_hex(6)}"
        handles.append(shm.create_shared_memory_region("r", key, size, create_only=True))
        return key, handles[-1]

    yield make
    for handle in handles:
        with contextlib.suppress(shm.SharedMemoryException, FileNotFoundError):
            shm.destroy_shared_memory_region(handle)


Make = Callable[[int], tuple[str, Any]]


def test_tensors_stay_where_they_are(door: Door, region: Make) -> None:
    """Inputs are taken from a region and outputs written to another; the answer holds no data. Over gRPC it says where;
    over HTTP it has no parameters, by which Triton's C++ client knows binary data.
    """
    key, handle = region(64)
    back_key, back = region(64)
    shm.set_shared_memory_region(handle, [X], offset=16)
    door.client.register_system_shared_memory("in", key, 48, offset=8)
    door.client.register_system_shared_memory("out", back_key, 64)
    assert ["in", "out"] == door.names()

    result = door.infer(("in", 16, 8), ("out", 32, 32))

    assert (X * 2 + 1).tolist() == shm.get_contents_as_numpy(back, np.float32, [1, 4], offset=32).tolist()
    output = result.get_output("y")
    if isinstance(output, dict):
        assert {"name", "datatype", "shape"} == set(output)
    else:
        assert {"shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"} == set(output.parameters)
        assert [b""] == list(result.get_response().raw_output_contents)


def test_an_input_in_a_region_is_answered_as_any_other(door: Door, region: Make) -> None:
    """The output comes in the answer then; and what is in the region at the next request counts, not what was."""
    key, handle = region(16)
    door.client.register_system_shared_memory("in", key, 16)
    for x in (X, X + 1):
        shm.set_shared_memory_region(handle, [x])
        assert (x * 2 + 1).tolist() == door.infer(("in", 16, 0)).as_numpy("y").tolist()


def test_texts_go_through_regions(door: Door, region: Make) -> None:
    """In the form that they have in binary."""
    key, handle = region(64)
    texts = np.array(["ab", "c"], np.object_)
    shm.set_shared_memory_region(handle, [serialize_byte_tensor(texts)])
    door.client.register_system_shared_memory("in", key, 64)

    answer = door.infer(("in", 11, 0), shape=[2], datatype="BYTES").as_numpy("y")
    assert [b"ab!", b"c!"] == [one.encode() if isinstance(one, str) else one for one in answer]


def test_what_does_not_fit_is_refused(door: Door, region: Make) -> None:
    """By name: parts beyond a region, a wrong size, an output that is larger than its place, no region."""
    key, _ = region(32)
    door.client.register_system_shared_memory("r", key, 32)
    for given, taken, text in (
        (("r", 16, 17), None, r'input "x": region "r" has 32 bytes, 16 from 17 on are asked for'),
        (("r", 2**40, 0), None, "are asked for"),
        (("r", 8, 0), None, "needs 16 bytes, got 8"),
        (("r", 16, 0), ("r", 8, 0), 'output "y" has 16 bytes, shared_memory_byte_size of region "r" is 8'),
        (("gone", 16, 0), None, 'input "x": region "gone" isn\'t registered'),
        (("r", 16, 0), ("gone", 16, 0), 'output "y": region "gone" isn\'t registered'),
    ):
        with pytest.raises(InferenceServerException, match=text):
            door.infer(given, taken)
    assert door.infer(("r", 16, 0)).as_numpy("y") is not None


def test_what_is_no_region_is_not_registered(door: Door, region: Make) -> None:
    """Names that are taken, objects that aren't there or are smaller, and keys that would lead elsewhere."""
    key, _ = region(32)
    door.client.register_system_shared_memory("r", key, 32)
    for name, other, size, offset, text in (
        ("r", key, 32, 0, "is registered already"),
        ("s", key, 33, 0, "has less than 33 bytes"),
        ("s", key, 1, 2**62, "has less than"),
        ("s", key, 0, 0, "byte_size is 0, expected a number of bytes from 1 to 9223372036854775807"),
        ("s", "/hone-test-nothing", 8, 0, "there is no shared memory object"),
        ("s", "/../../etc/passwd", 8, 0, "isn't the name of a shared memory object"),
        ("s", "//etc", 8, 0, "isn't the name of a shared memory object"),
        ("s", ".", 8, 0, "isn't the name of a shared memory object"),
        ("s", "", 8, 0, "isn't the name of a shared memory object"),
    ):
        with pytest.raises(InferenceServerException, match=text):
            door.client.register_system_shared_memory(name, other, size, offset=offset)
    assert ["r"] == door.names()
    with pytest.raises(InferenceServerException, match="isn't registered"):
        door.client.get_system_shared_memory_status("s")


def test_links_and_devices_are_no_regions(door: Door, tmp_path: Path) -> None:
    """Whoever can put a link there doesn't get at what it leads to."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(64))
    link = Path("/dev/shm") / f"hone-test-{secrets.token_hex(6)}"
    pipe = link.with_name(f"{link.name}-pipe")
    link.symlink_to(secret)
    os.mkfifo(pipe)
    try:
        for path in (link, pipe):
            with pytest.raises(InferenceServerException, match="shared memory object"):
                door.client.register_system_shared_memory("r", path.name, 8)
    finally:
        link.unlink()
        pipe.unlink()


def test_a_region_that_was_let_go_is_gone(door: Door, region: Make) -> None:
    """One by name, or all; to let go of what isn't there is no mistake. Its name may be used again."""
    key, _ = region(32)
    for name in ("a", "b", "c"):
        door.client.register_system_shared_memory(name, key, 32)
    door.client.unregister_system_shared_memory("a")
    door.client.unregister_system_shared_memory("nobody")
    assert ["b", "c"] == door.names()
    with pytest.raises(InferenceServerException, match="isn't registered"):
        door.infer(("a", 16, 0))
    door.client.register_system_shared_memory("a", key, 16)
    door.client.unregister_system_shared_memory()
    assert [] == door.names()


def test_an_object_that_is_made_smaller_harms_only_who_made_it_so(door: Door, region: Make) -> None:
    """A server that had mapped it would end with a bus error."""
    key, _ = region(8192)
    door.client.register_system_shared_memory("r", key, 8192)
    os.truncate(f"/dev/shm{key}", 8)
    with pytest.raises(InferenceServerException, match="has become smaller"):
        door.infer(("r", 16, 4096))
    os.truncate(f"/dev/shm{key}", 4112)
    with pytest.raises(InferenceServerException, match="has become smaller"):
        door.infer(("r", 16, 4096), ("r", 16, 4112))

    assert 4112 == Path(f"/dev/shm{key}").stat().st_size
    assert door.client.is_server_live()


def test_no_memory_of_a_gpu_is_registered(door: Door) -> None:
    """It is refused by name; there is none to list, or to let go of."""
    with pytest.raises(InferenceServerException, match="memory of a GPU can't be registered"):
        door.client.register_cuda_shared_memory("r", base64.b64encode(b"handle"), 0, 8)
    assert not getattr(door.client.get_cuda_shared_memory_status(), "regions", [])
    door.client.unregister_cuda_shared_memory()


def test_as_many_bytes_as_a_body_may_have() -> None:
    """However often the same region is named."""
    key = f"hone-test-{secrets.token_hex(6)}"
    path = Path("/dev/shm", key)
    with path.open("wb") as file:
        file.truncate(LIMITS.max_binary_bytes)
    try:
        with serve_grpc() as live, triton_grpc.InferenceServerClient(f"127.0.0.1:{live.port}") as client:
            client.register_system_shared_memory("r", key, LIMITS.max_binary_bytes)
            tensors = []
            for name in ("a", "b"):
                tensors.append(triton_grpc.InferInput(name, [1, LIMITS.max_binary_bytes], "UINT8"))
                tensors[-1].set_shared_memory("r", LIMITS.max_binary_bytes)
            assert client.infer("echo", tensors[:1]) is not None
            with pytest.raises(InferenceServerException, match="RESOURCE_EXHAUSTED"):
                client.infer("echo", tensors)
    finally:
        path.unlink()


def test_it_is_off_unless_it_was_allowed() -> None:
    """Then nothing of it can be used, nor asked."""
    memory = ClientMemory(allowed=False)
    for call in (
        lambda: memory.register("r", "k", 0, 1),
        lambda: memory.unregister("r"),
        lambda: memory.regions(None),
    ):
        with pytest.raises(Forbidden, match="--allow-client-shm"):
            call()


def test_descriptors_are_given_back() -> None:
    """Of regions that were let go, and of those that were refused."""
    key = f"hone-test-{secrets.token_hex(6)}"
    path = Path("/dev/shm", key)
    path.write_bytes(bytes(16))
    try:
        memory = ClientMemory(allowed=True)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(300):
            memory.register("r", key, 0, 16)
            memory.unregister("r" if number % 2 else None)
            with pytest.raises(Exception, match="has less than"):
                memory.register("r", key, 0, 17)
        assert before >= len(os.listdir("/proc/self/fd"))
    finally:
        path.unlink()


def test_a_write_that_stops_half_way_goes_on(door: Door, region: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may write less than it was asked to, and says so; where there is no room left, that is an error."""
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, content, start: whole(descriptor, content[:5], start))
    key, handle = region(64)
    back_key, back = region(64)
    shm.set_shared_memory_region(handle, [X])
    door.client.register_system_shared_memory("in", key, 64)
    door.client.register_system_shared_memory("out", back_key, 64)
    door.infer(("in", 16, 0), ("out", 16, 0))
    assert (X * 2 + 1).tolist() == shm.get_contents_as_numpy(back, np.float32, [1, 4]).tolist()

    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(InferenceServerException, match="is full"):
        door.infer(("in", 16, 0), ("out", 16, 0))

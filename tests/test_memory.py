"""What the kernel tells of memory, from files as it writes them."""

from pathlib import Path

import prometheus_client
import pytest

from service.memory import MemoryCollector

MIB = 2**20
MEMINFO = "MemTotal:       4096 kB\nMemFree:  1 kB\nMemAvailable:   3072 kB\nHugePages_Total:       0\n"
V1 = "12:pids:/docker/abc\n4:cpu,memory:/docker/abc\n0::/\n"
NO_LIMIT_V1 = 9223372036854771712


def exposed(root: Path) -> dict[str, float]:
    """Every sample by its name."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(MemoryCollector(root))
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def share(root: Path) -> tuple[float, float]:
    """What is taken, and what may be."""
    found = exposed(root)
    return found["hone_memory_used_bytes"], found["hone_memory_limit_bytes"]


def machine(root: Path, cgroup: str) -> Path:
    """A machine of 4 MiB, of which three are available, with a process in so many control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(MEMINFO)
    (root / "proc/self/cgroup").write_text(cgroup)
    return root


def group(folder: Path, limit: object, used: int, inactive: int) -> None:
    """A group of the kernel's second generation."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 12\ninactive_anon 5\ninactive_file {inactive}\n")


def group_v1(folder: Path, limit: int, used: int, inactive: int) -> None:
    """One of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {inactive}\n")


def test_a_container_is_told_by_its_limit(tmp_path: Path) -> None:
    """Without the files that the kernel may drop."""
    group(machine(tmp_path, "0::/\n") / "sys/fs/cgroup", 2 * MIB, MIB, 1000)

    assert (MIB - 1000, 2 * MIB) == share(tmp_path)


def test_the_nearest_limit_counts(tmp_path: Path) -> None:
    """A service's group has none, the slice that it is in has one, and so has what is above that."""
    top = machine(tmp_path, "0::/hone.slice/some/hone.service\n") / "sys/fs/cgroup"
    group(top / "hone.slice/some/hone.service", "max", 10, 1)
    group(top / "hone.slice/some", 3 * MIB, 300, 3)
    group(top / "hone.slice", 2 * MIB, 999, 9)

    assert (297, 3 * MIB) == share(tmp_path)


def test_a_container_of_the_first_generation_sees_its_group_as_the_root(tmp_path: Path) -> None:
    """Its path is the host's, which isn't mounted."""
    group_v1(machine(tmp_path, V1) / "sys/fs/cgroup/memory", MIB, 500, 100)

    assert (400, MIB) == share(tmp_path)


def test_a_group_of_the_first_generation(tmp_path: Path) -> None:
    """Where all of them are mounted."""
    top = machine(tmp_path, V1) / "sys/fs/cgroup/memory"
    group_v1(top, NO_LIMIT_V1, 4 * MIB, 0)
    group_v1(top / "docker/abc", MIB, 500, 100)

    assert (400, MIB) == share(tmp_path)


@pytest.mark.parametrize("limit", ["max", NO_LIMIT_V1, 4 * MIB])
def test_without_a_limit_it_is_the_machine(tmp_path: Path, limit: object) -> None:
    """No limit, or none that the machine's memory doesn't set already."""
    group(machine(tmp_path, "0::/a\n") / "sys/fs/cgroup/a", limit, 500, 100)

    assert (MIB, 4 * MIB) == share(tmp_path)


def test_what_is_taken_is_never_below_zero(tmp_path: Path) -> None:
    """Files that came between the two readings may be more than all there was at the first."""
    group(machine(tmp_path, "0::/\n") / "sys/fs/cgroup", 2 * MIB, 1000, 1001)

    assert (0, 2 * MIB) == share(tmp_path)


def test_without_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    """As on a kernel that was built without."""
    assert (MIB, 4 * MIB) == share(machine(tmp_path, ""))


@pytest.mark.parametrize("meminfo", ["", "MemTotal: 1 kB\n", "MemTotal: x kB\n", "\n\n"])
def test_what_is_not_told_is_left_out(tmp_path: Path, meminfo: str) -> None:
    """A scrape doesn't fail for it."""
    root = machine(tmp_path, "")
    (root / "proc/meminfo").write_text(meminfo)

    assert {} == exposed(root)


def test_no_such_files_at_all(tmp_path: Path) -> None:
    """As on another system."""
    assert {} == exposed(tmp_path)


def test_this_machine() -> None:
    """Something is taken, and less than there is."""
    used, limit = share(Path("/"))

    assert 0 < used < limit

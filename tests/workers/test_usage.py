"""What workers use, told by the kernel, across their deaths."""

import asyncio
import os
import signal
import threading
from pathlib import Path

from service.workers.usage import Usage
from tests.workers.test_instance import Rig, rows


def ticks(pid: int) -> int:
    """Processor time that the kernel says a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_processor_time_goes_on_after_a_respawn() -> None:
    """What a killed worker took stays counted, and what the next one takes comes on top; memory is that of now."""
    async with Rig() as rig:
        usage, pid = rig.instance.usage, rig.instance.pid
        assert pid
        first, memory = ticks(pid) / os.sysconf("SC_CLK_TCK"), usage.resident_bytes
        assert 0 < first <= usage.cpu_seconds
        assert memory > 10**6

        os.kill(pid, signal.SIGKILL)
        await rig.recorder.next("lost")
        assert usage.cpu_seconds >= first

        await rig.recorder.next("ready")
        rig.instance.run("job", [[rows(1)]])
        await rig.recorder.next("done")
        second = rig.instance.pid
        assert second
        assert usage.cpu_seconds >= first + ticks(second) / os.sysconf("SC_CLK_TCK") - 0.01
        assert usage.resident_bytes > 10**6
    assert usage.cpu_seconds > first
    assert 0 == usage.resident_bytes


async def test_a_worker_that_we_end_is_counted_too() -> None:
    """One that doesn't stop when it is asked is killed by us; the last that it took is read before it is reaped."""
    async with Rig() as rig:
        pid = rig.instance.pid
        assert pid
        spent = ticks(pid) / os.sysconf("SC_CLK_TCK")
        assert rig.instance._process
        rig.instance._process.kill()
        rig.instance._process.kill()
        await rig.recorder.next("lost")

        assert rig.instance.usage.cpu_seconds >= spent


async def test_no_reader_sees_less_than_before() -> None:
    """Scrapes run in threads of their own, also in the moment in which a worker ends."""
    seen: list[float] = []
    over = threading.Event()
    async with Rig() as rig:

        def read() -> None:
            while not over.is_set():
                seen.append(rig.instance.usage.cpu_seconds)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(3):
                assert rig.instance.pid
                os.kill(rig.instance.pid, signal.SIGKILL)
                await rig.recorder.next("lost")
                await rig.recorder.next("ready")
        finally:
            over.set()
            await asyncio.to_thread(reader.join)

    assert len(seen) > 10
    assert sorted(seen) == seen


def test_nothing_is_used_before_the_first_process() -> None:
    """Zero, and no look at anybody's /proc."""
    usage = Usage()

    assert (0, 0) == (usage.cpu_seconds, usage.resident_bytes)

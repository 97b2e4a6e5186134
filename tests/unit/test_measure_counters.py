"""Counters of the system: what a load is known to take, and what to say where nothing is told."""

import mmap
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import measure
from pipeline.measure import counters as module
from pipeline.measure import gpu
from pipeline.measure.counters import counters
from pipeline.measure.gpu import GpuUse, NoGpus, Nvml, visible
from pipeline.measure.sampler import GPU_EVERY, Sampler

MEGABYTE = 1_000_000
BYTES = 8 * MEGABYTE


def block_of(megabytes: int):
    """Return an array in new pages; a used heap may have old ones, which are counted already."""
    block = np.frombuffer(mmap.mmap(-1, megabytes * MEGABYTE), np.int8)
    block[:] = 1
    return block


linux = pytest.mark.skipif(sys.platform != "linux", reason="counters are read from /proc")


@pytest.fixture
def blind(monkeypatch):
    """Let a process read none of its files under /proc."""

    def blinded(*names: str) -> None:
        for name in names:
            monkeypatch.setattr(module, name, "/nowhere/at/all")
        counters.cache_clear()

    yield blinded
    monkeypatch.undo()
    counters.cache_clear()


class TestStorage:
    @linux
    def test_bytes_written_and_read_are_those_of_the_file(self, tmp_path):
        path = tmp_path / "bytes"
        with measure.task("write") as wrote, path.open("wb") as file:
            file.write(os.urandom(BYTES))
            file.flush()
            os.fsync(file.fileno())
        if wrote.cost.written_bytes == 0:
            pytest.skip("this folder is in memory")
        assert wrote.cost.written_bytes == pytest.approx(BYTES, rel=0.05)
        assert wrote.cost.read_bytes < BYTES / 10

    def test_is_unknown_where_the_kernel_does_not_count(self, blind):
        blind("_IO")
        with measure.task("blind") as task:
            pass
        assert (task.cost.read_bytes, task.cost.written_bytes) == (None, None)
        assert task.cost.peak_rss_bytes


def test_processor_time_of_children_that_were_waited_for_counts():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    with measure.task("parent") as task:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert 0.3 <= task.cost.cpu_seconds < 3


class TestMemory:
    @linux
    def test_quick_and_slow_high_water_marks_agree(self):
        held = counters()
        held.reset_peak()
        block = block_of(60)
        quick = held.peak_rss_bytes()
        del block
        with open("/proc/self/status") as file:
            [line] = [line for line in file if line.startswith("VmHWM")]
        assert quick == pytest.approx(int(line.split()[1]) * 1024, rel=0.02)
        assert quick - held.rss_bytes() > 40 * MEGABYTE

    @linux
    def test_a_process_does_not_inherit_the_peak_of_the_one_that_started_it(self):
        block = block_of(400)
        code = (
            "import resource; from pipeline.measure.counters import counters\n"
            "print(counters().peak_rss_bytes(), resource.getrusage(0).ru_maxrss * 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert block.any()
        assert int(done.stdout.split()[0]) < 200 * MEGABYTE

    def test_is_unknown_where_nothing_tells(self, blind):
        blind("_STATUS", "_CLEAR_REFS", "_STATM")
        with measure.task("blind", sampled=True) as task:
            pass
        assert task.cost.peak_rss_bytes is None
        assert task.cost.mean_rss_bytes is None

    def test_without_a_reset_an_old_peak_is_nobodys(self, blind):
        """Where the mark cannot be set back, only a new mark or a sample says anything."""
        blind("_CLEAR_REFS")
        np.ones(100 * MEGABYTE, np.int8)
        with measure.task("small") as small:
            pass
        assert small.cost.peak_rss_bytes is None

    @linux
    def test_without_a_reset_a_new_peak_belongs_to_who_had_it(self):
        code = """
import numpy as np
from pipeline.measure import counters, task
counters._CLEAR_REFS = "/nowhere"
with task("outer") as outer:
    with task("large") as large:
        np.ones(80_000_000, np.int8)
    with task("small") as small:
        pass
print(outer.cost.peak_rss_bytes, large.cost.peak_rss_bytes, small.cost.peak_rss_bytes)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outer, large, small = done.stdout.split()
        assert small == "None"
        assert int(outer) == int(large) > 80 * MEGABYTE


@linux
def test_a_forked_child_reads_its_own_counters():
    before = counters()
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        empty = counters().rss_bytes()
        held = block_of(120)
        with measure.task("child", sampled=True) as task:
            fresh = counters() is not before and held.any()
        grown = counters().rss_bytes() - empty
        os.write(out, f"{grown} {fresh} {task.cost.wall_seconds < 5}".encode())
        os._exit(0)
    os.close(out)
    os.waitpid(pid, 0)
    grown, fresh, ended = os.read(into, 100).decode().split()
    os.close(into)
    assert (fresh, ended) == ("True", "True")
    assert int(grown) > 80 * MEGABYTE


class Watcher:
    def __init__(self, enough=3):
        self.looks, self.uses, self.enough = [], [], threading.Event()
        self._wanted = enough

    def see(self, now, rss_bytes):
        self.looks.append((now, rss_bytes))
        if len(self.looks) >= self._wanted:
            self.enough.set()

    def see_gpu(self, use):
        self.uses.append(use)


class Fixed:
    def __init__(self, use):
        self._use = use

    def use(self):
        return self._use


def samplers():
    return [t for t in threading.enumerate() if t.name == "measure-sampler" and t.is_alive()]


class TestTheSampler:
    def test_looks_while_somebody_wants_it_and_one_thread_serves_all(self):
        ear = Watcher()
        sampler = Sampler(lambda: [ear], NoGpus)
        before = len(samplers())
        sampler.start()
        sampler.start()
        assert len(samplers()) == before + 1
        sampler.stop()
        assert ear.enough.wait(10)
        thread = samplers()[-1]
        sampler.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert [now for now, _ in ear.looks] == sorted(now for now, _ in ear.looks)
        assert ear.uses == []

    def test_asks_the_gpu_more_seldom(self):
        ear, use = Watcher(GPU_EVERY + 1), GpuUse(7, 0.5)
        sampler = Sampler(lambda: [ear], lambda: Fixed(use))
        sampler.start()
        assert ear.enough.wait(20)
        sampler.stop()
        assert 1 <= len(ear.uses) <= 1 + len(ear.looks) // GPU_EVERY
        assert ear.uses[0] == use

    @linux
    def test_gives_a_task_its_mean_memory_and_the_tasks_inside(self):
        with measure.task("outer", sampled=True) as outer:
            threading.Event().wait(0.2)
            with measure.task("inner") as inner:
                block = block_of(100)
                threading.Event().wait(0.4)
                del block
        assert inner.cost.mean_rss_bytes > outer.cost.mean_rss_bytes
        assert outer.cost.mean_rss_bytes <= outer.cost.peak_rss_bytes
        assert inner.cost.peak_rss_bytes - inner.cost.mean_rss_bytes < 60 * MEGABYTE

    def test_ends_with_a_task_that_fails(self):
        with pytest.raises(ValueError), measure.task("fails", sampled=True):
            raise ValueError
        for thread in samplers():
            thread.join(10)
        assert samplers() == []


class NoDriver(Exception):
    pass


def library(gpus):
    """Stand for NVML: one GPU for each (utilisation in percent, {process: bytes})."""

    def refused(*_):
        raise NoDriver

    return SimpleNamespace(
        NVMLError=NoDriver,
        nvmlInit=lambda: None if gpus is not None else refused(),
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda n: n,
        nvmlDeviceGetUtilizationRates=lambda n: SimpleNamespace(gpu=gpus[n][0]),
        nvmlDeviceGetComputeRunningProcesses=lambda n: [
            SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpus[n][1].items()
        ],
    )


class TestGpus:
    def test_this_process_memory_and_the_mean_of_the_shares(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        own = os.getpid()
        use = Nvml(library([(50, {own: 100, 1: 999}), (100, {own: 11})])).use()
        assert use == GpuUse(111, 0.75)

    def test_only_those_left_to_this_process(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        use = Nvml(library([(50, {os.getpid(): 5}), (100, {os.getpid(): 11})])).use()
        assert use == GpuUse(11, 1.0)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert Nvml(library([(50, {})])).use() is None

    @pytest.mark.parametrize(
        ("limit", "left"),
        [(None, [0, 1]), ("0", [0]), ("1,0", [1, 0]), ("7", []), ("-1", []), ("GPU-ab12", [0, 1])],
    )
    def test_the_environment_names_them(self, limit, left):
        assert visible(2, limit) == left

    def test_memory_hidden_by_a_container_is_what_torch_has_reserved_or_unknown(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setitem(sys.modules, "torch", None)
        assert Nvml(library([(0, {})])).use() == GpuUse(None, 0.0)
        cuda = SimpleNamespace(
            is_initialized=lambda: True, memory_reserved=lambda n: 64, device_count=lambda: 1
        )
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        assert Nvml(library([(0, {})])).use() == GpuUse(64, 0.0)

    def test_a_machine_without_a_driver_has_none(self, monkeypatch, tmp_path):
        monkeypatch.setattr(gpu, "DEVICES", (tmp_path / "absent",))
        assert gpu.gpus().use() is None

    def test_a_driver_that_does_not_answer_is_none(self, monkeypatch, tmp_path):
        monkeypatch.setattr(gpu, "DEVICES", (tmp_path,))
        monkeypatch.setitem(sys.modules, "pynvml", library(None))
        assert gpu.gpus().use() is None
        monkeypatch.setitem(sys.modules, "pynvml", None)
        assert gpu.gpus().use() is None

    def test_a_task_keeps_the_highest_memory_and_the_mean_share(self):
        with measure.task("gpu") as task:
            for used, share in ((5, 0.2), (9, 0.4), (None, None)):
                task.see_gpu(GpuUse(used, share))
        assert task.cost.gpu_peak_bytes == 9
        assert task.cost.gpu_utilisation_share == pytest.approx(0.3)

    def test_a_task_that_saw_none_does_not_know(self):
        with measure.task("no gpu") as task:
            pass
        assert (task.cost.gpu_peak_bytes, task.cost.gpu_utilisation_share) == (None, None)

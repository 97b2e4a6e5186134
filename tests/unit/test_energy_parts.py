"""What the parts of a machine drew: counters that wrap, shares of what others use too."""

import os
import subprocess
import sys
import time

import pytest

from pipeline.measure.energy.load import Busy, MachineLoad, OwnLoad, Tree, this_machine, this_tree
from pipeline.measure.energy.nvml import boards
from pipeline.measure.energy.parts import (
    Gpus,
    MachineProcessors,
    Memory,
    OwnProcessors,
    Packages,
    label_of,
)
from pipeline.measure.energy.power import Processor, design_watts, this_processor
from pipeline.measure.energy.rapl import counters
from tests.energy_worlds import WRAPS_AT, Library, count_up, powercap

EIGHT = Processor("a processor", threads=8, watts=80.0, known=True)


class Told:
    """A load that says what the test wants."""

    def __init__(self, seconds=0.0, share=None, gibibytes=0.0, pids=()) -> None:
        self._seconds, self._share = seconds, share
        self.tree = Tree(0.0, gibibytes, frozenset(pids))

    def seconds(self):
        return self._seconds

    def share(self):
        return self._share


class TestLoad:
    def test_own_seconds_are_those_of_the_process(self):
        load, began = OwnLoad(), time.process_time()
        while time.process_time() - began < 0.3:
            pass
        assert load.seconds() == pytest.approx(0.3, abs=0.05)
        assert load.seconds() < 0.05

    def test_a_child_counts_while_it_lives_and_once_it_is_gone(self):
        load = OwnLoad()
        code = "import time\nwhile time.process_time() < .4: pass\nprint(flush=True)\ninput()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            child.stdout.readline()
            assert child.pid in this_tree().pids
            alive = load.seconds()
            child.communicate(b"\n")
        assert alive > 0.35
        assert load.seconds() < 0.2, "what it used is not counted twice"

    def test_the_machine_is_at_least_as_busy_as_we_are(self):
        machine, own = MachineLoad(), OwnLoad()
        began = time.process_time()
        while time.process_time() - began < 0.4:
            pass
        assert machine.seconds() > own.seconds() - 0.1

    def test_without_counters_nothing_is_known(self, tmp_path):
        assert this_machine(tmp_path) is None

    def test_the_line_is_read_as_the_kernel_writes_it(self, tmp_path):
        (tmp_path / "stat").write_text("cpu  100 20 30 800 50 5 5 0 7 7\ncpu0 1 2 3\n")
        ticks = os.sysconf("SC_CLK_TCK")
        assert this_machine(tmp_path) == Busy(160 / ticks, 1010 / ticks)


class TestEstimate:
    def test_ours_is_a_share_of_the_design_power(self):
        part = OwnProcessors(EIGHT, Told(seconds=4.0))
        assert part.joules(1.0) == 80.0 * 4 / 8
        assert part.label == "estimate: a processor, 80 W (its design power) of 8 threads"

    @pytest.mark.parametrize(("share", "watts"), [(0.0, 8.0), (1.0, 80.0), (None, 8.0)])
    def test_the_machine_draws_even_when_idle(self, share, watts):
        assert MachineProcessors(EIGHT, Told(share=share)).joules(2.0) == pytest.approx(2 * watts)

    def test_memory_of_the_machine_or_ours(self):
        assert Memory(128.0).joules(10.0) == pytest.approx(380.0)
        assert Memory(None, Told(gibibytes=3.0)).joules(10.0) == pytest.approx(100.0)

    def test_a_processor_nobody_knows_is_assumed(self, tmp_path):
        (tmp_path / "cpuinfo").write_text("model name\t: Abacus 2000\nphysical id\t: 0\n")
        found = this_processor(cpuinfo=tmp_path / "cpuinfo")
        assert (found.name, found.known) == ("Abacus 2000", False)
        assert found.watts == 4.0 * os.cpu_count()
        assert "assumed" in found.label

    def test_sockets_add_up(self, tmp_path):
        if design_watts("AMD EPYC 7763") is None:
            pytest.skip("CodeCarbon's table is not installed")
        lines = [f"model name\t: AMD EPYC 7763\nphysical id\t: {at}\n" for at in (0, 0, 1, 1)]
        (tmp_path / "cpuinfo").write_text("\n".join(lines))
        assert this_processor(cpuinfo=tmp_path / "cpuinfo").watts == 2 * design_watts(
            "AMD EPYC 7763"
        )

    def test_watts_can_be_given(self):
        assert this_processor(65.0).watts == 65.0


class TestRapl:
    def test_packages_are_counted_and_their_parts_are_not_again(self, tmp_path):
        found = counters(powercap(tmp_path, [10_000_000, 50_000_000]))
        assert len(found) == 2
        count_up(tmp_path, [2_000_000, 3_000_000])
        assert Packages(found).joules(1.0) == pytest.approx(5.0)
        assert Packages(found).joules(1.0) == 0.0

    def test_a_counter_that_wraps_goes_on(self, tmp_path):
        found = counters(powercap(tmp_path, [WRAPS_AT - 1_000_000]))
        count_up(tmp_path, [3_000_000])
        assert Packages(found).joules(1.0) == pytest.approx(3.0)

    def test_two_views_of_one_package_are_one(self, tmp_path):
        assert len(counters(powercap(tmp_path, [7_000_000, 7_000_100]))) == 1

    def test_two_that_have_not_begun_are_two(self, tmp_path):
        assert len(counters(powercap(tmp_path, [0, 0]))) == 2

    def test_what_may_not_be_read_is_not_there(self, tmp_path):
        root = powercap(tmp_path, [10_000_000])
        (root / "intel-rapl:0" / "energy_uj").unlink()
        assert counters(root) == []
        assert counters(tmp_path / "nowhere") == []

    def test_other_domains_are_no_packages(self, tmp_path):
        assert counters(powercap(tmp_path, [10_000_000], names=["psys"])) == []

    def test_a_counter_that_vanishes_adds_nothing(self, tmp_path):
        found = counters(powercap(tmp_path, [10_000_000]))
        (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
        assert Packages(found).joules(1.0) == 0.0

    @pytest.mark.parametrize(("ours", "busy", "billed"), [(1, 4, 2.0), (4, 4, 8.0), (9, 4, 8.0)])
    def test_ours_is_our_share_of_the_busy_time(self, tmp_path, ours, busy, billed):
        found = counters(powercap(tmp_path, [10_000_000]))
        count_up(tmp_path, [8_000_000])
        part = Packages(found, Told(seconds=ours), Told(seconds=busy))
        assert part.joules(1.0) == pytest.approx(billed)


class TestNvml:
    def test_the_counter_is_read(self):
        library = Library([1000.0, 5000.0])
        part = Gpus(boards(library))
        library.millijoules = [3000.0, 9000.0]
        assert part.joules(1.0) == pytest.approx(6.0)

    def test_an_old_gpu_has_power_alone(self):
        part = Gpus(boards(Library([None], watts=50.0)))
        assert part.joules(3.0) == pytest.approx(150.0)

    def test_visible_devices_are_kept_to(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert [board.handle for board in boards(Library([0.0, 0.0]))] == [1]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        assert boards(Library([0.0, 0.0])) == []
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-abc")
        assert len(boards(Library([0.0, 0.0]))) == 2

    @pytest.mark.parametrize(
        ("users", "busy", "share"),
        [([7], 50, 1.0), ([7, 8], 50, 0.5), ([8], 50, 0.0), ([], 50, 1.0), ([], 0, 0.0)],
    )
    def test_a_gpu_is_shared_among_who_works_on_it(self, users, busy, share):
        library = Library([0.0])
        library.users, library.busy = [users], busy
        part = Gpus(boards(library), Told(pids=[7]))
        library.millijoules = [4000.0]
        assert part.joules(1.0) == pytest.approx(4.0 * share)

    def test_without_a_driver_there_are_none(self):
        class Broken(Library):
            def nvmlInit(self) -> None:
                raise self.NVMLError

        assert boards(Broken([0.0])) == []


def test_the_label_says_what_is_counted_and_what_is_not(tmp_path):
    found = counters(powercap(tmp_path, [10_000_000]))
    parts = [Packages(found), Memory(8.0), Gpus(boards(Library([0.0])))]
    assert label_of(parts) == "nvml+rapl; estimate: memory by its size"
    assert label_of(parts[:1]) == "rapl"
    assert label_of([Memory(8.0)]) == "estimate: memory by its size"

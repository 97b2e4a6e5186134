"""Our meters against CodeCarbon's own tracker and classes: within 2 %, and faster to start."""

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from pipeline.measure.energy import Metering, grid_of, metering
from pipeline.measure.energy.meter import CodeCarbonMeter
from pipeline.measure.energy.parts import Packages
from pipeline.measure.energy.power import design_watts, memory_watts
from pipeline.measure.energy.rapl import counters
from tests.energy_worlds import count_up, powercap

pytest.importorskip("codecarbon")


def busy(seconds: float) -> None:
    """Use the processor and leave Python's lock alone.

    CodeCarbon reads the clock, looks through all processes of the machine, then reads their times:
    a thread of Python that works makes it wait at each of them, up to a second, and what was used
    meanwhile is divided by a time that it did not last.
    """
    until = time.process_time() + seconds
    while time.process_time() < until:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000)


@pytest.fixture(scope="module", autouse=True)
def silent():
    logging.getLogger("codecarbon").disabled = True


WATTS = 200.0


def around(load, watts: float = WATTS) -> tuple[float, float, float]:
    """Return what ours counts within CodeCarbon's time, CodeCarbon's, and what ours does around it.

    Starting and stopping its tracker takes a while, in which memory draws and its threads work.
    """
    inner, outer = (metering("estimate", place=100.0, watts=watts).meter() for _ in range(2))
    theirs = CodeCarbonMeter(grid=grid_of(100.0), watts=WATTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outer.start()
        theirs.start()
        inner.start()
        load()
        within = inner.stop()
        tracked = theirs.stop()
        whole = outer.stop()
    assert within.grams_co2e == pytest.approx(within.joules / 3.6e6 * 100)
    assert tracked.grams_co2e == pytest.approx(tracked.joules / 3.6e6 * 100)
    return within.joules, tracked.joules, whole.joules


def agree(within: float, tracked: float, whole: float) -> bool:
    return 0.98 * within <= tracked <= 1.02 * whole


@pytest.fixture(scope="module")
def warmed_up():
    """CodeCarbon looks at the hardware once in a process, for 1.8 seconds."""
    around(lambda: None)


@pytest.mark.usefixtures("warmed_up")
class TestTracker:
    def test_agrees_on_a_busy_process(self):
        assert agree(*around(lambda: busy(2.5)))

    def test_agrees_on_a_child_process_that_lives(self):
        """One that ends takes what it used from CodeCarbon's count, and stays in ours."""
        code = "import time\nwhile time.process_time() < 2.5: pass\nprint(flush=True)\ninput()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            found = around(child.stdout.readline)
            child.communicate(b"\n")
        assert agree(*found)

    @pytest.mark.parametrize("wrong", [0.8, 1.2])
    def test_a_wrong_model_is_caught(self, wrong):
        assert not agree(*around(lambda: busy(2.0), watts=wrong * WATTS))

    def test_it_writes_nothing_and_says_nothing(self, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        meter = CodeCarbonMeter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meter.start()
            found = meter.stop()
        assert found.source.startswith("codecarbon ")
        assert not [*tmp_path.iterdir()]
        told = capfd.readouterr()
        assert not told.out + told.err


class TestModels:
    def test_memory_draws_the_same(self):
        from codecarbon.external.ram import RAM

        ram = RAM()
        for arm in (False, True):
            ram.is_arm_cpu = arm
            for size in (
                0.2,
                1,
                2,
                3,
                4,
                7.9,
                8,
                16,
                17,
                32,
                33,
                64,
                65,
                128,
                129,
                300,
                1000,
                4096,
            ):
                assert memory_watts(size, arm=arm) == pytest.approx(ram._calculate_ram_power(size))

    @pytest.mark.parametrize(
        "name",
        [
            "AMD EPYC 7763 64-Core Processor",
            "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz",
            "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz",
            "AMD Ryzen 9 5950X 16-Core Processor",
            "AMD EPYC",
            "Apple M1",
            "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz",
            "nobody's processor",
        ],
    )
    def test_the_design_power_is_the_same(self, name):
        from codecarbon.core.cpu import TDP
        from codecarbon.input import DataSource

        tdp = TDP.__new__(TDP)
        table = DataSource().get_cpu_power_data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = tdp._get_matching_cpu(name, table)
        theirs = float(table[table["Name"] == found]["TDP"].values[0]) if found else None
        assert design_watts(name) == theirs

    def test_packages_are_counted_the_same(self, tmp_path):
        from codecarbon.core.cpu import IntelRAPL
        from codecarbon.core.units import Time

        root = powercap(tmp_path, [5_000_000, 9_000_000])
        theirs = IntelRAPL(rapl_dir=str(root))
        ours = Packages(counters(root))
        theirs.start()
        count_up(root, [3_000_000, 4_000_000])
        found = theirs.get_cpu_details(Time.from_seconds(1.0))
        kwh = sum(value for name, value in found.items() if "Energy Delta" in name)
        assert ours.joules(1.0) == pytest.approx(kwh * 3.6e6) == pytest.approx(7.0)

    @pytest.mark.parametrize("place", ["DEU", "FRA", "USA", "POL"])
    def test_countries_emit_the_same(self, place):
        from codecarbon.core.emissions import Emissions
        from codecarbon.core.units import Energy
        from codecarbon.external.geography import GeoMetadata
        from codecarbon.input import DataSource

        geo = GeoMetadata(country_iso_code=place, country_name=place)
        kilograms = Emissions(DataSource()).get_country_emissions(Energy(1.0), geo)
        assert grid_of(place).grams_per_kwh == pytest.approx(kilograms * 1000)

    @pytest.mark.parametrize("region", ["california", "virginia", "oregon"])
    def test_states_emit_the_same(self, region):
        from codecarbon.core.emissions import Emissions
        from codecarbon.core.units import Energy
        from codecarbon.external.geography import GeoMetadata
        from codecarbon.input import DataSource

        geo = GeoMetadata(country_iso_code="USA", country_name="United States", region=region)
        kilograms = Emissions(DataSource()).get_region_emissions(Energy(1.0), geo)
        assert grid_of(f"USA/{region}").grams_per_kwh == pytest.approx(kilograms * 1000, rel=1e-3)


def test_starting_loads_no_pandas():
    """CodeCarbon's tracker takes seconds to start in a fresh process; a stage may last one."""
    code = (
        "import sys\nfrom pipeline.measure import energy\n"
        "meter = energy.metering(place='DEU').meter()\nmeter.start()\nmeter.stop()\n"
        "print(*{'pandas', 'codecarbon', 'requests', 'psutil', 'torch'} & {*sys.modules})"
    )
    environment = {**os.environ, "PLOTPOINTE_METADATA": "off"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == []


def test_the_threads_end_with_the_meter():
    before = threading.active_count()
    meter = Metering("estimate").meter()
    meter.start()
    assert threading.active_count() == before + 1
    meter.stop()
    assert threading.active_count() == before

"""Our meters against CodeCarbon's own tracker and classes: within 2 %, and faster to start."""

import logging
import multiprocessing
import os
import time
import warnings

import pytest

from pipeline.measure.energy import Metering, grid_of, metering
from pipeline.measure.energy.meter import CodeCarbonMeter
from pipeline.measure.energy.parts import Packages
from pipeline.measure.energy.power import design_watts, memory_watts, this_processor
from pipeline.measure.energy.rapl import counters
from tests.energy_worlds import count_up, powercap

pytest.importorskip("codecarbon")


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(2000))


@pytest.fixture(scope="module", autouse=True)
def silent():
    logging.getLogger("codecarbon").disabled = True


def measured_by_both(load) -> tuple[float, float]:
    """Ours starts last and stops first; the rest is the same time."""
    ours, theirs = metering("estimate", place=100.0).meter(), CodeCarbonMeter(grid=grid_of(100.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.start()
        ours.start()
        load()
        mine = ours.stop()
        other = theirs.stop()
    assert mine.grams_co2e == pytest.approx(mine.joules / 3.6e6 * 100)
    return mine.joules, other.joules


def agrees(load) -> bool:
    ours, theirs = measured_by_both(load)
    return ours == pytest.approx(theirs, rel=0.02)


class TestTracker:
    def test_agrees_on_a_busy_process(self):
        # Of two tries: where the machine gives no processor between two lines, both wait alike,
        # but not at the same moment.
        assert agrees(lambda: busy(3.0)) or agrees(lambda: busy(4.0))

    def test_agrees_on_a_child_process(self):
        def load() -> None:
            child = multiprocessing.get_context("fork").Process(target=busy, args=(2.5,))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                child.start()
            child.join()

        assert agrees(load) or agrees(load)

    def test_a_meter_that_forgets_the_processor_would_be_caught(self):
        ours, theirs = measured_by_both(lambda: busy(2.0))
        memory = memory_watts(0.5) * 2.0
        assert ours - this_processor().own_watts(2.0) == pytest.approx(memory, rel=0.5)
        assert ours - this_processor().own_watts(1.0) != pytest.approx(theirs, rel=0.02)

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
    import subprocess
    import sys

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
    import threading

    before = threading.active_count()
    meter = Metering("estimate").meter()
    meter.start()
    assert threading.active_count() == before + 1
    meter.stop()
    assert threading.active_count() == before

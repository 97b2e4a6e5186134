"""The bottleneck is read from counters alone."""

import pytest

from pipeline.measure.bottleneck import (
    CPU,
    GPU,
    MEMORY,
    STORAGE,
    WAITING,
    Ability,
    bottleneck,
)
from pipeline.measure.cost import Cost

TWO = Ability(2, memory_bytes_per_second=20e9, storage_bytes_per_second=400e6)
IDLE = {"read_bytes": 0, "written_bytes": 0}


@pytest.mark.parametrize(
    ("cost", "moved", "name"),
    [
        (Cost(10.0, 19.0, **IDLE), None, CPU),
        (Cost(10.0, 9.5, **IDLE), None, CPU),
        (Cost(10.0, 19.0, **IDLE), 150e9, MEMORY),
        (Cost(10.0, 19.0, **IDLE), 50e9, CPU),
        (Cost(10.0, 1.0, read_bytes=3_000_000_000, written_bytes=500_000_000), None, STORAGE),
        (Cost(10.0, 1.0, **IDLE), None, WAITING),
        (Cost(10.0, 9.0, gpu_utilisation_share=0.9, **IDLE), None, GPU),
        (Cost(10.0, 19.0, gpu_utilisation_share=0.1, **IDLE), None, CPU),
        (Cost(10.0, 1.0), None, WAITING),
        (Cost(10.0, 7.0), None, None),
    ],
)
def test_the_counters_name_it(cost, moved, name):
    assert bottleneck(cost, TWO, moved).name == name


def test_it_says_the_numbers():
    one = bottleneck(Cost(10.0, 9.0, **IDLE), Ability(4))
    assert one.why == "0.9 of 4 cores were busy: one thread did most of the work"
    full = bottleneck(Cost(10.0, 20.0, **IDLE), TWO, moved_bytes=190e9)
    assert full.why == "memory moved 19 of 20 GB/s"


def test_without_a_ceiling_memory_and_storage_are_not_blamed():
    blind = Ability(1)
    assert bottleneck(Cost(1.0, 1.0, **IDLE), blind, 1e15).name == CPU
    busy = Cost(1.0, 0.1, read_bytes=10**12, written_bytes=0)
    assert bottleneck(busy, blind).name == WAITING


def test_an_instant_has_one_too():
    assert bottleneck(Cost(0.0, 0.0), TWO).name == WAITING

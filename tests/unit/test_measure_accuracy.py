"""What a cost says of known loads, beside what others say: the table of the benchmark, in small.

The bounds leave room for a busy machine; what they must catch is a wrong unit, a factor of two, or
a counter that stands still.
"""

import sys

import pytest

from benchmarks.measure_accuracy import LOADS, TIME, Line, lines_of, printed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counters are read from /proc")

SCALE = 0.3
LEAST = 0.85


@pytest.fixture(scope="module")
def lines():
    return [line for load in LOADS for line in lines_of(load, SCALE, lambda _: None)]


@pytest.mark.parametrize("load", LOADS)
def test_a_known_load_is_measured_as_it_is(lines, load):
    of_load = [line for line in lines if line.load == load]
    if load == "storage" and not any(line.ours for line in of_load if line.reference == "known"):
        pytest.skip("this folder is in memory")
    assert of_load
    wrong = [line for line in of_load if line.agreement < LEAST]
    assert not wrong, printed(wrong)


def test_every_reference_that_is_here_is_asked(lines):
    references = {line.reference for line in lines}
    assert {"known", "torch.profiler"} <= references
    assert ("time -v" in references) == TIME.exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "agreement"), [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5), (0.0, 3.0, 0.0), (0, 0, 1)]
)
def test_agreement_is_the_smaller_over_the_larger(ours, theirs, agreement):
    assert Line("l", "q", ours, theirs, "r").agreement == agreement

"""Pages stay while training; results have nothing to do with it."""

import resource
import sys

import pytest
import torch

from pipeline.train.pages import kept_pages
from tests import worlds
from tests.train_worlds import trainer_of


def faults(megabytes: int, times: int = 6) -> int:
    """Return how many pages the kernel had to bring while a large tensor was made repeatedly."""
    torch.ones(megabytes << 18)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(megabytes << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's knobs")
def test_large_temporaries_reuse_their_pages():
    outside = faults(80)
    with kept_pages():
        inside = faults(80)
    assert inside < outside / 4


def test_results_are_the_same():
    losses = []
    for _ in range(2):
        trainer = trainer_of(worlds.planted())
        losses.append(trainer.epoch(0, 0))
        with kept_pages():
            other = trainer_of(worlds.planted())
            assert other.epoch(0, 0) == losses[-1]


def test_an_error_inside_comes_through():
    with pytest.raises(ValueError, match="broken"), kept_pages():
        raise ValueError("broken")

"""Pages stay while training; results have nothing to do with it."""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

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


def faults_outside_and_inside() -> tuple[int, int]:
    outside = faults(80)
    with kept_pages():
        return outside, faults(80)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's knobs")
def test_large_temporaries_reuse_their_pages():
    """In a process of its own: what other tests left in the heap decides where a tensor fits."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        outside, inside = fresh.submit(faults_outside_and_inside).result()
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

"""The choice of precision: measured once, kept, and never at the price of other vectors."""

import time

import numpy as np
import pytest

from pipeline.embed import precision
from pipeline.embed.precision import choose, measured

UNIT = np.eye(3)


def probe(slow=0.0, fast=0.0, low=UNIT):
    def make(kind):
        def encode():
            time.sleep(slow if kind == "float32" else fast)
            return UNIT if kind == "float32" else low

        return encode

    return make


def test_a_faster_and_faithful_bfloat16_is_taken():
    verdict = measured(probe(slow=0.02, fast=0.002))
    assert verdict["precision"] == "bfloat16"
    assert verdict["bfloat16_speedup"] > 2
    assert verdict["bfloat16_cosine"] == 1


@pytest.mark.parametrize(
    "low", [np.roll(UNIT, 1, axis=1), np.full((3, 3), np.nan), np.zeros((3, 3))]
)
def test_a_faster_but_unfaithful_bfloat16_is_not(low):
    assert measured(probe(slow=0.01, fast=0.001, low=low))["precision"] == "float32"


def test_a_slower_bfloat16_is_not_taken():
    assert measured(probe(slow=0.002, fast=0.01))["precision"] == "float32"


def test_what_is_configured_is_not_measured(tmp_path):
    def never(_):
        raise AssertionError

    for asked in ("float32", "bfloat16"):
        verdict = choose(asked, never, tmp_path / "m.json", {})
        assert verdict == {"precision": asked, "why": "configured"}


def test_a_machine_measures_an_encoder_once(tmp_path, monkeypatch):
    memory, key = tmp_path / "m.json", {"encoder": "x"}
    first = choose("auto", probe(slow=0.02, fast=0.001), memory, key)
    second = choose("auto", probe(slow=0.001, fast=0.02), memory, key)
    assert second == first
    other = choose("auto", probe(slow=0.001, fast=0.02), memory, {"encoder": "y"})
    assert other["precision"] == "float32"
    monkeypatch.setattr(precision, "machine_name", lambda: "another")
    assert choose("auto", probe(slow=0.001, fast=0.02), memory, key)["precision"] == "float32"


def test_a_damaged_memory_is_measured_anew(tmp_path):
    (tmp_path / "m.json").write_text("{")
    assert choose("auto", probe(), tmp_path / "m.json", {})["why"] == "measured"

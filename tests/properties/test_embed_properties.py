"""What holds for any inputs: batches cover, distinct inputs return, unit rows are unit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.arrays import unit_rows
from pipeline.embed.batching import NONE, by_count, by_length, distinct
from pipeline.embed.encoders.text import TinyText

lengths = st.lists(st.integers(0, 300), max_size=60).map(lambda v: np.array(v, dtype=np.int64))
blocks = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 6), st.integers(1, 5)),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
)


@given(lengths, st.integers(1, 500))
def test_length_batches_hold_every_input_once(lengths, budget):
    batches = by_length(lengths, budget)
    assert sorted(int(p) for batch in batches for p in batch) == [*range(len(lengths))]


@given(lengths, st.integers(1, 500))
def test_a_length_batch_keeps_its_budget_when_padded(lengths, budget):
    for batch in by_length(lengths, budget):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= max(budget, len(batch))


@given(lengths, st.integers(1, 500))
def test_no_text_is_padded_to_a_longer_one_than_its_own_batch_needs(lengths, budget):
    longest = [lengths[batch].max() for batch in by_length(lengths, budget)]
    shortest = [lengths[batch].min() for batch in by_length(lengths, budget)]
    assert all(low >= high for low, high in zip(shortest, longest[1:], strict=False))


@given(st.integers(0, 50), st.integers(1, 20))
def test_count_batches_are_consecutive(count, size):
    batches = by_count(count, size)
    assert [int(p) for batch in batches for p in batch] == [*range(count)]
    assert all(len(batch) == size for batch in batches[:-1])


@given(st.lists(st.none() | st.text(max_size=3), max_size=30))
def test_distinct_inputs_give_the_items_back(inputs):
    found = distinct(inputs)
    assert len(set(found.inputs)) == len(found.inputs)
    back = [None if row == NONE else found.inputs[row] for row in found.rows]
    assert back == inputs


@given(blocks)
def test_rows_are_unit_or_zero_and_always_finite(block):
    unit, not_finite, zero = unit_rows(block)
    norms = np.linalg.norm(unit, axis=1)
    assert np.isfinite(unit).all()
    assert np.allclose(norms, np.where(not_finite | zero, 0.0, 1.0))
    assert not (not_finite & zero).any()


@given(st.text(max_size=60))
def test_the_tiny_encoder_is_blind_to_case_and_order(text):
    encoder = TinyText(max_tokens=1000)
    again = " ".join(reversed(text.lower().split()))
    both = encoder.encode(encoder.tokenize([text.lower(), again]))
    assert np.array_equal(both[0], both[1])

"""A filter leaves what reading every item one by one would leave."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.columns import Columns, FilterError
from serving.filters import Filters
from serving.grammar import Condition, Filter
from serving.wire import MAX_CONDITIONS, MAX_DEPTH
from tests.service import shelves

RECORDS = shelves.catalogue(120)
TABLE = shelves.table(RECORDS)

TEXTS = {
    "brand": ["Acme", "Bolt", "Ünicorn", "nobody"],
    "category": [*shelves.AISLES, "attic"],
    "title": ["Thing 1", "Thing 6"],
    "id": ["i3", "i77", "gone"],
}
PRICES = st.sampled_from([0, 5, 5.0, 19.99, 20, 20.0, 100.5, 1e9])


def match(values):
    several = st.lists(values, min_size=1, max_size=3).map(lambda v: {"any": v})
    return st.one_of(values.map(lambda v: {"value": v}), several)


def ranges(numbers):
    names = st.sampled_from(["gt", "gte", "lt", "lte"])
    return st.dictionaries(names, numbers, min_size=1, max_size=3)


CONDITIONS = st.one_of(
    *(
        st.fixed_dictionaries({"key": st.just(key), "match": match(st.sampled_from(values))})
        for key, values in TEXTS.items()
    ),
    st.fixed_dictionaries({"key": st.just("price"), "match": match(PRICES)}),
    st.fixed_dictionaries({"key": st.just("price"), "range": ranges(PRICES)}),
    st.fixed_dictionaries({"key": st.just("stock"), "range": ranges(st.integers(0, 2**41))}),
    st.fixed_dictionaries({"key": st.just("stock"), "match": match(st.sampled_from([0, 3]))}),
    st.fixed_dictionaries({"key": st.just("available"), "match": match(st.booleans())}),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["brand", "category", "price", "available", "stock", "title"]),
            "is_null": st.booleans(),
        }
    ),
)


def clauses(inner):
    lists = st.lists(inner, max_size=3)
    return st.fixed_dictionaries({}, optional={n: lists for n in ("must", "must_not", "should")})


FILTERS = clauses(st.one_of(CONDITIONS, clauses(CONDITIONS)))


def filters(table=TABLE) -> Filters:
    columns = Columns(lambda name: table[name], table.column_names)
    return Filters(columns, len(table), lambda: np.arange(len(table))[::-1])


KEPT = filters()


def left(wanted: dict, by: Filters = KEPT) -> list[int]:
    return by.selection(Filter.model_validate(wanted)).rows.tolist()


@settings(max_examples=300)
@given(FILTERS)
def test_what_is_left_is_what_reading_each_item_leaves(wanted):
    asked = Filter.model_validate(wanted)
    found = KEPT.selection(asked)
    if found is None:
        assert not asked.conditions()
        return
    expected = [row for row, record in enumerate(RECORDS) if shelves.passes(record, asked)]
    assert found.rows.tolist() == expected
    assert found.popular.tolist() == expected[::-1]
    bits = np.unpackbits(found.packed, bitorder="little")[: len(RECORDS)]
    assert np.flatnonzero(bits).tolist() == expected


@given(FILTERS)
def test_each_step_says_what_its_clause_leaves_alone(wanted):
    asked = Filter.model_validate(wanted)
    found = KEPT.selection(asked)
    for (listing, _, clause), (words, count) in zip(
        asked.listed(), found.steps if found else (), strict=found is not None
    ):
        if isinstance(clause, Filter) and not clause.conditions():
            continue
        held = [shelves.holds(record, clause) for record in RECORDS]
        assert count == sum(h != (listing == "must_not") for h in held)
        assert words.startswith(listing)


def test_columns_in_pieces_and_slices_read_the_same():
    wanted = {"must": [{"key": "category", "match": {"any": ["home", "tools"]}}],
              "must_not": [{"key": "brand", "match": {"value": "Acme"}}],
              "should": [{"key": "price", "range": {"gte": 19.99}},
                         {"key": "available", "match": {"value": True}}]}  # fmt: skip
    pieces = pa.concat_tables([TABLE.slice(0, 37), TABLE.slice(37, 50), TABLE.slice(87)])
    assert left(wanted, filters(pieces)) == left(wanted)
    shifted = [row - 11 for row in left(wanted) if row >= 11]
    assert left(wanted, filters(TABLE.slice(11))) == shifted


def test_a_dictionary_of_strings_is_text():
    coded = TABLE.set_column(3, "brand", TABLE["brand"].dictionary_encode())
    wanted = {"must": [{"key": "brand", "match": {"value": "Ünicorn"}}]}
    assert left(wanted, filters(coded)) == left(wanted) != []


def test_a_price_is_compared_in_the_precision_it_is_kept_in():
    exactly = [row for row, r in enumerate(RECORDS) if r["price"] == 19.99]
    for bounds in ({"gte": 19.99, "lte": 19.99}, {"gte": 19.99, "lt": 20}):
        assert left({"must": [{"key": "price", "range": bounds}]}) == exactly
    assert left({"must": [{"key": "price", "match": {"value": 19.99}}]}) == exactly


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ({"key": "brnad", "match": {"value": "x"}}, "did you mean 'brand'"),
        ({"key": "price", "match": {"value": "cheap"}}, "holds a number"),
        ({"key": "price", "match": {"value": True}}, "holds a number"),
        ({"key": "brand", "match": {"any": ["a", 1]}}, "holds a text"),
        ({"key": "available", "match": {"value": 1}}, "holds a truth"),
        ({"key": "brand", "range": {"gt": 1}}, "has no range"),
        ({"key": "category", "range": {"gt": 1}}, "has no range"),
    ],
)
def test_what_no_column_can_tell_is_refused(condition, what):
    with pytest.raises(FilterError, match=what):
        left({"must": [condition]})


def test_a_column_of_another_kind_is_refused():
    odd = TABLE.append_column("size", pa.array([[1.0]] * len(TABLE)))
    with pytest.raises(FilterError, match="which no filter can look at"):
        left({"must": [{"key": "size", "match": {"value": 1}}]}, filters(odd))


@pytest.mark.parametrize(
    "condition",
    [
        {"key": "brand"},
        {"key": "brand", "match": {}},
        {"key": "brand", "match": {"value": "a", "any": ["b"]}},
        {"key": "brand", "match": {"any": []}},
        {"key": "brand", "match": {"value": "a"}, "is_null": True},
        {"key": "price", "range": {}},
        {"key": "price", "range": {"gt": float("nan")}},
        {"key": "", "is_null": True},
        {"key": "price", "range": {"above": 1}},
    ],
)
def test_a_condition_says_exactly_one_thing(condition):
    with pytest.raises(ValidationError):
        Filter.model_validate({"must": [condition]})


def test_filters_are_bounded():
    one = {"key": "brand", "is_null": True}
    deep = {"must": [one]}
    for _ in range(MAX_DEPTH - 1):
        deep = {"must": [deep]}
    Filter.model_validate(deep)
    with pytest.raises(ValidationError, match="deep"):
        Filter.model_validate({"must": [deep]})
    wide = {"must": [{"must": [one] * MAX_CONDITIONS}, one]}
    with pytest.raises(ValidationError, match="altogether"):
        Filter.model_validate(wide)


def test_equal_filters_are_compiled_once_and_few_are_kept():
    few = filters()
    object.__setattr__(few, "_known", type(few._known)(3000, few._known.getsizeof))
    wanted = {"must": [{"key": "brand", "match": {"value": "Acme"}}]}
    first = few.selection(Filter.model_validate(wanted))
    assert few.selection(Filter.model_validate({**wanted, "should": []})) is first
    for price in range(40):
        few.selection(Filter(must=[Condition(key="price", range={"gt": price})]))
    assert few._known.currsize <= 3000
    assert few.selection(Filter.model_validate(wanted)) is not first


def test_nothing_asked_is_no_filter():
    assert KEPT.selection(None) is KEPT.selection(Filter()) is None
    assert KEPT.selection(Filter.model_validate({"must": [{"should": []}]})) is None

"""The text of an item."""

import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.embed.text import compose_text, texts_of
from pipeline.errors import ConfigError

FIELDS = ("title", "brand", "categories", "description")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"title": "A lamp", "brand": "Lux"}, "A lamp. Lux."),
        ({"title": "A lamp", "categories": ["Home", "Light"]}, "A lamp. Home, Light."),
        ({"title": "Really?", "description": "Yes!"}, "Really? Yes!"),
        ({"title": "  spaced \n out ", "brand": None}, "spaced out."),
        ({"title": "", "categories": [], "description": None}, ""),
        ({"title": "...", "brand": " - "}, ""),
        ({"categories": ["", None, "x"]}, "x."),
        ({"title": "映画"}, "映画."),
    ],
)
def test_fields_become_sentences(row, text):
    assert compose_text(row, FIELDS) == text


def test_the_order_is_the_one_configured():
    row = {"title": "A", "brand": "B"}
    assert compose_text(row, ("brand", "title")) == "B. A."


def test_texts_follow_the_rows():
    rows = [{"title": f"t{i}"} for i in range(5)]
    table = pa.Table.from_pylist(rows, schema=schema.ITEMS)
    assert [*texts_of(table, ("title",))] == [f"t{i}." for i in range(5)]


def test_an_unknown_field_is_named_with_the_closest():
    with pytest.raises(ConfigError, match=r"'titel'.*did you mean 'title'"):
        [*texts_of(schema.ITEMS.empty_table(), ("titel",))]

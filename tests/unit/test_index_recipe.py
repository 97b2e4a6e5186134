"""Recipes: what ``auto`` means, how many lists and bytes, and which combinations are refused."""

import pytest

from pipeline.config import Config, IndexConfig, parse_config
from pipeline.errors import ConfigError
from pipeline.index.recipe import Recipe, choose, code_bytes, lists


@pytest.mark.parametrize(
    ("asked", "items", "codes", "chosen"),
    [
        ("auto", 50_000, "none", "flat"),
        ("auto", 50_001, "none", "ivf"),
        ("auto", 50_000, "sq8", "flat"),
        ("auto", 50_001, "sq8", "ivf"),
        ("auto", 50_001, "opq", "ivf"),
        ("auto", 10**7, "binary", "flat"),
        ("flat", 10**6, "none", "flat"),
        ("hnsw", 9, "none", "hnsw"),
        ("ivf", 9, "none", "ivf"),
    ],
)
def test_auto_goes_by_the_size_of_the_catalogue_and_the_codes(asked, items, codes, chosen):
    assert choose(asked, items, codes) == chosen


@pytest.mark.parametrize(
    ("width", "asked", "taken"),
    [
        (64, None, 32),
        (64, 16, 16),
        (64, 40, 32),
        (64, 999, 64),
        (60, None, 30),
        (7, None, 1),
        (1, None, 1),
    ],
)
def test_a_code_has_equal_parts(width, asked, taken):
    assert code_bytes(width, asked) == taken


@pytest.mark.parametrize(
    ("items", "asked", "taken"),
    [
        (498_196, None, 4096),
        (1000, None, 128),
        (1, None, 1),
        (0, None, 1),
        (9, 50, 9),
        (99, 50, 50),
    ],
)
def test_lists_grow_with_the_root_of_the_catalogue(items, asked, taken):
    assert lists(items, asked) == taken


def test_a_recipe_is_told_without_what_it_does_not_use():
    told = Recipe.of(IndexConfig(), (100, 64)).told()
    assert told == {"method": "flat", "compress": "none"}
    graph = Recipe.of(IndexConfig(method="hnsw", hnsw_links=8), (100, 64)).told()
    assert graph["links"] == 8 and "lists" not in graph
    coded = Recipe.of(IndexConfig(method="ivf", compress="pq"), (100, 64))
    assert coded.told() | {"lists": 0} == {
        "method": "ivf", "compress": "pq", "code_bytes": 32, "lists": 0, "probes_asked": 256,
    }  # fmt: skip
    assert coded.depth == 4 and Recipe.of(IndexConfig(method="ivf"), (100, 64)).depth == 1


@pytest.mark.parametrize(
    ("method", "compress"), [("hnsw", "pq"), ("hnsw", "opq"), ("hnsw", "binary"), ("ivf", "binary")]
)
def test_codes_that_do_not_go_with_a_method_are_refused(method, compress):
    values = {
        "data": {"format": "demo"},
        "name": "x",
        "index": {"method": method, "compress": compress},
    }
    with pytest.raises(ConfigError, match=f"compress {compress} does not go with method {method}"):
        parse_config(values, "here")


@pytest.mark.parametrize("compress", ["sq8", "sq4", "pq", "opq", "binary"])
@pytest.mark.parametrize("method", ["auto", "flat"])
def test_every_code_goes_with_flat_and_auto(method, compress):
    assert isinstance(Config.model_validate(
        {"data": {"format": "demo"}, "name": "x", "index": {"method": method, "compress": compress}}
    ), Config)  # fmt: skip


def test_an_unknown_code_is_refused():
    values = {"data": {"format": "demo"}, "name": "x", "index": {"compress": "zip"}}
    with pytest.raises(ConfigError, match=r"index\.compress"):
        parse_config(values, "here")

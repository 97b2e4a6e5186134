"""Generated raw files: exact sizes, equal bytes, planted tastes, and the oddities meant."""

import ast
import gzip
import json
from collections import Counter

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.etl.generate import EDITIONS, AmazonSpec, make_amazon
from pipeline.etl.generate.flaws import CSV_FLAWS, JSON_FLAWS, REVIEW_FLAWS, interspersed
from pipeline.etl.generate.shapes import item_key, user_key
from pipeline.etl.generate.world import Kinds, plant

SMALL = {"users": 80, "items": 600, "interactions": 700}


def lines_of(path) -> list[bytes]:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()


@pytest.fixture(scope="module", params=EDITIONS)
def made(request, tmp_path_factory):
    spec = AmazonSpec(request.param, **SMALL)
    return spec, make_amazon(tmp_path_factory.mktemp("made"), spec)


def parsed(spec, line: bytes):
    return ast.literal_eval(line.decode()) if spec.edition == 2014 else json.loads(line)


def test_the_sizes_are_the_specification(made):
    spec, paths = made
    reviews = [json.loads(line) for line in lines_of(paths["reviews"])]
    user, item = ("user_id", "parent_asin") if spec.edition == 2023 else ("reviewerID", "asin")
    pairs = {(review[user], review[item]) for review in reviews}
    assert len(reviews) == len(pairs) == spec.interactions
    assert len({review[user] for review in reviews}) == spec.users
    assert len({review[item] for review in reviews}) == spec.hot_items
    items = [parsed(spec, line) for line in lines_of(paths["metadata"])]
    keys = Counter(i["parent_asin" if spec.edition == 2023 else "asin"] for i in items)
    assert len(keys) == spec.items
    assert sorted(Counter(keys.values()).items()) == [(1, 594), (2, 6)]


def test_the_fields_are_those_of_the_edition(made):
    spec, paths = made
    review = json.loads(lines_of(paths["reviews"])[0])
    known = {
        2014: {"reviewerID", "asin", "reviewerName", "helpful", "reviewText", "overall", "summary",
               "unixReviewTime", "reviewTime"},
        2018: {"overall", "verified", "reviewTime", "reviewerID", "asin", "style", "reviewerName",
               "reviewText", "summary", "unixReviewTime", "vote", "image"},
        2023: {"rating", "title", "text", "images", "asin", "parent_asin", "user_id", "timestamp",
               "helpful_vote", "verified_purchase"},
    }[spec.edition]  # fmt: skip
    assert set(review) <= known
    assert len(set(review)) >= len(known) - 4
    moment = review["timestamp" if spec.edition == 2023 else "unixReviewTime"]
    assert (moment > 1e11) == (spec.edition == 2023)


def test_ratings_have_the_order_of_their_edition(made):
    spec, paths = made
    rows = [line.decode().split(",") for line in lines_of(paths["ratings"])]
    if spec.edition == 2023:
        assert rows.pop(0) == ["user_id", "parent_asin", "rating", "timestamp"]
    assert len(rows) == spec.interactions
    item_column = 0 if spec.edition == 2018 else 1
    keys = {item_key(row) for row in range(spec.items)}
    assert {row[item_column] for row in rows} < keys


@pytest.mark.parametrize(
    ("edition", "marks"),
    [
        (2014, [b"&amp;", b"'asin': 'B", b"'description': \"The", b"won\\'t", b"'categories': [[",
                b"'Mar\\xe9chal'", b"'also_bought': ['", b"C:\\\\drivers", b"<br />", b"\\u2212"]),
        (2018, [b"<span id=", b"getTime()", b"<img src=", b"<style", b'"rank":"', b'"rank":[]',
                b'"price":""', b"&amp;", b'"by\\n', b'"image":', b"</span></span>"]),
        (2023, [b'"hi_res":null', b'"price":null', b'"price":"from', b'"details":"{',
                b'"details":{', b'"store":null', b'"images":[]', b'"main_category":null']),
    ],
)  # fmt: skip
def test_the_oddities_are_in_the_metadata(tmp_path, edition, marks):
    paths = make_amazon(tmp_path, AmazonSpec(edition, 50, 2000, 600))
    content = b"\n".join(lines_of(paths["metadata"]))
    assert [mark for mark in marks if mark not in content] == []


def test_votes_of_2018_have_thousands(tmp_path):
    paths = make_amazon(tmp_path, AmazonSpec(2018, 200, 800, 3000))
    assert b'"vote":"1,' in b"\n".join(lines_of(paths["reviews"]))


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, edition):
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        spec = AmazonSpec(edition, seed=seed, bad_share=0.05, **SMALL)
        paths = make_amazon(tmp_path / name, spec)
        made[name] = {what: path.read_bytes() for what, path in paths.items()}
    assert made["a"] == made["b"]
    assert all(made["a"][what] != made["c"][what] for what in made["a"])


def test_bad_lines_come_on_top_and_are_counted(tmp_path):
    clean = make_amazon(tmp_path / "clean", AmazonSpec(2018, **SMALL))
    dirty = make_amazon(tmp_path / "dirty", AmazonSpec(2018, bad_share=0.1, **SMALL))
    for what, flaws, count in (
        ("reviews", REVIEW_FLAWS, 70), ("metadata", JSON_FLAWS, 60), ("ratings", CSV_FLAWS, 70),
    ):  # fmt: skip
        good, mixed = lines_of(clean[what]), lines_of(dirty[what])
        assert len(mixed) == len(good) + count
        assert [line for line in mixed if line not in flaws] == good
        assert {line for line in mixed if line in flaws} == set(flaws)


def test_flaws_are_spread_and_exact():
    lines = [b"%d" % n for n in range(1000)]
    mixed = [*interspersed(iter(lines), 1000, 0.05, [b"bad"], seed=0)]
    places = np.flatnonzero([line == b"bad" for line in mixed])
    assert len(places) == 50
    assert places[0] < 200
    assert places[-1] > 800


def test_a_truncated_download_ends_inside_the_stream(tmp_path):
    paths = make_amazon(tmp_path, AmazonSpec(2023, truncated=True, **SMALL))
    with pytest.raises(EOFError):
        gzip.decompress(paths["reviews"].read_bytes())
    lines_of(paths["metadata"])


def test_tastes_are_planted_and_popularity_falls_off():
    spec = AmazonSpec(users=3000, items=12_000, interactions=25_000)
    world = plant(spec)
    liked = (world.preferred[world.user] == world.kind[world.item][:, None]).any(axis=1)
    assert 0.5 < liked.mean() < 0.9  # three kinds of 39 by chance would be less than 0.1
    assert world.stars[liked].mean() > world.stars[~liked].mean() + 0.4
    counts = np.sort(np.bincount(world.item, minlength=spec.items))[::-1]
    assert (counts > 0).sum() == spec.hot_items == round(12_000 * 63_001 / 498_196)
    assert counts[: spec.hot_items // 10].sum() > 0.3 * spec.interactions
    assert set(world.stars) == {1, 2, 3, 4, 5}
    assert 0 <= world.day.min() < world.day.max() < 1


def test_the_log_is_a_five_core_as_published():
    spec = AmazonSpec.scaled(2014, 1 / 32)
    world = plant(spec)
    of_user = np.bincount(world.user, minlength=spec.users)
    of_item = np.bincount(world.item, minlength=spec.items)[world.hot]
    assert of_user.min() == of_item.min() == 5
    assert np.median(of_user) in (6, 7)
    assert 9 <= np.median(of_item) <= 15
    assert of_item.max() > 10 * of_item.mean()
    assert len(np.unique(world.item * spec.users + world.user)) == spec.interactions


def test_within_a_kind_a_user_takes_what_is_alike():
    """Styles of what one user took of one kind lie nearer than those of two users' items."""
    spec = AmazonSpec.scaled(2014, 1 / 32)
    world = plant(spec)
    order = np.lexsort((world.kind[world.item], world.user))
    user, item = world.user[order], world.item[order]
    kind, style = world.kind[item], world.style[item]
    same = (user[1:] == user[:-1]) & (kind[1:] == kind[:-1])
    own = ((style[1:] - style[:-1])[same] ** 2).sum(axis=1).mean()
    shuffled = np.lexsort((np.random.default_rng(0).random(len(user)), kind))
    pairs = (kind[shuffled][1:] == kind[shuffled][:-1]) & (
        user[shuffled][1:] != user[shuffled][:-1]
    )
    others = ((style[shuffled][1:] - style[shuffled][:-1])[pairs] ** 2).sum(axis=1).mean()
    assert own < 0.8 * others


def test_a_dense_little_world_still_has_exactly_its_pairs():
    spec = AmazonSpec(users=30, items=20, interactions=300)
    world = plant(spec)
    pairs = set(zip(world.user.tolist(), world.item.tolist(), strict=True))
    assert len(world.user) == len(pairs) == 300


def test_keys_have_the_shapes_of_amazon_and_differ():
    keys = [item_key(row) for row in range(20_000)]
    assert len(set(keys)) == 20_000
    assert {len(key) for key in keys} == {10}
    books = [key for key in keys if not key.startswith("B")]
    assert 0 < len(books) < 1000
    for isbn in books[:50]:
        digits = [10 if c == "X" else int(c) for c in isbn]
        assert sum((10 - at) * digit for at, digit in enumerate(digits)) % 11 == 0
    users = {user_key(row, edition) for row in range(2000) for edition in (2014, 2023)}
    assert len(users) == 4000
    assert {len(user) for user in users} == {13, 28}


@pytest.mark.parametrize(
    "wrong",
    [{"edition": 2015}, {"users": 5}, {"bad_share": 2.0}, {"interactions": 10},
     {"users": 30, "items": 30, "interactions": 600}],
)  # fmt: skip
def test_what_cannot_be_made_is_a_config_error(wrong):
    with pytest.raises(ConfigError):
        AmazonSpec(**wrong)


def test_scale_one_is_the_reference():
    spec = AmazonSpec.scaled(2014, 1.0)
    assert (spec.users, spec.items, spec.interactions) == (192_403, 498_196, 1_689_188)
    assert spec.hot_items == 63_001
    small = AmazonSpec.scaled(2023, 0.001, seed=3)
    assert (small.edition, small.seed, small.users) == (2023, 3, 200)
    with pytest.raises(ConfigError, match="scale"):
        AmazonSpec.scaled(2014, 0)


def test_there_are_more_kinds_in_larger_catalogues_and_all_differ():
    for hot, count in ((20, 16), (1_000, 32), (63_001, 251), (10**7, 1_008)):
        kinds = Kinds.of(hot)
        assert len(kinds) == len(set(kinds.names)) == count, hot
    assert len(set(Kinds.of(63_001).department)) == 12

"""The demo shop: the same bytes every time, its flaws recorded, its pictures worth looking at."""

import io
import json
import multiprocessing
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config import DataConfig, DemoConfig
from pipeline.errors import DataError
from pipeline.etl.demo import catalogue, materialise, plan, read_log
from pipeline.etl.demo.drawings import DRAWINGS, draw
from pipeline.etl.demo.easel import PICTURE
from pipeline.etl.demo.looks import PALETTES, PATTERNS
from pipeline.etl.demo.words import BRANDS, FINISHES, KINDS, MAKING, THEMES
from pipeline.etl.demo.world import CIRCLES, DAY_SECONDS, DAYS, FIRST_DAY, SHAPES, TASTES
from pipeline.etl.demo.writing import listings
from pipeline.etl.stage import reader
from tests.etl_worlds import run

SMALL = DemoConfig(users=60, items=90, interactions_per_user=15)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return materialise(SMALL, tmp_path_factory.mktemp("demo") / "shop")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_equal_configurations_give_equal_bytes(shop, tmp_path):
    assert contents(materialise(SMALL, tmp_path / "again")) == contents(shop)


def test_another_seed_gives_another_shop(shop, tmp_path):
    other = materialise(SMALL.model_copy(update={"seed": 1}), tmp_path / "other")
    assert (other / "items.jsonl").read_bytes() != (shop / "items.jsonl").read_bytes()
    assert (other / "interactions.csv").read_bytes() != (shop / "interactions.csv").read_bytes()


def test_what_is_there_is_not_made_again(shop, monkeypatch):
    monkeypatch.setattr(catalogue, "plan", lambda _: pytest.fail("made again"))
    assert materialise(SMALL, shop) == shop


def test_a_folder_of_another_configuration_is_replaced(tmp_path):
    few = DemoConfig(users=20, items=40, interactions_per_user=5)
    folder = materialise(few, tmp_path / "shop")
    more = few.model_copy(update={"items": 41})
    materialise(more, folder)
    assert json.loads((folder / "catalogue.json").read_text())["items"] == 41
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


def _dies_while_drawing(folder: Path) -> None:
    catalogue._picture = lambda *_: os._exit(9)
    materialise(SMALL, folder)


def test_a_killed_attempt_leaves_nothing_that_looks_whole(shop, tmp_path):
    folder = tmp_path / "shop"
    child = multiprocessing.get_context("spawn").Process(target=_dies_while_drawing, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == 9
    assert not folder.exists()
    assert contents(materialise(SMALL, folder)) == contents(shop)
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


def test_a_missing_catalogue_says_how_to_make_it(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match="plotpointe demo"):
            next(read_log(DataConfig(format="demo", folder=folder)))


def test_its_flaws_are_recorded_and_the_rest_is_kept(shop, tmp_path):
    data = DataConfig(format="demo", folder=shop, images=shop / "images")
    assert callable(reader("demo"))
    result = run(tmp_path, data)
    lines = {name: len((shop / name).read_text().splitlines())
             for name in ("interactions.csv", "items.jsonl")}  # fmt: skip
    assert result.report["sources"]["interactions.csv"]["read"] == lines["interactions.csv"] - 1
    assert result.report["sources"]["items.jsonl"]["read"] == lines["items.jsonl"]
    reasons = result.report["rejects"]["by_reason"]
    assert {"duplicate", "not_parseable", "missing_field"} <= reasons.keys()
    assert result.report["counts"]["users"] == SMALL.users
    assert result.report["counts"]["items"] == SMALL.items
    world = plan(SMALL)
    kept = [(int(u.removeprefix("user-")) - 1, i) for u, i, *_ in result.interactions()]
    keys = [listing.key for listing in listings(SMALL, world)]
    wanted = [(user, keys[item]) for user, item in zip(world.user, world.item, strict=True)]
    assert sorted(kept) == sorted(wanted)


def test_every_named_picture_exists_and_opens(shop):
    records = [json.loads(line) for line in (shop / "items.jsonl").read_text().splitlines()[:-2]]
    named = {record["image"] for record in records if "image" in record}
    assert named == {p.name for p in (shop / "images").iterdir()}
    for name in sorted(named)[:10]:
        with Image.open(shop / "images" / name) as picture:
            picture.load()
            assert picture.size == (PICTURE, PICTURE)


@pytest.fixture(scope="module")
def world():
    return plan(DemoConfig())


@pytest.fixture(scope="module")
def written(world):
    return listings(DemoConfig(), world)


def test_the_default_shop_is_as_promised(world):
    taken = np.bincount(world.item, minlength=world.items)
    assert 0.08 <= (taken == 0).mean() <= 0.15
    assert 28_000 <= len(world.item) <= 32_000
    top = np.sort(taken)[::-1]
    assert top[: world.items // 10].sum() > 0.25 * taken.sum()
    bare = ~world.picture & ~world.text
    assert 1 <= bare.sum() <= 12
    assert 0.02 <= (~world.picture).mean() <= 0.07
    assert 0.005 <= (~world.text).mean() <= 0.04


def test_nothing_is_taken_before_its_release_or_twice(world):
    day = (world.seconds - FIRST_DAY) / DAY_SECONDS
    assert (day + 1 / DAY_SECONDS >= world.released[world.item]).all()
    assert (np.diff(world.seconds) >= 0).all()
    assert day.max() <= DAYS
    pairs = set(zip(world.user.tolist(), world.item.tolist(), strict=True))
    assert len(pairs) == len(world.user)
    assert not world.unsold[world.item].any()
    assert set(world.rating.tolist()) == {1, 2, 3, 4, 5}


def test_the_last_tenth_knows_items_that_the_rest_does_not(world):
    cut = np.quantile(world.seconds, 0.9)
    known = set(world.item[world.seconds < cut].tolist())
    late = world.item[world.seconds >= cut]
    assert 0.01 < np.mean([item not in known for item in late]) < 0.2


def test_titles_are_distinct_and_keys_too(written):
    titles = [listing.title for listing in written if listing.title]
    assert len(set(titles)) == len(titles)
    assert sum(", No. " in title for title in titles) < 0.05 * len(titles)
    assert len({listing.key for listing in written}) == len(written)


def test_an_item_without_text_has_no_words_at_all(world, written):
    for listing, text, picture in zip(written, world.text, world.picture, strict=True):
        words = (listing.title, listing.description, listing.brand, listing.categories)
        assert all(w is not None for w in words) if text else not any(words)
        assert (listing.image is not None) == picture
        assert listing.price >= 3


LOOKS = re.compile(
    r"\b(teal|red|blue|green|yellow|orange|purple|pink|black|white|grey|gray|brown|colou?r\w*|"
    r"strip\w+|dot\w*|check\w*|zig-?zag\w*|terrazzo|wav[ey]\w*|plain|pattern\w*)\b",
    re.IGNORECASE,
)


def test_words_never_tell_what_the_eye_should_see(written):
    for listing in written:
        found = LOOKS.search(f"{listing.title} {listing.description} {listing.brand}")
        assert not found, (found, listing)


def test_the_attributes_have_names_and_looks_for_all_their_values():
    assert TASTES["palette"].values == len(PALETTES)
    assert TASTES["pattern"].values == len(PATTERNS)
    assert TASTES["circle"].values == CIRCLES
    assert set(DRAWINGS) == {kind.name for kind in KINDS}
    assert set(MAKING) == set(FINISHES)
    assert len(BRANDS) % len(THEMES) == 0
    for kind in KINDS:
        assert [len(materials) for materials in kind.materials] == [2] * len(FINISHES)


def picture(kind="mug", palette=0, pattern=0, shape=0, seed=0) -> np.ndarray:
    drawn = draw(kind, palette, pattern, shape, np.random.default_rng(seed))
    return np.asarray(Image.open(io.BytesIO(drawn)), dtype=np.float32)


def test_a_picture_depends_on_its_arguments_alone():
    assert draw("vase", 1, 5, 2, np.random.default_rng(3)) == draw(
        "vase", 1, 5, 2, np.random.default_rng(3)
    )


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_every_choice_changes_the_picture(kind):
    """Between palettes, patterns and shapes the picture differs by more than dye and noise do."""
    base = picture(kind)
    noise = np.abs(picture(kind, seed=1) - base).mean()
    for change in ({"palette": 4}, {"pattern": 3}, {"shape": 1}):
        changed = np.abs(picture(kind, **change) - base).mean()
        assert changed > 3
        assert changed > 0.5 * noise, change


def test_palettes_are_told_apart_by_their_mean_colour():
    """The nearest mean colour of other drawings names the palette, far above chance."""

    def mean(palette, seed):
        return picture("cushion", palette, 0, 0, seed).reshape(-1, 3).mean(axis=0)

    known = np.stack([mean(palette, 0) for palette in range(len(PALETTES))])
    right = [
        np.linalg.norm(known - mean(palette, seed), axis=1).argmin() == palette
        for palette in range(len(PALETTES))
        for seed in (1, 2, 3)
    ]
    assert np.mean(right) > 0.8


def test_the_smallest_shop_can_be_made():
    tiny = DemoConfig(users=20, items=40, interactions_per_user=2.5)
    world = plan(tiny)
    assert len(listings(tiny, world)) == 40
    assert world.attributes["shape"].max() < SHAPES
    assert len(set(world.user.tolist())) == 20

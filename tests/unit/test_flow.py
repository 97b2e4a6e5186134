"""What a run will make is known before it starts, and changes exactly with what was asked."""

import pytest

from pipeline import flow
from pipeline.artifacts import Store
from pipeline.config import load_config
from pipeline.errors import ConfigError, DataError

YAML = """
data: {format: table, interactions: log.csv, items: items.csv, images: pictures}
baselines:
  popularity: {model: popularity}
  lightgcn: {model: lightgcn}
"""


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "log.csv").write_text("user,item\na,b\n")
    (tmp_path / "items.csv").write_text("key,title\nb,Bee\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "b.jpg").write_bytes(b"1")
    (tmp_path / "run.yaml").write_text(YAML)
    return tmp_path


def fingerprints(raw, *overrides: str) -> dict[str, str]:
    config = load_config(raw / "run.yaml", overrides)
    return {s.name: s.fingerprint for s in flow.plan(config, Store(raw / "store"))}


def changed(raw, before: dict[str, str], *overrides: str) -> set[str]:
    after = fingerprints(raw, *overrides)
    return {name for name in before if before[name] != after[name]}


BASELINES = {"train:popularity", "train:lightgcn"}
FROM_TRAIN = {"train", *BASELINES, "evaluate", "index"}
EVERYTHING = {"etl", "embed", "graph", *FROM_TRAIN}


def test_a_step_comes_after_what_it_needs(raw):
    steps = flow.plan(load_config(raw / "run.yaml"), Store(raw / "store"))
    seen = set()
    for step in steps:
        assert {needed.name for needed in step.needs.values()} <= seen
        seen.add(step.name)
    assert seen == EVERYTHING


@pytest.mark.parametrize(
    ("override", "moved"),
    [
        ("name=other", set()),
        ("runtime.threads=1", set()),
        ("etl.min_rating=4", EVERYTHING),
        ("embed.text.max_tokens=64", EVERYTHING - {"etl"}),
        ("graph.neighbors=3", EVERYTHING - {"etl", "embed"}),
        ("train.epochs=3", {"train", "evaluate", "index"}),
        ("baselines.lightgcn.overrides.epochs=3", {"train:lightgcn", "evaluate"}),
        ("evaluate.ks=[5]", {"evaluate"}),
        ("index.method=hnsw", {"index"}),
        ("seed=1", FROM_TRAIN),
    ],
)
def test_an_option_moves_exactly_what_depends_on_it(raw, override, moved):
    before = fingerprints(raw)
    key, _, value = override.rpartition("=")
    assert changed(raw, before, f"{key}={value}") == moved


@pytest.mark.parametrize(
    ("file", "moved"),
    [
        ("log.csv", EVERYTHING),
        ("items.csv", EVERYTHING),
        ("pictures/b.jpg", EVERYTHING - {"etl"}),
        ("pictures/new.jpg", EVERYTHING),
    ],
)
def test_an_edited_raw_file_moves_what_reads_it(raw, file, moved):
    before = fingerprints(raw)
    (raw / file).write_bytes(b"something else")
    assert changed(raw, before) == moved


def test_a_moved_folder_moves_nothing(raw, tmp_path_factory):
    before = fingerprints(raw)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "deep"
    raw.rename(elsewhere)
    assert fingerprints(elsewhere) == before


def test_a_missing_raw_file_is_named(raw):
    (raw / "log.csv").unlink()
    with pytest.raises(DataError, match=r"log\.csv does not exist; correct the data section"):
        fingerprints(raw)


def test_between_keeps_the_stages_asked_for(raw):
    steps = flow.plan(load_config(raw / "run.yaml"), Store(raw / "store"))
    names = [s.name for s in flow.between(steps, "graph", "train")]
    assert names == ["graph", "train:popularity", "train:lightgcn", "train"]


RANKED = """
data: {format: table, interactions: log.csv, items: items.csv, images: pictures}
baselines: {ease: {model: ease}, popularity: {model: popularity}}
rank: {}
"""
DISTILLED = f"{RANKED}train: {{distill: {{first: {{epochs: 2}}}}}}\n"


def steps_of(raw, text, *overrides):
    (raw / "run.yaml").write_text(text)
    return flow.plan(load_config(raw / "run.yaml", overrides), Store(raw / "store"))


def needs(steps, name):
    (step,) = [step for step in steps if step.name == name]
    return {known_as: needed.name for known_as, needed in step.needs.items()}


def test_a_second_stage_knows_its_second_model_and_is_served_and_reported(raw):
    steps = steps_of(raw, RANKED)
    wanted = {"tables": "etl", "graphs": "graph", "model": "train", "model:ease": "train:ease"}
    assert needs(steps, "rank") == wanted
    assert needs(steps, "evaluate")["ranker"] == needs(steps, "index")["ranker"] == "rank"
    assert "model:popularity" in needs(steps, "evaluate")
    assert "ranker" not in needs(steps, "train") and "model:ease" not in needs(steps, "index")


def test_without_a_second_model_the_rank_step_waits_for_none(raw):
    steps = steps_of(raw, RANKED, "rank.second=null")
    assert needs(steps, "rank") == {"tables": "etl", "graphs": "graph", "model": "train"}


def test_without_a_rank_section_nothing_ranks(raw):
    steps = steps_of(raw, RANKED, "rank=null")
    assert "rank" not in [step.name for step in steps]
    assert "ranker" not in needs(steps, "evaluate")


def test_the_lists_are_learned_from_a_first_network_and_its_second_stage(raw):
    steps = steps_of(raw, DISTILLED)
    names = [step.name for step in steps]
    order = ["train:ease", "train:first", "rank:first", "train", "rank", "evaluate", "index"]
    assert [name for name in names if name in order] == order
    assert needs(steps, "rank:first")["model"] == "train:first"
    assert needs(steps, "rank:first")["model:ease"] == "train:ease"
    assert needs(steps, "train")["model:first"] == "train:first"
    assert needs(steps, "train")["ranker:first"] == "rank:first"
    assert needs(steps, "rank")["model"] == needs(steps, "index")["model"] == "train"
    learned = {"tables", "embeddings", "graphs"}
    assert {*needs(steps, "train:first")} == {*needs(steps, "train:ease")} == learned
    assert not [name for name in needs(steps, "evaluate") if "first" in name]


def test_others_are_asked_by_both_second_stages_the_first_network_by_the_last_alone(raw):
    overrides = ("rank.others=[popularity, first]",)
    steps = steps_of(raw, DISTILLED, *overrides)
    assert needs(steps, "rank")["model:first"] == "train:first"
    assert "model:first" not in needs(steps, "rank:first")
    for name in ("rank", "rank:first"):
        assert needs(steps, name)["model:popularity"] == "train:popularity"
    alone = {s.name: s.fingerprint for s in steps_of(raw, DISTILLED, "rank.others=[first]")}
    assert {s.name: s.fingerprint for s in steps_of(raw, DISTILLED)}["train"] == alone["train"]


def test_the_first_network_is_the_main_one_but_for_what_is_said(raw):
    steps = {s.name: s.config for s in steps_of(raw, DISTILLED, "train.width=32")}
    assert (steps["train:first"].epochs, steps["train:first"].width) == (2, 32)
    assert steps["train:first"].distill is None and steps["train"].distill is not None


@pytest.mark.parametrize(
    ("override", "moved"),
    [
        ("train.distill.first.epochs=3", {"train:first", "rank:first"}),
        ("train.distill.weight=2", set()),
        ("train.epochs=7", set()),
        ("train.width=16", {"train:first", "rank:first"}),
        ("rank.hidden=3", {"rank:first"}),
        ("baselines.ease.overrides.l2=5", {"train:ease", "rank:first"}),
        ("baselines.popularity.overrides.l2=5", {"train:popularity", "evaluate"}),
    ],
)
def test_what_moves_when_lists_are_learned(raw, override, moved):
    """Whatever moves the teacher moves all that learns from it."""
    (raw / "run.yaml").write_text(DISTILLED)
    after = {"train", "rank", "evaluate", "index"} if "popularity" not in override else set()
    assert changed(raw, fingerprints(raw), override) == moved | after


def test_up_to_train_the_teacher_is_made_too(raw):
    steps = steps_of(raw, DISTILLED)
    names = [step.name for step in flow.between(steps, None, "train")]
    learned = {"train:ease", "train:popularity", "train:first", "rank:first", "train"}
    assert {*names} == {"etl", "embed", "graph", *learned}
    assert names.index("rank:first") < names.index("train")
    only = [step.name for step in flow.between(steps, "train", "train")]
    assert {*only} == learned


def test_from_rank_on_both_second_stages_are_made(raw):
    steps = steps_of(raw, DISTILLED)
    names = [step.name for step in flow.between(steps, "rank", None)]
    assert names == ["rank:first", "rank", "evaluate", "index"]


def test_only_a_teacher_that_is_asked_for_is_made(raw):
    steps = steps_of(raw, RANKED)
    assert not [step.name for step in steps if step.name.endswith(":first")]
    assert [step.name for step in flow.between(steps, "etl", "train")][-1] == "train"


def test_a_baseline_cannot_have_the_name_of_the_first_network(raw):
    with pytest.raises(ConfigError, match=r"baselines\.first has the name of the network that"):
        steps_of(raw, DISTILLED, "baselines.first={model: mf}")
    assert "train:first" in [s.name for s in steps_of(raw, RANKED, "baselines.first={model: mf}")]

"""``profile`` says where a stage's time goes, and leaves the store as it was."""

import gzip
import json

import pytest

from tests.end_to_end.shop import contents, must, plotpointe, write_config

YAML = """
name: profiled-shop
data: {format: demo, demo: {users: 60, items: 50, interactions_per_user: 8}}
embed: {text: {encoder: tiny}, image: null}
train: {model: gat, epochs: 2000, patience: 2000, width: 8, layers: 1}
evaluate: {resamples: 100}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled")
    config, store = write_config(folder, YAML), folder / "store"
    must("run", config, "--store", store, "--to", "etl", "--no-plan")
    return config, store


@pytest.mark.slow
def test_a_training_is_profiled_and_thrown_away(shop, tmp_path):
    config, store = shop
    out = tmp_path / "profile"
    told = json.loads(
        must("profile", config, "--store", store, "--stage", "train", "--seconds", 0,
             "--set", "train.epochs=4", "--rate", 10, "--out", out, "--json")
    )  # fmt: skip
    made = contents(store)
    assert {name.split("/")[0] for name in made} == {"tables", "embeddings", "graphs"}, "no model"
    assert not [*store.glob("model/*")] and not [*out.glob(".run-*")]

    names = {row["name"] for row in told["operators"]}
    assert "sparse product" in names or any("sparse" in name for name in names)
    assert any(name.startswith("aten::") for name in names)
    assert {"Gat", "training step", "loss"} <= {row["name"] for row in told["parts"]}
    assert told["sentences"] and all("% of the time" in each for each in told["sentences"])
    assert told["ceilings"]["by"] == "torch" and 0 < told["rates"]["flops_share"] < 2

    files = {path.name for path in out.iterdir()}
    assert {"profile.json"} < files and files & {"trace.json", "trace.json.gz"}
    packed = out / "trace.json.gz"
    text = gzip.open(packed).read() if packed.exists() else (out / "trace.json").read_bytes()
    assert b"module: Gat" in text
    if told["stacks"]["missing"] is None:
        assert {"flame.svg", "stacks.txt"} < files and told["stacks"]["samples"] > 3
        assert "pipeline/train/stage.py" in (out / "flame.svg").read_text()
    else:
        assert "ptrace" in told["stacks"]["missing"] or "py-spy" in told["stacks"]["missing"]

    before = contents(store)
    short = ("--stage", "train", "--seconds", 1, "--rate", 0, "--out", tmp_path / "short")
    left = json.loads(must("profile", config, "--store", store, *short, "--json"))
    assert 0.9 < left["cost"]["wall_seconds"] < 60, "2,000 epochs were left after a second"
    said = must(
        "profile",
        config,
        "--store",
        store,
        "--stage",
        "etl",
        "--out",
        tmp_path / "etl",
        "--rate",
        0,
    )
    assert contents(store) == before
    assert "operators" not in said and "bottleneck: " in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stage", "trian"), "did you mean 'train'?"),
        (("--stage", "etl", "--after", 600, "--rate", 0), "before its profile began"),
    ],
)
def test_what_cannot_be_profiled_is_told(shop, tmp_path, options, words):
    config, store = shop
    done = plotpointe("profile", config, "--store", store, "--out", tmp_path, *options)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr

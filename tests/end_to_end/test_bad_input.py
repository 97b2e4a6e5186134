"""A user's mistake is a sentence and an exit code, never a stack trace or half an artifact."""

import gzip

import numpy as np
import pytest

from tests.end_to_end.shop import plotpointe

LOG = "user,item,rating,timestamp\n" + "".join(
    f"u{u},i{(u * 7 + n * 3) % 20},5,{1_600_000_000 + 86_400 * (u + 9 * n)}\n"
    for u in range(30)
    for n in range(8)
)
ITEMS = "key,title\n" + "".join(f"i{i},Thing {i} of kind {i % 4}\n" for i in range(25))
YAML = """
data: {{format: table, interactions: log.csv, items: items.csv{more}}}
embed: {{text: {{encoder: tiny}}, image: null}}
train: {{model: popularity}}
"""


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "run.yaml").write_text(YAML.format(more=""))
    return tmp_path


def run(shop, *more):
    return plotpointe("run", shop / "run.yaml", "--store", shop / "store", *more)


def refused(done, code, *words):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def artifacts(shop, kind):
    return [p for p in (shop / "store" / kind).glob("*") if (p / "manifest.json").exists()]


def test_the_world_of_this_file_is_good(shop):
    assert run(shop).returncode == 0


def test_a_missing_file(shop):
    (shop / "log.csv").unlink()
    refused(run(shop), 3, "log.csv", "does not exist")


def test_an_empty_file(shop):
    (shop / "log.csv").write_text("")
    refused(run(shop), 3, "log.csv", "empty")


def test_a_wrong_column(shop):
    (shop / "log.csv").write_text(LOG.replace("user,item", "who,what"))
    refused(run(shop), 3, "who", "columns")


def test_a_file_of_rubbish(shop):
    (shop / "log.csv").write_text(LOG[:1000] + "\n".join("rubbish" for _ in range(50)))
    refused(run(shop), 3, "reject")
    assert artifacts(shop, "tables") == []


def test_a_truncated_gzip_keeps_what_was_readable(shop):
    packed = gzip.compress((LOG * 1).encode())
    (shop / "log.csv").write_bytes(packed[: int(len(packed) * 0.8)])
    done = run(shop, "--to", "etl", "--set", "etl.max_reject_share=0.5")
    assert done.returncode == 0, done.stderr
    assert "truncated" in done.stdout


def test_an_unknown_column_mapping(shop):
    (shop / "run.yaml").write_text(YAML.format(more=", columns: {user: usr}"))
    refused(run(shop), 3, "usr")


def test_nothing_left_after_the_core(shop):
    refused(run(shop, "--set", "etl.user_core=500"), 3, "core")
    assert artifacts(shop, "tables") == []


def test_an_id_that_occurs_nowhere_and_a_user_with_one_interaction(shop):
    (shop / "log.csv").write_text(LOG + "hermit,i1,5,1600000000\nu1,ghost,5,1600000001\n")
    done = run(shop)
    assert done.returncode == 0, done.stderr
    assert plotpointe("recommend", "--user", "hermit", "--store", shop / "store").returncode == 0


def test_a_vector_that_is_not_a_number_is_recorded(shop):
    vectors = np.ones((25, 4), dtype=np.float32)
    vectors[3, 1] = np.nan
    np.save(shop / "audio.npy", vectors + np.arange(25)[:, None] % 3)
    (shop / "run.yaml").write_text(YAML.format(more=", vectors: {audio: audio.npy}"))
    done = run(shop)
    assert done.returncode == 0, done.stderr
    shown = plotpointe("show", "embeddings", "--store", shop / "store").stdout
    assert "not_finite" in shown


def test_a_modality_that_no_item_has(shop):
    (shop / "items.csv").write_text("key,price\n" + "".join(f"i{i},{i}\n" for i in range(25)))
    done = run(shop, "--set", "train.model=gat", "--set", "train.epochs=1")
    assert done.returncode == 0, done.stderr


def test_vectors_of_another_catalogue(shop):
    np.save(shop / "audio.npy", np.ones((7, 4), dtype=np.float32))
    (shop / "run.yaml").write_text(YAML.format(more=", vectors: {audio: audio.npy}"))
    refused(run(shop), 3, "audio", "7", "25")


def test_an_unknown_model(shop):
    refused(run(shop, "--set", "train.model=gta"), 2, "did you mean 'gat'")


def test_an_unknown_stage_and_kind(shop):
    refused(run(shop, "--to", "trian"), 2, "did you mean 'train'")
    refused(plotpointe("show", "bundel", "--store", shop / "store"), 4, "did you mean 'bundle'")


def test_serving_without_a_bundle(shop):
    refused(plotpointe("serve", "--store", shop / "store"), 4, "no bundle is promoted")


def test_an_item_that_does_not_exist(shop):
    run(shop)
    done = plotpointe("similar", "--item", "nothing", "--store", shop / "store")
    refused(done, 3, "no item 'nothing'")

"""The stage's door, with tiny encoders: what is written, what is recorded, what is refused."""

import json
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.config import EmbedConfig, RuntimeConfig
from pipeline.embed import stage
from pipeline.errors import ConfigError, DataError
from tests.embed_jobs import TINY, contents, item, job, picture, picture_files


def missing(into, name):
    rows = pq.read_table(into / f"{name}_missing.parquet").to_pylist()
    return {row["key"]: row["reason"] for row in rows}


@pytest.fixture
def rows(tmp_path):
    """Every awkward case once."""
    folder = picture_files(tmp_path / "pictures", 3)
    (folder / "page.jpg").write_bytes(b"<html>")
    (folder / "copy.png").write_bytes((folder / "1.png").read_bytes())
    return [
        item("a", "A red lamp", "0.png"),
        item("b", "A red lamp", "1.png"),
        item("c", None, "copy.png"),
        item("d", "...", None),
        item("e", "A blue chair", "gone.png"),
        item("2", "A green chair", None),
        item("g", "Other", "page.jpg"),
        item("h", "Thing", "../secret.png"),
    ]


@pytest.fixture
def done(tmp_path, rows):
    work = job(tmp_path, rows, data={"images": tmp_path / "pictures"})
    return work, stage.run(work)


def test_both_modalities_are_written(done):
    work, _ = done
    assert {*contents(work.into)} == {
        f"{m}{s}" for m in ("text", "image") for s in (".npy", "_present.npy", "_missing.parquet")
    }


def test_absent_items_are_recorded_with_their_reason(done):
    work, facts = done
    assert missing(work.into, "text") == {"c": "no_text", "d": "no_text"}
    assert missing(work.into, "image") == {
        "d": "no_image",
        "e": "file_missing",
        "g": "undecodable:not_a_picture",
        "h": "outside_folder",
    }
    assert facts["modalities"]["image"]["present"] == 4
    assert facts["modalities"]["text"]["missing"] == {"no_text": 2}


@pytest.mark.parametrize("name", ["text", "image"])
def test_vectors_are_finite_unit_where_present_and_zero_where_not(done, name):
    work, facts = done
    vectors = np.load(work.into / f"{name}.npy")
    present = np.load(work.into / f"{name}_present.npy")
    assert vectors.shape == (8, facts["modalities"][name]["width"])
    assert np.allclose(np.linalg.norm(vectors[present], axis=1), 1, atol=1e-6)
    assert not vectors[~present].any()
    keys = [row["key"] for row in work.inputs["tables"].table("items.parquet").to_pylist()]
    absent = {key for key, here in zip(keys, present, strict=True) if not here}
    assert absent == {*missing(work.into, name)}


def test_equal_inputs_are_encoded_once_and_shared(done):
    work, facts = done
    assert facts["modalities"]["text"]["distinct"] == 5
    assert facts["modalities"]["image"]["distinct"] == 4  # 0, 1 and its copy, 2, the page
    text, image = (np.load(work.into / f"{m}.npy") for m in ("text", "image"))
    assert np.array_equal(text[0], text[1])
    assert np.array_equal(image[1], image[2])
    assert not np.array_equal(image[0], image[1])


def test_facts_are_json_and_name_the_encoder(done):
    _, facts = done
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    for name in ("text", "image"):
        own = facts["modalities"][name]
        assert own["encoder"] == "tiny"
        assert own["precision"]["precision"] == "float32"
        assert own["encoded"] == own["distinct"]
        assert own["per_second"] > 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(tmp_path, rows, done, threads):
    data = {"images": tmp_path / "pictures"}
    again = job(tmp_path / "other", rows, data=data, threads=threads)
    stage.run(again)
    assert contents(again.into) == contents(done[0].into)


@pytest.mark.parametrize("size", [1, 3])
def test_the_batch_size_changes_nothing_with_an_encoder_that_ignores_its_batch(
    tmp_path, rows, done, size
):
    data, runtime = {"images": tmp_path / "pictures"}, RuntimeConfig(batch_size=size)
    again = job(tmp_path / "other", rows, data=data, runtime=runtime)
    stage.run(again)
    assert contents(again.into) == contents(done[0].into)


def test_a_modality_absent_for_every_item_leaves_only_its_list(tmp_path):
    work = job(tmp_path, [item("a", "x"), item("b", "y")])
    facts = stage.run(work)["modalities"]["image"]
    assert {n for n in contents(work.into) if n.startswith("image")} == {"image_missing.parquet"}
    assert (facts["present"], facts["width"], facts["missing"]) == (0, None, {"no_image": 2})


def test_images_without_a_folder_say_so(tmp_path):
    work = job(tmp_path, [item("a", "x", "a.jpg"), item("b", "y")])
    stage.run(work)
    assert missing(work.into, "image") == {"a": "no_folder", "b": "no_image"}


def test_a_modality_set_to_null_is_left_out(tmp_path):
    work = job(tmp_path, [item("a", "x")], TINY.model_copy(update={"image": None}))
    assert [*stage.run(work)["modalities"]] == ["text"]
    assert not [n for n in contents(work.into) if n.startswith("image")]


def test_given_vectors_replace_an_encoder_and_bring_other_modalities(tmp_path):
    np.save(tmp_path / "t.npy", np.array([[3.0, 4.0], [np.nan, 0.0]]))
    np.save(tmp_path / "a.npy", np.array([[0.0, 0.0], [2.0, 0.0]]))
    data = {"vectors": {"text": tmp_path / "t.npy", "audio": tmp_path / "a.npy"}}
    work = job(tmp_path, [item("a", "x"), item("b", "y")], data=data)
    facts = stage.run(work)["modalities"]
    assert facts["text"]["encoder"] == facts["audio"]["encoder"] == "given"
    assert np.allclose(np.load(work.into / "text.npy"), [[0.6, 0.8], [0, 0]])
    assert missing(work.into, "text") == {"b": "not_finite"}
    assert missing(work.into, "audio") == {"a": "zero_vector"}


def test_given_vectors_that_do_not_fit_stop_the_stage(tmp_path):
    np.save(tmp_path / "t.npy", np.eye(3))
    work = job(tmp_path, [item("a", "x")], data={"vectors": {"text": tmp_path / "t.npy"}})
    with pytest.raises(DataError, match="3 rows, the catalogue 1 items"):
        stage.run(work)


def test_a_pictures_folder_that_is_none_stops_the_stage(tmp_path):
    work = job(tmp_path, [item("a", "x")], data={"images": tmp_path / "gone"})
    with pytest.raises(DataError, match="is not a folder"):
        stage.run(work)


def test_a_wrong_model_stops_the_stage_before_any_download(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(stage, "fetch_all", never)
    config = {
        "text": {"encoder": "huggingface", "model": "./nowhere"},
        "image": {"encoder": "tiny"},
    }
    work = job(tmp_path, [item("a", "x", "http://x/a.jpg")], EmbedConfig.model_validate(config))
    with pytest.raises(ConfigError, match="no folder nowhere"):
        stage.run(work)


@pytest.fixture
def site(tmp_path):
    picture_files(tmp_path / "site", 2)

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "site"))

        def log_message(self, *_):
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def web_rows(site):
    return [item("a", "x", f"{site}/0.png"), item("b", "y", f"{site}/gone.png"),
            item("c", "z", f"{site}/0.png"), item("d", "w", "ftp://x/1.png")]  # fmt: skip


def test_pictures_are_fetched_by_url(tmp_path, site):
    config = EmbedConfig.model_validate(
        {**TINY.model_dump(), "download": {"allow_private": True, "attempts": 1}}
    )
    work = job(tmp_path, web_rows(site), config)
    facts = stage.run(work)["modalities"]["image"]
    assert missing(work.into, "image") == {
        "b": "download_failed:status_404",
        "d": "download_failed:scheme",
    }
    assert facts["distinct"] == 1


def test_private_addresses_are_refused_by_default(tmp_path, site):
    work = job(tmp_path, web_rows(site)[:1])
    stage.run(work)
    assert missing(work.into, "image") == {"a": "download_failed:private_address"}


def test_tiny_encoders_need_no_torch(tmp_path):
    script = (
        "import sys; from pathlib import Path; from tests.embed_jobs import item, job\n"
        "from pipeline.embed import stage\n"
        f"stage.run(job(Path({str(tmp_path)!r}), [item('a', 'x')]))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_near_pictures_and_texts_are_near(tmp_path):
    """The tiny encoders must carry enough meaning for the tests that build on them."""
    folder = picture_files(tmp_path / "p", 6)
    picture(0).resize((90, 130)).save(folder / "near.png")
    rows = [item(str(n), f"word{n} shared", f"{n}.png") for n in range(6)]
    rows.append(item("near", "Shared WORD0!", "near.png"))
    work = job(tmp_path, rows, data={"images": folder})
    stage.run(work)
    for name in ("text", "image"):
        vectors = np.load(work.into / f"{name}.npy")
        assert np.argmax(vectors[:-1] @ vectors[-1]) == 0

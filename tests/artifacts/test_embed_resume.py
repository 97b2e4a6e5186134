"""Killed at any batch, the stage goes on where it was: same bytes, nothing encoded twice."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import EmbedConfig, RuntimeConfig
from pipeline.embed import encode, stage
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from pipeline.embed.encoders.image import TinyImage
from pipeline.embed.encoders.text import TinyText
from tests.embed_jobs import Counting, Stop, contents, item, job, picture_files

ROWS = [item(f"k{n}", " ".join(f"w{n}x{j}" for j in range(n % 7 + 1))) for n in range(40)]
CONFIG = EmbedConfig.model_validate(
    {"text": {"encoder": "tiny", "max_tokens": 8}, "image": {"encoder": "tiny"}}
)
RUNTIME = RuntimeConfig(batch_size=2)


def embed(root, monkeypatch, encoder, threads=1):
    monkeypatch.setitem(TEXT_ENCODERS._known, "tiny", encoder.recipe)
    work = job(root, ROWS, CONFIG, runtime=RUNTIME, threads=threads)
    stage.run(work)
    return work


@pytest.fixture
def whole(tmp_path, monkeypatch):
    encoder = Counting()
    work = embed(tmp_path / "whole", monkeypatch, encoder)
    return contents(work.into), encoder.calls


def test_there_are_enough_batches_to_be_interrupted(whole):
    assert len(whole[1]) > 8


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("stop_at", [0, 1, 5, 8])
def test_a_stopped_run_is_resumed(tmp_path, monkeypatch, whole, stop_at, threads):
    bytes_, calls = whole
    first, second = Counting(stop_at), Counting()
    with pytest.raises(Stop):
        embed(tmp_path / "again", monkeypatch, first, threads)
    work = embed(tmp_path / "again", monkeypatch, second, threads)
    assert contents(work.into) == bytes_
    assert sorted(first.calls + second.calls) == sorted(calls)


def test_a_run_stopped_many_times_still_ends_the_same(tmp_path, monkeypatch, whole):
    bytes_, calls = whole
    rng, seen = np.random.default_rng(0), []
    while True:
        encoder = Counting(int(rng.integers(0, 4)))
        try:
            work = embed(tmp_path / "again", monkeypatch, encoder)
        except Stop:
            continue
        finally:
            seen += encoder.calls
        break
    assert contents(work.into) == bytes_
    assert sorted(seen) == sorted(calls)


def test_a_failed_modality_ends_the_other(tmp_path, monkeypatch):
    folder = picture_files(tmp_path / "pictures", 40)
    shown = []

    class Slow(TinyImage):
        def encode(self, prepared):
            shown.append(len(prepared))
            return super().encode(prepared)

    recipe = IMAGE_ENCODERS["tiny"](CONFIG.image)
    slow = recipe.__class__("tiny", {"encoder": "slow"}, lambda _: Slow(), neural=False)
    monkeypatch.setitem(IMAGE_ENCODERS._known, "tiny", lambda _: slow)
    monkeypatch.setitem(TEXT_ENCODERS._known, "tiny", Counting(0).recipe)
    rows = [{**row, "image": f"{n}.png"} for n, row in enumerate(ROWS)]
    with pytest.raises(Stop):
        stage.run(job(tmp_path, rows, CONFIG, data={"images": folder}, runtime=RUNTIME, threads=1))
    assert sum(shown) <= 40


KILLED = """
import os, sys
from pathlib import Path
from pipeline.embed import stage
from pipeline.embed.encoders import TEXT_ENCODERS
from tests.artifacts.test_embed_resume import CONFIG, ROWS, RUNTIME
from tests.embed_jobs import Counting, job

class Dying(Counting):
    def encode(self, tokens):
        vectors = super().encode(tokens)
        with open(sys.argv[2], "a") as log:
            log.write(repr(self.calls[-1]) + "\\n")
        if len(self.calls) > int(sys.argv[3]):
            os.kill(os.getpid(), 9)
        return vectors

TEXT_ENCODERS._known["tiny"] = Dying().recipe
stage.run(job(Path(sys.argv[1]), ROWS, CONFIG, runtime=RUNTIME, threads=1))
"""


def die(root: Path, log: Path, after: int) -> int:
    arguments = [sys.executable, "-c", KILLED, str(root), str(log), str(after)]
    return subprocess.run(arguments, timeout=120).returncode


def test_a_killed_process_is_resumed(tmp_path, monkeypatch, whole):
    bytes_, calls = whole
    root, log = tmp_path / "again", tmp_path / "log"
    for after in (3, 2):
        assert die(root, log, after) == -signal.SIGKILL
    encoder = Counting()
    work = embed(root, monkeypatch, encoder)
    assert contents(work.into) == bytes_
    killed = log.read_text().splitlines()
    redone = len(killed) + len(encoder.calls) - len(calls)
    assert redone == 2  # the batch in hand at each kill, and no other
    assert {*map(repr, calls)} == {*killed, *map(repr, encoder.calls)}


def test_a_finished_modality_is_kept_when_the_other_encoder_changes(tmp_path, monkeypatch):
    folder = picture_files(tmp_path / "pictures", 4)
    rows = [item(str(n), f"text {n}", f"{n}.png") for n in range(4)]
    seen = []

    def tell(kind, encoder):
        original = encoder.encode

        def encode(self, inputs):
            seen.append(kind)
            return original(self, inputs)

        monkeypatch.setattr(encoder, "encode", encode)

    tell("text", TinyText)
    tell("image", TinyImage)
    first = job(tmp_path, rows, CONFIG, data={"images": folder})
    stage.run(first)
    assert seen.count("text") == seen.count("image") == 1
    other = CONFIG.image.model_copy(update={"model": "another"})
    recipe = IMAGE_ENCODERS["tiny"](other)
    changed = recipe.__class__("tiny", {"encoder": "changed"}, recipe.load, neural=False)
    monkeypatch.setitem(IMAGE_ENCODERS._known, "tiny", lambda _: changed)
    second = job(tmp_path, rows, CONFIG, data={"images": folder}, fingerprint="other")
    facts = stage.run(second)
    assert (seen.count("text"), seen.count("image")) == (1, 2)
    assert facts["modalities"]["image"]["encoder"] == "changed"
    one, two = contents(first.into), contents(second.into)
    assert one["text.npy"] == two["text.npy"]
    assert (first.into / "text.npy").samefile(second.into / "text.npy")


@pytest.mark.parametrize(
    "change", [{"text": {"encoder": "tiny", "max_tokens": 9}}, {"text": {"fields": ["brand"]}}]
)
def test_other_settings_or_texts_are_not_taken_for_the_same(tmp_path, change):
    first = job(tmp_path, ROWS, CONFIG, runtime=RUNTIME)
    stage.run(first)
    values = {**CONFIG.model_dump(mode="json"), "image": None}
    values["text"] = {**values["text"], **change["text"]}
    stage.run(job(tmp_path, ROWS, EmbedConfig.model_validate(values), fingerprint="other"))
    kept = [p.name for p in first.scratch.parent.glob("text-*")]
    assert len(kept) == 2


def test_a_kill_between_the_last_batch_and_the_end_costs_no_batch(tmp_path, monkeypatch, whole):
    conclude = encode._conclude

    def die(folder, facts):
        if folder.name.startswith("text"):
            raise Stop
        conclude(folder, facts)

    encoder = Counting()
    with monkeypatch.context() as patched:
        patched.setattr(encode, "_conclude", die)
        with pytest.raises(Stop):
            embed(tmp_path / "again", monkeypatch, encoder)
    second = Counting()
    work = embed(tmp_path / "again", monkeypatch, second)
    assert second.calls == []
    assert contents(work.into) == whole[0]


def test_where_links_fail_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(encode.os, "link", refuse)
    (tmp_path / "a").write_bytes(b"x")
    encode.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x"
    assert not (tmp_path / "a").samefile(tmp_path / "b")

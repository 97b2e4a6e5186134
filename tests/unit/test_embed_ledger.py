"""The ledger: what was written is found again, what was torn is redone."""

import json
import threading

import numpy as np
import pytest

from pipeline.embed import ledger as ledger_module
from pipeline.embed.ledger import JOURNAL, VECTORS, Ledger

BATCHES = [np.array([3, 1]), np.array([0]), np.array([2, 4])]
WIDTH = 3


def vectors_of(batch):
    return np.repeat(np.asarray(batch, dtype=np.float32)[:, None] + 1, WIDTH, axis=1)


def everything(ledger):
    vectors, rows = ledger.stored()
    return vectors[rows].tolist()


def fill(ledger, numbers=range(3)):
    for number in numbers:
        ledger.keep(number, vectors_of(BATCHES[number]), {})


def test_vectors_come_back_in_order_of_position(tmp_path):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger, [2, 0, 1])
        assert everything(ledger) == vectors_of(range(5)).tolist()


def test_a_reopened_ledger_knows_what_is_done_and_what_failed(tmp_path):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        ledger.keep(0, vectors_of(BATCHES[0]), {1: "undecodable:damaged"})
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0}
        assert ledger.reasons == {1: "undecodable:damaged"}
        fill(ledger, [1, 2])
        assert everything(ledger) == vectors_of(range(5)).tolist()


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_torn_journal_line_costs_only_its_batch(tmp_path, kept):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
    journal = tmp_path / "l" / JOURNAL
    first, second, third = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + second + third[: min(kept, len(third) - 1)])
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0, 1}
        fill(ledger, [2])
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0, 1, 2}


def test_vectors_that_changed_on_disk_are_redone(tmp_path):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
    path = tmp_path / "l" / VECTORS
    raw = bytearray(path.read_bytes())
    raw[2 * WIDTH * 4] ^= 1  # in the second batch
    path.write_bytes(raw)
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0, 2}


def test_a_truncated_vector_file_is_redone_from_there(tmp_path):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
    with (tmp_path / "l" / VECTORS).open("r+b") as file:
        file.truncate(2 * WIDTH * 4)
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0}


@pytest.mark.parametrize(
    ("batches", "width", "how"),
    [(BATCHES[:2], WIDTH, ""), (BATCHES, 4, ""), (BATCHES, WIDTH, "cuda"),
     ([BATCHES[0][::-1], *BATCHES[1:]], WIDTH, "")],
)  # fmt: skip
def test_another_plan_begins_anew(tmp_path, batches, width, how):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
    with Ledger(tmp_path / "l", batches, width, how) as ledger:
        assert ledger.done == set()


def test_a_damaged_plan_begins_anew(tmp_path):
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
    (tmp_path / "l" / "plan.json").write_text('{"batches"')
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == set()


def test_a_disk_that_takes_parts_gets_all_of_it(tmp_path, monkeypatch):
    pwrite = ledger_module.os.pwrite
    monkeypatch.setattr(ledger_module.os, "pwrite", lambda f, raw, at: pwrite(f, raw[:5], at))
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger)
        assert everything(ledger) == vectors_of(range(5)).tolist()


def test_a_full_disk_leaves_the_batch_undone(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        fill(ledger, [0])
        with monkeypatch.context() as patched:
            patched.setattr(ledger_module.os, "pwrite", full)
            with pytest.raises(OSError, match="No space"):
                fill(ledger, [1])
    with Ledger(tmp_path / "l", BATCHES, WIDTH) as ledger:
        assert ledger.done == {0}


def test_threads_may_keep_batches_at_once(tmp_path):
    batches = [np.arange(4 * n, 4 * n + 4) for n in range(40)]
    with Ledger(tmp_path / "l", batches, WIDTH) as ledger:
        threads = [
            threading.Thread(target=ledger.keep, args=(n, vectors_of(batch), {}))
            for n, batch in enumerate(batches)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert everything(ledger) == vectors_of(range(160)).tolist()
    lines = (tmp_path / "l" / JOURNAL).read_text().splitlines()
    assert sorted(json.loads(line)["batch"] for line in lines) == [*range(40)]

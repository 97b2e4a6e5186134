"""The journal: what was answered is kept, whoever writes and wherever a crash falls."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from serving.live.journal import Journal, Position, StorageError, line_of

RECORDS = st.lists(
    st.dictionaries(st.text(max_size=5), st.text() | st.integers(-(2**53), 2**53) | st.none()),
    max_size=6,
)
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def everything(journal: Journal) -> list:
    return journal.read(Position())[0]


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "log")


@given(RECORDS, st.randoms())
@FEW
def test_a_cut_anywhere_loses_no_whole_record_and_the_next_writer_goes_on(
    tmp_path_factory, records, random
):
    journal = Journal(tmp_path_factory.mktemp("log"))
    for record in records:
        journal.append(record)
    lines = [line_of(record) for record in records]
    path, whole = journal.path(1), b"".join(lines)
    path.parent.mkdir(exist_ok=True)
    cut = random.randint(0, len(whole))
    path.write_bytes(whole[:cut])
    kept = [r for at, r in enumerate(records) if sum(map(len, lines[: at + 1])) <= cut]
    after = Journal(journal.folder)
    assert everything(after) == kept
    after.append({"next": 1})
    assert everything(after) == [*kept, {"next": 1}]
    assert everything(Journal(journal.folder)) == [*kept, {"next": 1}]


@given(RECORDS, st.binary(min_size=1, max_size=40))
@FEW
def test_garbage_behind_the_last_record_is_dropped(tmp_path_factory, records, garbage):
    journal = Journal(tmp_path_factory.mktemp("log"))
    for record in records:
        journal.append(record)
    journal.folder.mkdir(exist_ok=True)
    with journal.path(1).open("ab") as file:
        file.write(garbage)
    assert everything(Journal(journal.folder)) == records
    whole = sum(len(line_of(record)) for record in records)
    assert journal.path(1).stat().st_size == whole


def test_damage_before_whole_records_is_an_error_and_loses_nothing(journal):
    for at in range(3):
        journal.append({"at": at})
    before = journal.path(1).read_bytes()
    damaged = before.replace(b'{"at":1}', b'{"at":7}')
    journal.path(1).write_bytes(damaged)
    with pytest.raises(DataError, match="is damaged at byte 18, with whole records behind it"):
        everything(Journal(journal.folder))
    with pytest.raises(DataError):
        Journal(journal.folder).append({"at": 4})
    assert journal.path(1).read_bytes() == damaged


def test_a_reader_gets_each_record_once_and_knows_when_there_is_nothing(journal):
    others = Journal(journal.folder)
    place = Position()
    assert not others.has_more(place)
    journal.append({"a": 1})
    found, place = others.read(place)
    assert found == [{"a": 1}] and not others.has_more(place)
    journal.append({"a": 2})
    assert journal.seal() == 1
    journal.append({"a": 3})
    assert others.has_more(place)
    found, place = others.read(place)
    assert found == [{"a": 2}, {"a": 3}] and place.number == 2
    assert others.read(place) == ([], place)


def test_who_has_not_read_everything_writes_nothing(journal):
    other = Journal(journal.folder)
    place = journal.append({"a": 1}, Position())
    assert other.append({"b": 1}, Position()) is None
    assert journal.read(place) == ([], place)
    after = other.append({"b": 1}, place)
    assert everything(journal) == [{"a": 1}, {"b": 1}] and journal.read(place)[1] == after
    journal.seal()
    assert journal.append({"c": 1}, after) is None
    assert journal.append({"c": 1}, journal.read(after)[1]) is not None


def test_sealing_what_is_empty_does_nothing(journal):
    assert journal.seal() is None
    journal.append({})
    assert journal.seal() == 1 and journal.seal() is None


def test_a_lock_holder_that_writes_is_not_read_until_it_is_done(journal):
    """A record that may still be taken back is nobody's to see."""
    reader = Journal(journal.folder)
    journal.folder.mkdir()
    code = f"""
        import fcntl, sys, time
        from pathlib import Path
        lock = open({str(journal.folder / "lock")!r}, "ab")
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = Path({str(journal.path(1))!r})
        path.write_bytes(b"half a rec")
        print("written", flush=True)
        time.sleep(0.4)
        path.write_bytes(b"")
    """
    with writing(code) as other:
        assert other.stdout.readline() == "written\n"
        started = time.monotonic()
        assert reader.read(Position())[0] == []
        assert time.monotonic() - started > 0.2


def writing(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, **options
    )


def appender(folder: Path, name: str, count: int) -> subprocess.Popen:
    return writing(f"""
        from pathlib import Path
        from serving.live.journal import Journal
        journal = Journal(Path({str(folder)!r}))
        for at in range({count}):
            journal.append({{"by": {name!r}, "at": at}})
            print(at, flush=True)
    """)


def test_several_processes_append_without_a_lost_or_mixed_record(journal):
    writers = [appender(journal.folder, name, 40) for name in "abc"]
    for writer in writers:
        assert writer.communicate()[0] and not writer.returncode
    found = everything(journal)
    for name in "abc":
        assert [r["at"] for r in found if r["by"] == name] == list(range(40))
    assert len(found) == 120


def test_what_was_answered_before_a_kill_is_there(journal):
    for seconds in (0.0, 0.003, 0.011):
        with appender(journal.folder, str(seconds), 100_000) as writer:
            writer.stdout.readline()
            time.sleep(seconds)
            writer.send_signal(signal.SIGKILL)
            answered = [0, *map(int, writer.stdout.read().split())]
        kept = [r["at"] for r in everything(Journal(journal.folder)) if r["by"] == str(seconds)]
        assert kept[: len(answered)] == answered
        assert kept == list(range(len(kept)))


@pytest.mark.parametrize(
    ("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_failing_disk_keeps_nothing_of_the_record(journal, monkeypatch, code, full, where):
    journal.append({"a": 1})
    real = {name: getattr(os, name) for name in ("write", "fsync")}

    def failing(handle, *data):
        if data:
            real["write"](handle, data[0][:4])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, where, failing)
    with pytest.raises(StorageError, match="nothing was changed") as found:
        journal.append({"b": 2})
    assert found.value.full == full
    monkeypatch.undo()
    assert everything(Journal(journal.folder)) == [{"a": 1}]
    journal.append({"c": 3})
    assert everything(journal) == [{"a": 1}, {"c": 3}]


def test_short_writes_are_completed(journal, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:3]))
    journal.append({"long": "x" * 50})
    assert everything(journal) == [{"long": "x" * 50}]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Journal(tmp_path / "file" / "log").append({})


def test_nothing_is_made_before_something_is_written(journal):
    assert everything(journal) == [] and not journal.folder.exists()

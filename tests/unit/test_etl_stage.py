"""The etl stage: reports, refusals, restarts, and how much memory it takes."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import files, flow
from pipeline.artifacts import Store
from pipeline.config import Config, DataConfig, SplitConfig
from pipeline.errors import ConfigError, DataError
from pipeline.etl import clean as cleaning
from pipeline.etl.database import workspace
from pipeline.etl.quality import summary_rows
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch
from pipeline.etl.stage import reader
from pipeline.etl.staging import stage
from pipeline.schema import COLD, INTERACTIONS, ITEMS, KINDS, REJECTS, USERS
from tests.etl_worlds import LOG, SHOP, Raw, as_table, reading, run

DAY = 86_400


def history(users=6, each=5):
    """A log in which every user acts every day."""
    return [
        (f"u{u}", f"i{(u + d) % 7}", float(1 + d % 5), 1_600_000_000 + d * DAY + u, None)
        for d in range(each)
        for u in range(users)
    ]


CATALOGUE = [(f"i{n}", f"Item {n}" if n % 2 else None) for n in range(9)]
BROKEN = [(LOG, 31, "bad_value", "u1,i1,five,0"), (SHOP, 10, "not_parseable", '{"key": "i')]


@pytest.fixture
def result(monkeypatch, tmp_path):
    with reading(monkeypatch, Raw(history(), CATALOGUE, BROKEN)):
        return run(tmp_path, max_reject_share=0.2)


def test_the_files_are_those_of_the_contract(result):
    assert {p.name for p in result.into.iterdir()} == set(KINDS["tables"].files)
    wanted = {"interactions": INTERACTIONS, "items": ITEMS, "users": USERS, "rejects": REJECTS}
    for name, schema in wanted.items():
        assert files.read_table(result.into / f"{name}.parquet").schema.equals(schema)


def test_the_report_adds_up(result):
    report = result.report
    assert report["records"] == {"read": 41, "kept": 39, "rejected": 2}
    assert report["sources"][LOG] == {
        "read": 31, "kept": 30, "rejected": 1, "unreadable": 1, "unreadable_share": 0.032258,
    }  # fmt: skip
    assert report["rejects"]["by_source"] == {LOG: {"bad_value": 1}, SHOP: {"not_parseable": 1}}
    assert report["counts"] == {"users": 6, "items": 9, "interactions": 30}
    assert report["coverage"] == {
        "title": 0.444444, "description": 0, "brand": 0, "categories": 0, "price": 0, "image": 0,
    }  # fmt: skip
    assert report["ratings"] == {"unrated": 0, "histogram": [[float(n), 6] for n in range(1, 6)]}
    assert report["integrity"] == {
        "interactions_without_metadata": 0, "items_without_metadata": 0,
        "items_without_interactions": 2,
    }  # fmt: skip
    assert report["interactions_per_user"] == {"least": 5, "median": 5, "most": 5}
    assert report["density"] == pytest.approx(30 / 54)
    parts = report["split"]["parts"]
    assert [parts[name]["interactions"] for name in ("train", "validation", "test")] == [24, 3, 3]
    assert parts["train"]["last"] < parts["validation"]["first"] < parts["test"]["first"]
    assert report["split"]["without_training"]["users"] == 0


def test_cold_items_are_reported_as_a_part_and_nothing_vanishes(monkeypatch, tmp_path):
    with reading(monkeypatch, Raw(history(), CATALOGUE, BROKEN)):
        result = run(
            tmp_path, max_reject_share=0.2, split=SplitConfig(rule="random", cold_items=0.3)
        )
    parts = result.report["split"]["parts"]
    assert [*parts] == ["train", "validation", "test", "cold"]
    assert sum(part["interactions"] for part in parts.values()) == 30
    assert result.report["split"]["without_training"]["items"] >= 2
    places = {}
    for _, item, _, _, split in result.interactions():
        places.setdefault(item, set()).add(split)
    assert sum(COLD in splits for splits in places.values()) == 2
    assert all(splits == {COLD} for splits in places.values() if COLD in splits)
    assert "of 6 users" in dict(summary_rows(result.report))["cold interactions"]


def test_the_report_is_the_file_and_the_facts(result):
    assert files.read_json(result.into / "quality.json") == json.loads(json.dumps(result.report))


def test_the_summary_names_what_a_person_asks_for(result):
    rows = dict(summary_rows(result.report))
    assert rows["records read"] == "41"
    assert rows[f"from {LOG}"] == "31 read, 30 kept, 3.23% unreadable"
    assert rows["rejected: bad_value"] == "1"
    assert rows["items without interactions"] == "2"
    assert rows["time"] == "2020-09-13 to 2020-09-17"
    assert rows["test interactions"] == "3 of 3 users, 2020-09-17 to 2020-09-17"
    assert "title 44%" in rows["items with"]


def test_many_different_ratings_are_counted_in_ten_ranges(monkeypatch, tmp_path):
    rows = [(f"u{n}", "x", float(n), n, None) for n in range(101)]
    with reading(monkeypatch, Raw(rows)):
        histogram = run(tmp_path).report["ratings"]["histogram"]
    assert [value for value, _ in histogram] == [n * 10.0 for n in range(10)]
    assert [count for _, count in histogram] == [10] * 9 + [11]


def test_a_time_beyond_the_calendar_is_shown_as_seconds(monkeypatch, tmp_path):
    rows = [(f"u{n}", "x", None, 10**15 + n, None) for n in range(9)]
    with reading(monkeypatch, Raw(rows)):
        assert "s to" in dict(summary_rows(run(tmp_path).report))["time"]


def test_users_seen_only_after_the_cut_stay(monkeypatch, tmp_path):
    late = ("late", "i0", 5.0, 1_700_000_000, None)
    with reading(monkeypatch, Raw([*history(), late])):
        result = run(tmp_path)
    assert "late" in result.keys("users")
    assert result.report["split"]["without_training"]["users"] == 1


def test_too_dirty_a_source_is_refused_with_the_table_and_samples(monkeypatch, tmp_path):
    broken = [(SHOP, 10 + n, "not_parseable", f"line {n}" + "!" * 300) for n in range(5)]
    raw = Raw(history(60), CATALOGUE, broken)
    with reading(monkeypatch, raw), pytest.raises(DataError) as refused:
        run(tmp_path)
    text = str(refused.value)
    assert f"35.7% of the records of {SHOP} are unreadable" in text
    assert "etl.max_reject_share=0.05" in text
    assert "records rejected" in text
    assert "not_parseable (5), such as" in text
    assert f"{SHOP}:10: line 0!!" in text
    assert max(map(len, text.splitlines())) < 250


def test_what_the_configuration_rejects_is_no_dirt(monkeypatch, tmp_path):
    again = [(user, item, 1.0, 0, None) for user, item, *_ in history()] * 3
    with reading(monkeypatch, Raw([*history(), *again])):
        result = run(tmp_path, max_reject_share=0)
    assert result.report["rejects"]["by_reason"] == {"duplicate": 90}


@pytest.mark.parametrize(
    ("raw", "config"),
    [
        (Raw(history()), {"min_rating": 9}),
        (Raw(history()), {"user_core": 99}),
        (Raw([], CATALOGUE), {}),
    ],
)
def test_nothing_kept_is_an_error_with_the_reasons(monkeypatch, tmp_path, raw, config):
    with reading(monkeypatch, raw), pytest.raises(DataError, match="no interaction was kept") as e:
        run(tmp_path, **config)
    assert "records read" in str(e.value)
    assert not [*(tmp_path / "into").iterdir()]


def test_a_killed_attempt_leaves_no_trace_in_the_next(monkeypatch, tmp_path):
    raw = Raw(history(), CATALOGUE, BROKEN)
    with reading(monkeypatch, raw), monkeypatch.context() as patch:
        patch.setattr(cleaning, "write_tables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path, max_reject_share=0.2)
    assert (tmp_path / "scratch" / "staging" / "work.duckdb").exists()
    (tmp_path / "into").rmdir()
    with reading(monkeypatch, raw):
        again = run(tmp_path, max_reject_share=0.2)
        fresh = run(tmp_path / "fresh", max_reject_share=0.2)
    assert [p.read_bytes() for p in sorted(again.into.iterdir())] == [
        p.read_bytes() for p in sorted(fresh.into.iterdir())
    ]


def test_a_wrong_memory_limit_is_the_configurations_fault(monkeypatch, tmp_path):
    with reading(monkeypatch, Raw(history())), pytest.raises(ConfigError, match="like 4GB"):
        run(tmp_path, memory="plenty")


def test_too_small_a_memory_limit_says_what_to_raise(monkeypatch, tmp_path):
    rows = [(f"u{n}", f"i{n % 11}", 1.0, n, None) for n in range(40_000)]
    raw = Raw(rows, per_batch=20_000)
    with reading(monkeypatch, raw), pytest.raises(DataError, match=r"raise it, or lower"):
        run(tmp_path, memory="1MB")


@pytest.mark.parametrize("kind", [duckdb.IOException, OSError])
def test_a_full_disk_is_told_as_such(tmp_path, kind):
    with pytest.raises(OSError, match="No space left") as full, workspace(tmp_path, "1GB", 1):
        raise kind("Could not write file work.duckdb: No space left on device")
    assert full.value.errno == errno.ENOSPC


def test_other_failures_of_the_database_are_not_explained_away(tmp_path):
    with pytest.raises(duckdb.ParserException), workspace(tmp_path, "1GB", 1) as connection:
        connection.execute("SELEKT")


def test_progress_tells_bytes_and_steps(monkeypatch, tmp_path):
    from pipeline import measure

    heard = []

    class Ear:
        def hear(self, event):
            heard.append(event)

    with reading(monkeypatch, Raw(history())), measure.task("outer", Ear()):
        run(tmp_path)
    last = {event.bar: event.done for event in heard if event.finished}
    assert last == {"etl: read": 50, "etl: clean": 5}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (Batch("f", 2, items=as_table([("k", *[None] * 7, "f", 1)], RAW_ITEMS)),
         "counted 2 records of f and handed over 1"),
        (Batch("f", 1, interactions=as_table([(None, "i", None, None, None, "f", 1)],
                                             RAW_INTERACTIONS)), "kept a record of f without user"),
        (Batch("f", 1, items=as_table([(None, *[None] * 7, "f", 1)], RAW_ITEMS)),
         "kept a record of f without key"),
    ],
)  # fmt: skip
def test_a_reader_that_breaks_its_promise_is_found_out(tmp_path, batch, message):
    with pytest.raises(DataError, match=message):
        stage([batch], tmp_path / "staging", lambda _: None)


def test_records_that_do_not_add_up_are_found_out(monkeypatch, tmp_path):
    class Forgetful(Raw):
        def batches(self):
            yield from super().batches()
            yield Batch("ghost", 1, rejects=as_table([(LOG, 1, "bad_value", "")], REJECTS))

    with reading(monkeypatch, Forgetful(history())), pytest.raises(DataError, match="do not add"):
        run(tmp_path)


def test_every_format_of_the_configuration_has_a_reader():
    formats = DataConfig.model_fields["format"].annotation.__args__
    assert all(callable(reader(name)) for name in formats)


_MEASURED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.etl_worlds import crowd, run
from pipeline.etl import stage
from pipeline.measure.counters import counters
stage.reader = lambda name: lambda data: crowd({n})
run(Path({folder!r}), memory="100MB", threads=1, user_core=2, item_core=2)
print(counters().peak_rss_bytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Ten times the records take less than twice the memory; without spilling it is tenfold."""
    root = str(Path(__file__).parents[2])
    peaks = []
    for n in (50_000, 500_000):
        code = _MEASURED.format(root=root, n=n, folder=str(tmp_path / str(n)))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 2 * peaks[0]
    assert peaks[1] < 600e6


class TestAttributes:
    """Columns beyond ours, from files of every kind."""

    TYPES: ClassVar = {"in_stock": "truth", "stock": "number", "colour": "text"}
    ROWS = (
        ("a", "yes", "3", "red &amp; blue"),
        ("b", "0", "many", ""),
        ("c", "perhaps", "1e400", "  x  y "),
        ("d", "", "-2.5", "it's"),
    )
    READ = (
        (True, 3.0, "red & blue"),
        (False, None, None),
        (None, None, "x y"),
        (None, -2.5, "it's"),
    )

    def data(self, tmp_path, **changed):
        pairs = [f"u{u},{item}" for u in range(9) for item in ("a", "b", "c", "zz")]
        (tmp_path / "log.csv").write_text("\n".join(["user,item", *pairs]) + "\n")
        lines = [",".join(row) for row in (("key", "available", "stock", "colour"), *self.ROWS)]
        (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
        given = {
            "format": "table", "interactions": tmp_path / "log.csv",
            "items": tmp_path / "items.csv", "columns": {"in_stock": "available"},
            "attributes": self.TYPES,
        }  # fmt: skip
        return DataConfig(**{**given, **changed})

    def items(self, tmp_path, data):
        table = files.read_table(
            run(tmp_path / "run", data=data, split=SplitConfig(rule="random")).into
            / "items.parquet"
        )
        return table.select([*data.attributes]).to_pylist()

    def test_cells_are_read_by_their_type(self, tmp_path):
        data = self.data(tmp_path)
        found = [tuple(row.values()) for row in self.items(tmp_path, data)]
        assert found == [*self.READ, (None, None, None)]  # zz is known from the log alone

    def test_json_and_parquet_say_the_same(self, tmp_path):
        rows = [
            {"key": key, "available": known, "stock": stock, "colour": colour}
            for (key, *_), (known, stock, colour) in zip(self.ROWS, self.READ, strict=True)
        ]
        (tmp_path / "i.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "i.parquet")
        plain = self.items(tmp_path, self.data(tmp_path))
        for name in ("i.jsonl", "i.parquet"):
            other = tmp_path / name.partition(".")[2]
            other.mkdir()
            data = self.data(tmp_path, items=tmp_path / name)
            assert self.items(other, data) == plain

    @pytest.mark.parametrize("name", ["title", "user", "row", "category", "a b", 'x"y', "9x", "é'"])
    def test_names_that_mean_something_else_are_refused(self, tmp_path, name):
        data = self.data(tmp_path, attributes={name: "text"}, columns={})
        with pytest.raises(ConfigError, match="cannot be the name of an attribute"):
            run(tmp_path / "run", data=data)

    def test_a_column_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(DataError, match="no column 'size'"):
            run(tmp_path / "run", data=self.data(tmp_path, attributes={"size": "text"}, columns={}))

    def test_other_formats_have_none(self, tmp_path):
        data = DataConfig(format="movielens", folder=tmp_path, attributes={"x": "text"})
        with pytest.raises(ConfigError, match="read from tables alone"):
            run(tmp_path / "run", data=data)

    def test_they_are_part_of_what_was_asked_for(self, tmp_path):
        def asked(data):
            steps = flow.plan(Config(name="x", data=data), Store(tmp_path))
            return next(step.fingerprint for step in steps if step.name == "etl")

        with_them, without = self.data(tmp_path), self.data(tmp_path, attributes={}, columns={})
        assert asked(with_them) != asked(without)

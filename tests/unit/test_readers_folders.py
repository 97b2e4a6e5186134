"""RecBole's atomic files and MMRec's folders."""

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.etl.records import Reason
from tests.reading import read, write

SHARED = Path(os.environ.get("PLOTPOINTE_SHARED", Path(__file__).parents[3] / "shared"))

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1193\t5\t978300760.0\n"
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tgenre:token_seq\n"
    '1193\tOne Flew Over "the" Cuckoo\'s Nest\t1975\tDrama Comedy\n'
)


def test_atomic_files(tmp_path):
    write(tmp_path / "ml-1m.inter", INTER)
    write(tmp_path / "ml-1m.item", ITEM)
    found = read("recbole", folder=tmp_path)
    (row,) = found.interactions
    assert (row["user"], row["item"], row["rating"]) == ("1", "1193", 5.0)
    assert (row["timestamp"], row["split"]) == (978300760, None)
    (item,) = found.items
    assert item["title"] == 'One Flew Over "the" Cuckoo\'s Nest'
    assert item["categories"] == ["Drama", "Comedy"]


def test_quoted_sequences_keep_their_spaces(tmp_path):
    write(tmp_path / "a.inter", INTER)
    write(tmp_path / "a.item", "item_id:token\tcategories:token_seq\n1\t'Home & Garden', 'Tools'\n")
    assert read("recbole", folder=tmp_path).items[0]["categories"] == ["Home & Garden", "Tools"]


def test_benchmark_parts_bring_their_split(tmp_path):
    for at, part in enumerate(("train", "valid", "test")):
        write(tmp_path / f"a.{part}.inter", f"user_id:token\titem_id:token\nu{at}\ti{at}\n")
    found = read("recbole", folder=tmp_path)
    labels = {row["user"]: row["split"] for row in found.interactions}
    assert labels == {"u0": 0, "u1": 1, "u2": 2}


def test_fields_with_unusual_names_are_mapped_with_or_without_type(tmp_path):
    write(tmp_path / "a.inter", "who:token\twhat:token\tliked:float\nu\ti\t3\n")
    columns = {"user": "who", "item": "what:token", "weight": "liked"}
    found = read("recbole", folder=tmp_path, columns=columns)
    assert found.pairs() == [("u", "i")]
    assert found.interactions[0]["rating"] == 3.0


def test_atomic_files_that_cannot_be_read_say_why(tmp_path):
    with pytest.raises(DataError, match=r"no \.inter file"):
        read("recbole", folder=tmp_path)
    write(tmp_path / "a.inter", "session:token\tthing:token\nu\ti\n")
    with pytest.raises(DataError, match=r"no column 'user_id' for user.*'session', 'thing'"):
        read("recbole", folder=tmp_path)
    write(tmp_path / "b.inter", INTER)
    with pytest.raises(DataError, match=r"a\.inter.*b\.inter.*data\.interactions"):
        read("recbole", folder=tmp_path)
    assert read("recbole", interactions=tmp_path / "b.inter").records == 1


@pytest.mark.parametrize(
    ("header", "row", "rating", "timestamp"),
    [
        ("userID\titemID\tx_label", "0\t2\t1", None, None),
        ("userID\titemID\trating\ttimestamp\tx_label", "0\t2\t4.0\t1400000000\t1", 4.0, 1400000000),
    ],
)
def test_mmrec_with_and_without_ratings(tmp_path, header, row, rating, timestamp):
    write(tmp_path / "baby.inter", f"{header}\n{row}\n")
    (found,) = read("mmrec", folder=tmp_path).interactions
    assert (found["user"], found["item"], found["split"]) == ("0", "2", 1)
    assert (found["rating"], found["timestamp"]) == (rating, timestamp)


def test_the_mapping_names_every_item_in_the_order_of_rows(tmp_path):
    write(tmp_path / "baby.inter", "userID\titemID\tx_label\n0\t2\t0\n")
    write(tmp_path / "i_id_mapping.csv", "asin\titemID\nB2\t2\nB10\t10\nB0\t0\nBx\tx\nB1\t1\n")
    found = read("mmrec", folder=tmp_path)
    assert [i["key"] for i in found.items] == ["0", "1", "2", "10"]
    assert [i["title"] for i in found.items] == ["B0", "B1", "B2", "B10"]
    assert [i["line"] for i in found.items] == [4, 6, 2, 3]
    assert found.reasons == [(5, Reason.BAD_VALUE)]


def test_an_unknown_label_is_rejected(tmp_path):
    write(tmp_path / "baby.inter", "userID\titemID\tx_label\n0\t2\t0\n0\t3\t7\n")
    assert read("mmrec", folder=tmp_path).reasons == [(3, Reason.BAD_VALUE)]


def test_a_folder_without_one_inter_file_says_what_it_has(tmp_path):
    with pytest.raises(DataError, match=r"must hold one \.inter file; found \[\]"):
        read("mmrec", folder=tmp_path)
    for name in ("a.inter", "b.inter"):
        write(tmp_path / name, "userID\titemID\n0\t1\n")
    with pytest.raises(DataError, match=r"'a\.inter', 'b\.inter'"):
        read("mmrec", folder=tmp_path)


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the development data are not here")
def test_the_development_copy_is_read_whole():
    found = read("mmrec", folder=SHARED / "data" / "amazon-baby")
    assert len(found.interactions) == 160_792
    assert len({row["user"] for row in found.interactions}) == 19_445
    labels = [row["split"] for row in found.interactions]
    assert [labels.count(label) for label in (0, 1, 2)] == [118_551, 20_559, 21_682]
    assert [item["key"] for item in found.items] == [str(row) for row in range(7_050)]
    assert found.items[0]["title"] == "097293751X"
    assert found.rejects == []

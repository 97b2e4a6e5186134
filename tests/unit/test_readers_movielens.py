"""MovieLens in its three shapes, and the development copy with exact counts."""

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.etl.records import Reason
from tests.reading import read, write, zipped

SHARED = Path(os.environ.get("PLOTPOINTE_SHARED", Path(__file__).parents[3] / "shared"))


def test_latest_with_added_columns(tmp_path):
    write(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\r\n1,7,4.5,964982703\r\n")
    write(
        tmp_path / "movies.csv",
        "movieId,title,genres,overview,poster\n"
        '7,"Story, A (1999)",Comedy|Drama,"Two\nlines",posters/7.jpg\n'
        "8,Bare (2001),(no genres listed),,\n",
    )
    write(tmp_path / "posters" / "7.jpg", b"picture")
    found = read("movielens", folder=tmp_path, images=tmp_path / "posters")
    (rated,) = found.interactions
    assert (rated["user"], rated["item"], rated["rating"]) == ("1", "7", 4.5)
    assert rated["timestamp"] == 964982703
    assert (rated["source"], rated["line"]) == ("ratings.csv", 2)
    film, bare = found.items
    assert (film["title"], film["description"]) == ("Story, A (1999)", "Two lines")
    assert (film["categories"], film["image"]) == (["Comedy", "Drama"], "7.jpg")
    assert (film["line"], bare["line"]) == (2, 4)
    assert (bare["categories"], bare["description"], bare["image"]) == (None, None, None)


def test_one_million_is_latin_1_between_colons(tmp_path):
    write(tmp_path / "ratings.dat", "1::1193::5::978300760\n1::661::3\n")
    write(tmp_path / "movies.dat", "1193::Amélie: Le Fabuleux::Comedy|Romance\n".encode("latin-1"))
    found = read("movielens", folder=tmp_path)
    assert found.pairs() == [("1", "1193")]
    assert found.reasons == [(2, Reason.WRONG_WIDTH)]
    assert found.items[0]["title"] == "Amélie: Le Fabuleux"
    assert found.items[0]["categories"] == ["Comedy", "Romance"]


def test_ten_million_is_utf8_between_colons(tmp_path):
    write(tmp_path / "ratings.dat", "1::122::4.5::838985046\n")
    write(tmp_path / "movies.dat", "122::Amélie::Comedy\n")
    found = read("movielens", folder=tmp_path)
    assert found.interactions[0]["rating"] == 4.5
    assert found.items[0]["title"] == "Amélie"


def test_one_hundred_thousand_has_flags_of_genres(tmp_path):
    write(tmp_path / "u.data", "196\t242\t3\t881250949\n")
    flags = ["0"] * 19
    flags[4] = flags[5] = "1"
    film = "|".join(["242", "Kolya, é (1996)", "24-Jan-1997", "", "http://x", *flags])
    none = "|".join(["243", "unknown", "", "", "", "1", *["0"] * 18])
    write(tmp_path / "u.item", f"{film}\n{none}\n".encode("latin-1"))
    found = read("movielens", folder=tmp_path)
    assert found.interactions[0]["rating"] == 3.0
    assert found.item("242")["title"] == "Kolya, é (1996)"
    assert found.item("242")["categories"] == ["Children's", "Comedy"]
    assert found.item("243")["categories"] is None


def test_compressed_files_and_absent_films_are_fine(tmp_path):
    zipped(tmp_path / "ratings.csv.gz", "userId,movieId,rating,timestamp\n1,7,4.5,964982703\n")
    found = read("movielens", folder=tmp_path)
    assert found.pairs() == [("1", "7")]
    assert found.items == []


def test_another_folder_says_what_it_holds(tmp_path):
    write(tmp_path / "notes.txt", "x")
    with pytest.raises(DataError, match=r"neither ratings\.csv.*notes\.txt"):
        read("movielens", folder=tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        read("movielens", folder=tmp_path / "absent")
    with pytest.raises(DataError, match=r"data\.folder"):
        read("movielens")


def test_a_wrong_column_is_named_with_the_closest(tmp_path):
    write(tmp_path / "ratings.csv", "userId,movieID_,rating,timestamp\n1,7,4.5,964982703\n")
    with pytest.raises(DataError, match=r"no column 'movieId' for item \(did you mean 'movieID_'"):
        read("movielens", folder=tmp_path)


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the development data are not here")
def test_the_development_copy_is_read_whole():
    folder = SHARED / "data" / "movielens-small"
    found = read("movielens", folder=folder, images=folder / "posters")
    assert len(found.interactions) == 100_836
    assert len(found.items) == 9_742
    assert found.rejects == []
    assert sum(item["description"] is not None for item in found.items) == 9_403
    assert sum(item["image"] is not None for item in found.items) == 9_517
    assert all((folder / "posters" / i["image"]).is_file() for i in found.items if i["image"])

"""Which picture belongs to an item."""

import pytest

from pipeline.errors import DataError
from pipeline.etl.readers.pictures import Pictures
from tests.reading import write


@pytest.fixture
def folder(tmp_path):
    for name in ("1.jpg", "2.jpeg", "2.png", "3.WEBP", "sub/4.jpg", "5.txt"):
        write(tmp_path / "posters" / name, b"x")
    write(tmp_path / "secret.jpg", b"x")
    return tmp_path / "posters"


@pytest.mark.parametrize(
    ("key", "image", "found"),
    [
        ("9", "https://x/y.jpg?a=1", "https://x/y.jpg?a=1"),
        ("9", "1.jpg", "1.jpg"),
        ("9", "./1.jpg", "1.jpg"),
        ("9", "posters/1.jpg", "1.jpg"),
        ("9", "posters\\1.jpg", "1.jpg"),
        ("9", "sub/4.jpg", "sub/4.jpg"),
        ("1", None, "1.jpg"),
        ("2", None, "2.jpeg"),
        ("3", None, "3.WEBP"),
        ("1", "gone.jpg", "1.jpg"),
        ("9", "gone.jpg", "gone.jpg"),
        ("9", "posters/gone.jpg", "gone.jpg"),
        ("9", None, None),
        ("5", None, None),
        ("9", "../secret.jpg", None),
        ("9", "sub/../../secret.jpg", None),
        ("9", "/etc/passwd", None),
        ("9", "nul\0.jpg", None),
        ("9", ".", None),
    ],
)
def test_resolution(folder, key, image, found):
    assert Pictures(folder).of(key, image) == found


def test_an_absolute_path_inside_the_folder_is_taken_from_there(folder):
    assert Pictures(folder).of("9", str(folder / "sub" / "4.jpg")) == "sub/4.jpg"


def test_a_folder_of_its_own_name_inside_is_not_dropped(folder):
    write(folder / "posters" / "1.jpg", b"x")
    assert Pictures(folder).of("9", "posters/1.jpg") == "posters/1.jpg"


def test_without_a_folder_paths_stay_as_written():
    assert Pictures(None).of("1", "a/b.jpg") == "a/b.jpg"
    assert Pictures(None).of("1", None) is None


def test_a_file_for_a_folder_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        Pictures(write(tmp_path / "f", b"x"))

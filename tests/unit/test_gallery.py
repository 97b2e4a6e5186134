"""Strips of pictures: titles stay within two lines, and a missing picture leaves its place free."""

import matplotlib as mpl
import pytest

from pipeline import gallery

LONG = "A very long title of an umbrella in bamboo by Studio Halden & Rye"


@pytest.fixture(autouse=True)
def no_screen():
    mpl.use("Agg")


@pytest.mark.parametrize("title", ["Short", LONG, "Unbreakable" * 6, LONG.replace(" ", "  ")])
def test_a_title_takes_two_lines_at_most(title):
    pictures = gallery.Pictures(None, [None], [title])
    figure = gallery.strip(pictures, [0, 0], "items")
    for axis in figure.axes:
        assert len(axis.get_title().splitlines()) <= 2
        assert axis.get_title()[:5] == title[:5]


def test_a_long_title_says_that_it_goes_on():
    figure = gallery.strip(gallery.Pictures(None, [None], [LONG]), [0], "items")
    assert figure.axes[0].get_title().endswith("…")

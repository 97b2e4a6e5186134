"""Pictures: found by path or key, decoded upright to RGB, or refused with a reason."""

import numpy as np
import pytest
from PIL import Image

from pipeline.embed.pictures import (
    MAX_PIXELS,
    PictureError,
    PictureFolder,
    bombs_are_errors,
    decode,
    digest,
    to_rgb,
)
from tests.embed_jobs import picture

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("one.jpg", "deep/two.png", "three.txt", "B0.jpeg"):
        (tmp_path / name).write_bytes(name.encode())
    return PictureFolder(tmp_path)


@pytest.mark.parametrize(
    ("image", "key", "found"),
    [
        ("one.jpg", "k", "one.jpg"),
        ("deep/two.png", "k", "deep/two.png"),
        ("./deep//two.png", "k", "deep/two.png"),
        ("deep\\two.png", "k", "deep/two.png"),
        ("three.txt", "k", "three.txt"),
        (None, "two", "deep/two.png"),
        (None, "B0", "B0.jpeg"),
        ("gone.jpg", "one", "one.jpg"),
    ],
)
def test_a_picture_is_found_by_path_or_key(folder, tmp_path, image, key, found):
    assert folder.find(image, key) == tmp_path / found


def test_an_absolute_path_inside_the_folder_is_found(folder, tmp_path):
    assert folder.find(str(tmp_path / "one.jpg"), "k") == tmp_path / "one.jpg"


@pytest.mark.parametrize(
    ("image", "key", "reason"),
    [
        (None, "k", "no_image"),
        ("", "k", "no_image"),
        (None, "three", "no_image"),
        ("gone.jpg", "k", "file_missing"),
        ("../one.jpg", "one", "outside_folder"),
        ("deep/../../x", "one", "outside_folder"),
        ("/etc/passwd", "one", "outside_folder"),
    ],
)
def test_a_picture_that_is_not_there_has_a_reason(folder, image, key, reason):
    with pytest.raises(PictureError, match=f"^{reason}$"):
        folder.find(image, key)


def test_equal_bytes_have_equal_digests(tmp_path):
    for name, raw in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(raw)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b != c
    with pytest.raises(PictureError, match="undecodable:unreadable"):
        digest(tmp_path / "gone")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_every_usual_kind_is_decoded(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    picture(0).save(path)
    shown = decode(path, 224)
    assert (shown.mode, shown.size) == ("RGB", (60, 90))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA", "HSV", "LAB"])
def test_every_mode_becomes_rgb(mode):
    red = Image.new("RGB", (4, 4), RED)
    shown = to_rgb(red.convert("RGBA").convert("LA") if mode == "LA" else convert(red, mode))
    assert shown.mode == "RGB"
    if mode not in ("1", "L", "LA", "LAB"):
        assert np.abs(np.asarray(shown)[0, 0].astype(int) - RED).max() <= 3


def convert(red, mode):
    if mode == "LAB":
        return Image.new("LAB", red.size)
    return red.convert(mode)


def test_transparency_shows_white(tmp_path):
    layer = Image.new("RGBA", (2, 1), (*RED, 255))
    layer.putpixel((1, 0), (0, 0, 0, 0))
    assert [to_rgb(layer).getpixel((x, 0)) for x in (0, 1)] == [RED, WHITE]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([0, 0, 0])
    palette.info["transparency"] = 0
    assert to_rgb(palette).getpixel((0, 0)) == WHITE


def test_sixteen_bits_are_cut_to_eight_and_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "x.png")
    shown = np.asarray(decode(tmp_path / "x.png", 224))[..., 0]
    assert np.abs(shown.astype(int) - ramp // 256).max() <= 1


def test_a_picture_is_turned_upright(tmp_path):
    lying = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    lying.save(tmp_path / "x.jpg", exif=exif)
    assert decode(tmp_path / "x.jpg", 224).size == (20, 40)


def test_a_large_jpeg_is_decoded_small_but_not_below_twice_the_side(tmp_path):
    picture(0, (1600, 2400)).save(tmp_path / "x.jpg", quality=95)
    shown = decode(tmp_path / "x.jpg", 100)
    assert shown.size == (200, 300)
    whole = Image.open(tmp_path / "x.jpg").resize((100, 150))
    gap = np.asarray(shown.resize((100, 150)), int) - np.asarray(whole, int)
    assert np.abs(gap).max() < 12


def test_only_the_first_frame_counts(tmp_path):
    first, second = Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), WHITE)
    first.save(tmp_path / "x.gif", save_all=True, append_images=[second])
    assert decode(tmp_path / "x.gif", 224).getpixel((0, 0)) == RED


def test_what_is_no_picture_is_refused(tmp_path):
    for name, raw in (("empty.jpg", b""), ("page.jpg", b"<html>not found</html>")):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(PictureError, match=r"^undecodable:not_a_picture$"):
            decode(tmp_path / name, 224)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    path = tmp_path / f"x.{kind}"
    Image.fromarray(noise).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(PictureError, match=r"^undecodable:"):
        decode(path, 224)


def png_claiming(width, height):
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("pixels", [MAX_PIXELS + 10_000, 3 * MAX_PIXELS])
def test_a_decompression_bomb_is_refused_unopened(tmp_path, pixels):
    (tmp_path / "x.png").write_bytes(png_claiming(10_000, pixels // 10_000))
    with bombs_are_errors(), pytest.raises(PictureError, match=r"^undecodable:too_large$"):
        decode(tmp_path / "x.png", 224)

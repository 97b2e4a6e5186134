"""Stacks of py-spy, and the picture of them: nothing lost, every frame inside its caller."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.profile import stacks as module
from pipeline.measure.profile.flame import Frame, boxes, colour, svg
from pipeline.measure.profile.stacks import PySpy, explain, folded, hottest
from tests import browser as browsers

SVG = "{http://www.w3.org/2000/svg}"
SEEN = {("main (a.py:1)", "work (a.py:9)"): 60, ("main (a.py:1)", "rest <b> (b.py:2)"): 39}
many = st.dictionaries(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(tuple),
    st.integers(1, 50),
    min_size=1,
    max_size=20,
)


class TestFolding:
    def test_lines_become_stacks_and_equal_ones_add(self):
        text = "a (x.py:1);b (x.py:2) 3\na (x.py:1);b (x.py:2) 4\nnonsense\n a b\n"
        assert folded(text) == {("a (x.py:1)", "b (x.py:2)"): 7}

    def test_threads_that_wait_are_left_out(self):
        text = "watch (a.py:1);poll (libc.so.6) 9\nwork (a.py:2);poll_all (a.py:3) 1"
        assert folded(text) == {("work (a.py:2)", "poll_all (a.py:3)"): 1}

    def test_the_machinery_of_imports_is_left_out(self):
        text = "a (x.py:1);_load (<frozen importlib._bootstrap>:9);b (y.py:1) 2"
        assert folded(text) == {("a (x.py:1)", "b (y.py:1)"): 2}
        assert sum(folded("_load (<frozen importlib._bootstrap>:9) 5").values()) == 5

    @pytest.mark.parametrize(
        ("frame", "shown"),
        [
            ("0x7f7ed7c4524a (libc.so.6)", "? (libc.so.6)"),
            ("0x7f7ed7c4524a", "?"),
            ("f (a.py:3)", "f (a.py:3)"),
            ("<module> (a.py:1)", "<module> (a.py:1)"),
            ("at::_ops::mm::call (libtorch_cpu.so)", "at::_ops::mm::call (libtorch_cpu.so)"),
            ("f<int, g<long>>::h(int, char) (libx.so.1)", "f::h (libx.so.1)"),
            ("(anonymous namespace)::f<a>() (libx.so)", "anonymous::f (libx.so)"),
            ("sgemm_kernel (libblas.so.3)", "sgemm_kernel (libblas.so.3)"),
        ],
    )
    def test_names_are_read_by_people(self, frame, shown):
        assert folded(f"{frame} 1") == {(shown,): 1}

    @given(many)
    def test_the_hottest_account_for_every_sample(self, seen):
        found = hottest(seen)
        total = sum(seen.values())
        assert sum(own for _, own, _ in found) == total
        assert all(own <= whole <= total for _, own, whole in found)
        assert [own for _, own, _ in found] == sorted((o for _, o, _ in found), reverse=True)


class TestThePicture:
    @given(many)
    def test_every_frame_lies_inside_its_caller_and_beside_the_others(self, seen):
        levels: dict[int, list] = {}
        for box in boxes(Frame.of(seen)):
            levels.setdefault(box.level, []).append(box)
        assert levels[0][0].samples == sum(seen.values())
        for level, row in levels.items():
            row.sort(key=lambda box: box.left)
            for one, other in pairwise(row):
                assert one.left + one.share <= other.left + 1e-9
            for box in row if level else []:
                assert any(
                    under.left <= box.left + 1e-9
                    and box.left + box.share <= under.left + under.share + 1e-9
                    for under in levels[level - 1]
                )

    def test_it_is_one_well_formed_file_with_names_escaped(self):
        text = svg(SEEN, "train <1>")
        root = ET.fromstring(text)
        names = {frame.get("data-name") for frame in root.iter(f"{SVG}g")}
        assert {"all", "main (a.py:1)", "rest <b> (b.py:2)"} <= names
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")

    def test_the_rarest_are_left_out(self):
        seen = {("often",): 100_000, ("rare",): 1}
        assert {box.name for box in boxes(Frame.of(seen))} == {"all", "often"}

    def test_without_samples_it_says_so(self):
        ET.fromstring(svg({}, "t"))
        assert "no samples" in svg({}, "t")

    def test_compiled_code_has_other_colours_than_python(self):
        python, compiled = colour("f (a.py:1)"), colour("f (libc.so.6)")
        assert int(python[4:].split()[0]) < 70 < int(compiled[4:].split()[0])
        assert colour("f (a.py:1)") == python


class TestWhyThereAreNone:
    def test_it_is_not_installed(self, monkeypatch):
        monkeypatch.setattr(module, "_program", lambda: None)
        spy = PySpy(10)
        with spy:
            pass
        assert "pip install py-spy" in spy.sampled.missing
        assert spy.sampled.samples == 0

    @pytest.mark.parametrize(
        ("scope", "cure"),
        [
            ("1", "SYS_PTRACE"),
            ("2", "ptrace_scope=1' lets it until"),
            ("3", "restart"),
            (None, "root"),
        ],
    )
    def test_the_system_forbids_it(self, monkeypatch, tmp_path, scope, cure):
        path = tmp_path / "scope"
        if scope:
            path.write_text(f"{scope}\n")
        monkeypatch.setattr(module, "_SCOPE", path)
        said = explain("Permission Denied: Try running again with elevated permissions\n")
        assert "ptrace" in said and cure in said

    def test_anything_else_is_repeated(self):
        assert "no python here" in explain("Error: no  python\nhere")

    def test_a_program_that_refuses_is_explained(self, monkeypatch, tmp_path):
        refuses = tmp_path / "py-spy"
        refuses.write_text(
            "#!/bin/sh\necho 'Error: Operation not permitted (os error 1)' >&2; exit 1\n"
        )
        refuses.chmod(0o755)
        monkeypatch.setattr(module, "_program", lambda: str(refuses))
        spy = PySpy(10)
        with spy:
            pass
        assert "does not let py-spy read" in spy.sampled.missing


BUSY = """
import signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pipeline.measure.profile import PySpy
def spin():
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        sum(range(1000))
with PySpy(100) as spy:
    spin()
found = spy.sampled
print(found.missing or sum(n for s, n in found.stacks.items() if any("spin" in f for f in s)))
"""


@pytest.mark.skipif(module._program() is None, reason="py-spy is not installed")
def test_the_stacks_of_a_busy_function_are_seen_even_where_interrupts_are_held():
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    if "ptrace" in done.stdout:
        pytest.skip(done.stdout)
    assert int(done.stdout) > 20


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("flame") / "flame.svg"
    path.write_text(svg(SEEN, "train 3f9c"))
    with browsers.opened(tmp_path_factory.mktemp("chromium")) as opened:
        tab = opened.page()
        tab.look(1280, 720)
        tab.open(path.as_uri())
        tab.wait("document.querySelectorAll('.frame').length === 4")
        yield tab
        assert tab.complaints == []


@pytest.mark.browser
@pytest.mark.skipif(browsers.CHROMIUM is None, reason=browsers.NO_CHROMIUM)
class TestInABrowser:
    def test_frames_are_named_and_as_wide_as_their_samples(self, page):
        shown = page.run(
            "[...document.querySelectorAll('.frame')].map((f) => [f.querySelector('title')"
            ".textContent, f.querySelector('rect').getBoundingClientRect().width])"
        )
        widths = {title.split(":")[0]: width for title, width in shown}
        assert any("work (a.py:9): 60 samples, 60.6 %" == title for title, _ in shown)
        assert widths["work (a.py"] / widths["all"] == pytest.approx(60 / 99, rel=0.01)

    def test_it_is_searched(self, page):
        assert page.run("search('work')") == 1
        told = page.run("document.getElementById('told').textContent")
        assert told == "1 frames match work: 60.6 % of the samples"
        assert page.run("document.querySelector('.found').dataset.name") == "work (a.py:9)"
        assert page.run("search('(')") == 0
        page.run("search('')")

    def test_a_click_zooms_in_and_the_button_out(self, page):
        wide = "document.querySelector('[data-name=\"work (a.py:9)\"] rect').width.baseVal.value"
        gone = "document.querySelectorAll('.gone').length"
        page.run(
            "document.querySelector('[data-name=\"work (a.py:9)\"]')"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true})); 1"
        )
        assert page.run(wide) == pytest.approx(1180)
        assert page.run(gone) == 1
        page.run("document.getElementById('reset').dispatchEvent(new MouseEvent('click')); 1")
        assert page.run(wide) == pytest.approx(1180 * 60 / 99, rel=0.01)
        assert page.run(gone) == 0

    def test_it_is_dark_at_night(self, page):
        colour_of = "getComputedStyle(document.documentElement).backgroundColor"
        day = page.run(colour_of)
        page.look(1280, 720, dark=True)
        assert day == "rgb(255, 255, 255)" != page.run(colour_of)
        page.look(1280, 720)

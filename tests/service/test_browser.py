"""The page in a browser: nothing complains or leaves the host; keyboard, phone, night."""

import re

import numpy as np
import pytest

from tests import browser as browsers

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browsers.CHROMIUM is None, reason=browsers.NO_CHROMIUM),
]

VIEWS = [
    "#/", "#/user/u1", "#/user/nobody", "#/item/i1", "#/like/i1,i2", "#/search", "#/health",
    "#/user/u1?per=category&most=1&brand=brand-1",
]  # fmt: skip


INK_AND_PAPER = """[...document.querySelectorAll('main *, header *, footer')]
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((e) => e.checkVisibility() && !e.closest('.picture'))
  .map((e) => {
    const clear = (node) => getComputedStyle(node).backgroundColor === 'rgba(0, 0, 0, 0)';
    let under = e;
    while (under.parentElement && clear(under)) under = under.parentElement;
    const paper = clear(under) ? document.body : under;
    return [e.className || e.tagName, getComputedStyle(e).color,
      getComputedStyle(paper).backgroundColor];
  })"""
"""The colour of every text and of what is behind it."""


@pytest.fixture(scope="module")
def images(tmp_path_factory, parts):
    """Every item's picture: a missing one is a complaint of the browser's own."""
    return browsers.painted(tmp_path_factory.mktemp("pictures"), parts.world.n_items)


def drawn(page, address, view):
    """Open a view and wait until it stands."""
    page.open("about:blank")
    page.open(f"{address}/{view}")
    page.wait("document.querySelector('main h1')")
    page.wait("!document.querySelector('[aria-busy]')")


class TestTheWatching:
    """What the fixture above asserts can fail."""

    def test_a_complaint_is_heard(self, browser, address):
        tab = browser.page()
        tab.open(f"{address}/")
        tab.see("What would they like next?")
        for wrong in (
            "console.error('oh')",
            "setTimeout(() => { throw new Error('oh'); })",
            "document.body.setAttribute('style', 'color: red')",
            "document.head.append(Object.assign(document.createElement('script'), {text: '1'}))",
            "document.body.innerHTML = 'oh'",
            "fetch('http://127.0.0.1:9/')",
        ):
            assert tab.complaints == []
            tab.run(f"try {{ {wrong}; }} catch {{}}; new Promise((done) => setTimeout(done, 50))")
            tab.wait("1")
            assert tab.complaints != [], wrong
            tab.complaints.clear()

    def test_a_request_elsewhere_is_seen(self, browser, address):
        tab = browser.page()
        tab.open(f"{address}/")
        tab.see("What would they like next?")
        tab.run("new Image().src = 'http://127.0.0.1:9/picture'; 1")
        tab.wait("1")
        assert "http://127.0.0.1:9/picture" in tab.requests


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("/", ["Most taken items", "recall of the index", "Thing 10 of kind 2", "ready"]),
        ("/#/user/u1", ["User u1", "hot", "Recommended", "often taken together with", "8 items",
                        "by the trained model", "What adds up to", "in the catalogue"]),
        ("/#/user/nobody", ["most popular items", "not in the data"]),
        ("/#/item/i1", ["Thing 1 of kind 1", "Similar by", "Taken together"]),
        ("/#/like/i1,i2", ["Someone new", "warm", "Recommended", "by the history alone"]),
        ("/#/item/gone", ["the catalogue holds no item"]),
        ("/#/user/u1?k=9999", ["body.k"]),
        ("/#/search", ["Search by words or by a picture", "What it is like"]),
        ("/#/health", ["How the service does", "requests", "p99", "GET /health/ready"]),
        ("/docs#recommend_v1_recommend_post", ["Body: RecommendRequest", "exclude_ids", "Try it"]),
    ],
)  # fmt: skip
def test_it_shows(page, address, path, texts):
    page.open(address + path)
    for text in texts:
        page.see(text)
    for status in (404, 422):
        browsers.forgive(page, status)


class TestTheKeyboard:
    def test_a_user_is_found_opened_and_their_list_changed(self, page, address):
        page.open(f"{address}/")
        page.see("What would they like next?")
        page.press("Tab")
        assert page.focused() == "Skip to content"
        page.press("Tab")
        page.press("Tab")
        assert page.focused() == "Find a user or an item"
        page.type("u1")
        page.wait("document.querySelectorAll('#found li').length > 1")
        page.press("ArrowDown")
        page.press("ArrowDown")
        assert (
            page.run("document.getElementById('search').getAttribute('aria-activedescendant')")
            == "match-1"
        )
        page.press("ArrowUp")
        page.press("Enter")
        page.see("User u1")
        page.wait("document.activeElement.tagName === 'H1'")
        page.wait("document.getElementById('status').textContent.endsWith('recommended')")
        before = browsers.shown(page)
        while page.run("document.activeElement.name") != "diversity":
            page.press("Tab")
        for _ in range(9):
            page.press("ArrowRight")
        page.wait("location.hash.includes('diversity=0.9')")
        page.wait("!document.querySelector('.results').hasAttribute('aria-busy')")
        assert sorted(browsers.shown(page)) != sorted(before) or browsers.shown(page) != before
        assert page.run("document.activeElement.name") == "diversity"

    def test_skipping_leads_to_the_content(self, page, address):
        page.open(f"{address}/#/user/u1")
        page.see("Recommended")
        page.press("Tab")
        page.press("Enter")
        page.wait("document.activeElement.id === 'main' || document.activeElement.tagName === 'H1'")
        page.see("User u1")

    def test_tabs_of_an_item_go_by_arrows(self, page, address):
        page.open(f"{address}/#/item/i1")
        page.see("Similar by")
        page.run("document.querySelector('[role=tab][aria-selected=true]').focus()")
        chosen = "document.querySelector('[role=tab][aria-selected=true]').dataset.by"
        page.press("ArrowLeft")
        last = page.wait(f"{chosen} !== 'model' && {chosen}")
        assert page.run("document.activeElement.dataset.by") == last
        page.press("Home")
        page.wait(f"{chosen} === 'model'")
        assert page.run("document.querySelectorAll('[role=tab][tabindex=\"0\"]').length") == 1

    @pytest.mark.parametrize("view", ["#/", "#/user/u1?brand=brand%201", "#/item/i1", "#/health"])
    def test_every_stop_has_a_name_and_shows_the_focus(self, page, address, view):
        page.open(f"{address}/{view}")
        page.wait("document.querySelector('main h1')")
        page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        seen = []
        for _ in range(25):
            page.press("Tab")
            if page.run("document.activeElement === document.body"):
                break
            outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
            assert page.focused() != "" and outline != "none", page.run(
                "document.activeElement.outerHTML"
            )
            seen.append(page.focused())
        assert len(seen) >= 5

    def test_every_field_and_button_is_named_for_those_who_hear_the_page(self, page, address):
        page.open(f"{address}/#/user/u1")
        page.see("What adds up to")
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "link", "textbox", "combobox", "slider", "spinbutton", "searchbox"}
        told = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if node.get("role", {}).get("value") in roles and not node.get("ignored")
        ]
        assert len(told) > 40 and [one for one in told if not one[1].strip()] == []


class TestScreens:
    def test_a_phone_scrolls_one_way_alone(self, page, address):
        page.look(360, 780)
        for view in VIEWS:
            drawn(page, address, view)
            page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert page.run("document.documentElement.scrollWidth") == 360, view
            beyond = page.run("""[...document.querySelectorAll('main *, header *')].filter((e) => {
              const box = e.getBoundingClientRect();
              return box.width && box.right > 361 && !e.closest('.wide-table, .skip');
            }).map((e) => e.outerHTML.slice(0, 90))""")
            assert beyond == [], view

    def test_what_a_finger_touches_is_large_enough(self, page, address):
        page.look(360, 780)
        page.open(f"{address}/#/user/u1")
        page.see("Recommended")
        small = page.run("""
          [...document.querySelectorAll('main button, main select, main input, .links a')]
            .filter((e) => e.checkVisibility() && e.type !== 'range')
            .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
            .filter(([, box]) => box.height < 24 || box.width < 24).map(([name]) => name)""")
        assert small == []

    @pytest.mark.parametrize("dark", [False, True])
    def test_text_stands_out_by_day_and_by_night(self, page, address, dark):
        page.look(1280, 900, dark=dark)
        for view in ("#/", "#/user/u1?brand=brand%201", "#/user/nobody", "#/item/i1", "#/health"):
            drawn(page, address, view)
            ground = page.run("getComputedStyle(document.body).backgroundColor")
            assert (contrast_of(ground, "rgb(0,0,0)") < 3) is dark
            told = page.run(INK_AND_PAPER)
            pale = {(who, ink, on) for who, ink, on in told if contrast_of(ink, on) < 4.5}
            assert len(told) > 20 and pale == set(), view


def contrast_of(one, other):
    """Return the contrast of two colours, as WCAG 2 defines it."""
    light, dark = sorted((_luminance(colour) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    channels = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])

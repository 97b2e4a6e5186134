"""The page in a browser: by keyboard, on a phone, in the dark, and when the service says no."""

import base64
import io
import json
import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from serving.messages import Recommendations
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
    folder = tmp_path_factory.mktemp("pictures")
    for item in range(parts.world.n_items):
        Image.new("RGB", (30, 40), (4 * item, 120, 160)).save(folder / f"{item}.jpg")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsers.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """A tab; whatever a test does, nothing may leave the host and nothing may complain."""
    tab = browser.page()
    tab.look(1280, 900)
    yield tab
    tab.run("1")
    hosts = {urlsplit(url).netloc for url in tab.requests if url.startswith(("http", "ws"))}
    assert hosts <= {urlsplit(address).netloc}
    assert tab.complaints == []


def forgive(page, status):
    """Leave out what the browser itself says about an answer that a test asked for."""
    page.run("1")
    page.complaints[:] = [said for said in page.complaints if f"status of {status}" not in said]


def offering(page, address, *routes):
    """Let the service say that it has routes which this one may lack."""
    document = page.fetched(f"{address}/openapi.json")
    for route in routes:
        document["paths"].setdefault(route, {})["post"] = {}
    page.answer("/openapi.json", lambda _: (200, document))


def drawn(page, address, view):
    """Open a view and wait until it stands."""
    page.open("about:blank")
    page.open(f"{address}/{view}")
    page.wait("document.querySelector('main h1')")
    page.wait("!document.querySelector('[aria-busy]')")


def shown(page):
    return page.run("[...document.querySelectorAll('.results .card a')].map((a) => a.hash)")


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
        ("/#/search", ["This service does not search by content"]),
        ("/#/health", ["How the service does", "requests", "p99", "GET /health/ready"]),
        ("/docs#recommend_v1_recommend_post", ["Body: RecommendRequest", "exclude_ids", "Try it"]),
    ],
)  # fmt: skip
def test_it_shows(page, address, path, texts):
    page.open(address + path)
    for text in texts:
        page.see(text)
    for status in (404, 422):
        forgive(page, status)


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
        before = shown(page)
        while page.run("document.activeElement.name") != "diversity":
            page.press("Tab")
        for _ in range(9):
            page.press("ArrowRight")
        page.wait("location.hash.includes('diversity=0.9')")
        page.wait("!document.querySelector('.results').hasAttribute('aria-busy')")
        assert sorted(shown(page)) != sorted(before) or shown(page) != before
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


class TestChoices:
    def test_a_filter_keeps_what_it_says_and_stands_in_the_address(self, page, address):
        page.open(f"{address}/#/user/u1")
        page.see("Filters")
        page.run("document.querySelector('.filters').open = true")
        page.wait("document.querySelectorAll('#brands option').length")
        brand = page.run("document.querySelector('#brands option').value")
        page.run("document.querySelector('[name=brand]').focus()")
        page.type(brand)
        page.press("Enter")
        page.wait("location.hash.includes('brand=')")
        page.wait("!document.querySelector('.results').hasAttribute('aria-busy')")
        keys = [hash.split("/")[-1] for hash in shown(page)]
        assert keys and {page.fetched(f"{address}/v1/items/{key}")["brand"] for key in keys} == {
            brand
        }
        link = page.run("location.href")
        page.open("about:blank")
        page.open(link)
        page.see("Filters (1)")
        page.wait("document.querySelectorAll('.results .card').length")
        assert [hash.split("/")[-1] for hash in shown(page)] == keys

    def test_a_value_out_of_range_is_the_services_word(self, page, address):
        page.open(f"{address}/#/user/u1?k=501")
        page.see("body.k")
        said = page.run("document.querySelector('.results [role=alert]').innerText")
        assert "less than or equal to 500" in said
        forgive(page, 422)

    def test_items_are_picked_for_someone_new(self, page, address):
        page.open(f"{address}/")
        page.see("Most taken items")
        picked = page.run("""[...document.querySelectorAll('.pick')].slice(0, 2).map((button) => {
          button.click();
          return button.closest('.card').querySelector('a').hash.split('/').at(-1); })""")
        page.see("2 picked")
        assert page.run("document.querySelectorAll('.pick[aria-pressed=true]').length") == 2
        page.run("document.querySelector('#basket a').click()")
        page.see("Someone new")
        assert page.run("location.hash") == f"#/like/{','.join(picked)}"
        page.wait("document.querySelectorAll('.results .card').length")
        assert not {f"#/item/{key}" for key in picked} & {*shown(page)}

    def test_shares_and_parts_are_those_of_the_answer(self, page, address):
        page.open(f"{address}/#/user/u1")
        page.see("What adds up to")
        best = page.run("""(() => { const card = document.querySelector('.results .card');
          card.querySelector('details').open = true;
          return { bar: [...card.querySelectorAll('.bar i')].map((i) => Number(i.style.flexGrow)),
            values: [...card.querySelectorAll('.value')].map((v) => v.innerText.replace('−', '-')),
            score: card.querySelector('.meta span').innerText }; })()""")
        assert sum(best["bar"]) == pytest.approx(1, abs=0.02)
        assert sum(map(float, best["values"])) == pytest.approx(
            float(best["score"].split()[-1]), abs=0.01
        )


class TestWhatAServiceMayHave:
    def test_search_is_hidden_where_there_is_none(self, page, address):
        page.open(f"{address}/")
        page.see("Most taken items")
        assert not page.run("document.getElementById('to-search').checkVisibility()")

    def test_a_picture_is_made_small_sent_and_answered(self, page, address, tmp_path):
        offering(page, address, "/v1/search")
        items = page.fetched(f"{address}/v1/items/i1/similar?by=image&k=3")["items"]
        sent = []

        def found(request):
            sent.append(json.loads(request["postData"]))
            return 200, {"by": "image", "items": items, "shortfall_reason": None}

        page.answer("/v1/search", found)
        page.open(f"{address}/")
        page.wait("document.getElementById('to-search').checkVisibility()")
        page.run("document.getElementById('to-search').click()")
        page.see("Choose a picture")
        noise = np.random.default_rng(0).integers(0, 255, (1500, 1000, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "lamp.png")
        page.choose_file("#upload", tmp_path / "lamp.png")
        page.see("Like lamp.png")
        page.see(items[0]["title"])
        assert page.run("document.querySelector('.preview img').alt") == "Your picture, lamp.png"
        picture = Image.open(io.BytesIO(base64.b64decode(sent[0]["image_base64"])))
        assert (picture.format, picture.size, sent[0]["k"]) == ("JPEG", (427, 640), 24)
        page.run("document.querySelector('[name=text]').focus()")
        page.type("a lamp")
        page.press("Enter")
        page.see("Like “a lamp”")
        assert sent[1] == {"text": "a lamp", "k": 24}

    def test_a_file_that_is_no_picture_is_not_sent(self, page, address, tmp_path):
        offering(page, address, "/v1/search")
        page.open(f"{address}/#/search")
        page.see("Choose a picture")
        (tmp_path / "notes.png").write_text("no picture at all")
        page.choose_file("#upload", tmp_path / "notes.png")
        page.see("notes.png is not a picture that this browser can read")
        assert not any(url.endswith("/v1/search") for url in page.requests)

    def test_thumbs_tell_who_what_and_in_which_list(self, page, address):
        offering(page, address, "/v1/feedback")
        sent, lists = [], []
        taken = {"accepted": 1, "duplicates": 0, "unknown_items": [], "repeated": False}
        page.answer(
            "/v1/feedback",
            lambda request: (sent.append(json.loads(request["postData"])), (200, taken))[1],
        )
        answer = page.fetched(f"{address}/v1/recommend", {"user": "u1", "k": 3, "explain": "full"})
        page.answer("/v1/recommend", lambda request: (lists.append(1), (200, answer))[1])
        page.open(f"{address}/#/user/u1")
        page.see("What adds up to")
        assert Recommendations.model_validate(answer)
        page.run("document.querySelector('.card .like').click()")
        page.see("the next list takes it into account")
        event = sent[0]["events"][0]
        assert event.pop("id")
        assert event == {
            "user": "u1", "item": answer["items"][0]["id"], "type": "like",
            "recommendation_id": answer["recommendation_id"],
        }  # fmt: skip
        page.run("document.querySelector('.card .dislike').click()")
        page.wait("document.querySelector('.card .dislike').ariaPressed === 'true'")
        assert page.run("document.querySelector('.card .like').ariaPressed") == "false"
        page.run("document.querySelector('.note.calm button').click()")
        page.wait("!document.querySelector('.note.calm')")
        assert len(lists) == 2

    def test_someone_new_has_no_thumbs(self, page, address):
        offering(page, address, "/v1/feedback")
        page.open(f"{address}/#/like/i1")
        page.see("What adds up to")
        assert page.run("document.querySelectorAll('.like').length") == 0

    def test_two_bundles_stand_side_by_side(self, page, address):
        offering(page, address, "/v1/admin/compare")
        bundle = page.fetched(f"{address}/v1/bundle")
        arms = [{"role": "control"}, {"role": "challenger"}]
        page.answer("/v1/bundle", lambda _: (200, {**bundle, "arms": arms}))
        lists = [
            page.fetched(f"{address}/v1/recommend", {"user": user, "k": 6, "explain": "full"})
            for user in ("u1", "u5")
        ]
        both = [
            {"role": arm["role"], "answer": made} for arm, made in zip(arms, lists, strict=True)
        ]
        page.answer("/v1/admin/compare", lambda _: (200, {"answers": both}))
        page.open(f"{address}/#/user/u1")
        page.wait("document.querySelector('.head .button')")
        page.run("document.querySelector('.head .button').click()")
        page.see("bundle by bundle")
        ids = [{item["id"] for item in made["items"]} for made in lists]
        page.see(f"{len(ids[0] & ids[1])} of 12 in common")
        assert page.run(
            "[...document.querySelectorAll('.sides h2')].map((h) => h.innerText.toLowerCase())"
        ) == ["control", "challenger"]
        alone = page.run(
            "[...document.querySelectorAll('.card .chip')]"
            ".filter((c) => c.innerText === 'here alone').length"
        )
        assert alone == len(ids[0] ^ ids[1])


def test_text_of_the_catalogue_stays_text(page, address):
    markup = "<img src=x onerror=console.error(1)><script>console.error(2)</script>"
    told = page.fetched(f"{address}/v1/items/i1")
    told |= {"title": markup, "description": markup, "brand": markup, "categories": [markup]}
    page.answer("/v1/items/i1", lambda r: (200, told) if r["url"].endswith("/i1") else None)
    page.open(f"{address}/#/item/i1")
    page.see(markup)
    assert page.run("document.querySelectorAll('main [onerror], main script').length") == 0


class TestKeys:
    def test_a_key_is_asked_for_used_and_forgotten(self, page, address):
        bundle = page.fetched(f"{address}/v1/bundle")
        refused = {"title": "Unauthorized", "status": 401, "detail": "a key is needed"}
        heard = []

        def guard(request):
            heard.append(request["headers"].get("authorization"))
            return None if heard[-1] == "Bearer secret" else (401, refused)

        page.answer("/v1/", guard)
        page.open(f"{address}/#/item/i1")
        page.see("This service asks for a key")
        page.run("document.querySelector('[name=key]').focus()")
        page.type("wrong")
        page.press("Enter")
        page.see("a key is needed")
        page.run("document.querySelector('[name=key]').focus()")
        page.type("secret")
        page.press("Enter")
        page.see("Thing 1 of kind 1")
        page.see(bundle["fingerprint"])
        page.wait("document.querySelector('.hero')")
        assert [url for url in page.requests if "secret" in url] == []
        # Pictures bring the key too: an <img> alone would not.
        assert page.wait(
            "performance.getEntriesByType('resource')"
            ".some((e) => e.name.endsWith('/image') && e.initiatorType === 'fetch')"
        )
        page.send("Page.reload")
        page.see("This service asks for a key")
        forgive(page, 401)


def test_a_service_that_went_away_is_said_and_comes_back(page, address):
    page.open(f"{address}/")
    page.see("Most taken items")
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.send("Network.emulateNetworkConditions", offline=True, **offline)
    page.run("location.hash = '#/user/u1'")
    page.see("The service does not answer")
    page.wait("document.getElementById('health').innerText === 'offline'")
    page.send("Network.emulateNetworkConditions", offline=False, **offline)
    page.run("location.hash = '#/user/u2'")
    page.see("User u2")
    page.wait("document.getElementById('health').innerText.startsWith('ready')")
    page.run("1")
    page.complaints[:] = [said for said in page.complaints if "INTERNET_DISCONNECTED" not in said]


def test_quantiles_of_a_histogram_are_those_of_the_values(page, address):
    page.open(f"{address}/")
    page.see("Most taken items")
    values = np.random.default_rng(0).gamma(2.0, 0.02, 5000)
    edges = np.linspace(0.001, 0.5, 500)
    buckets = [{"below": edge, "count": int((values <= edge).sum())} for edge in edges]
    for share in (0.1, 0.5, 0.99):
        told = page.run(
            "import('/dashboard/health.js').then((m) => m.quantile("
            f"{json.dumps(buckets)}, {share}))"
        )
        assert told == pytest.approx(np.quantile(values, share), abs=0.001)


def test_metrics_are_read_as_they_are_written(page, address):
    page.open(f"{address}/")
    page.see("Most taken items")
    text = (
        'a_total{route="/x \\"y\\" {key}",status="200"} 3.0\n'
        '# HELP a b\nb 1e-05\nc_bucket{le="+Inf"} 2\n'
    )
    read = page.run(f"import('/dashboard/health.js').then((m) => m.samples({json.dumps(text)}))")
    assert [(one["name"], one["value"]) for one in read] == [
        ("a_total", 3),
        ("b", 1e-5),
        ("c_bucket", 2),
    ]
    assert read[0]["labels"]["status"] == "200"

"""The page in a browser: what one may choose, what a service may have, keys, and its absence."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from serving.messages import Recommendations
from tests import browser as browsers

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browsers.CHROMIUM is None, reason=browsers.NO_CHROMIUM),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory, parts):
    """Every item's picture: a missing one is a complaint of the browser's own."""
    return browsers.painted(tmp_path_factory.mktemp("pictures"), parts.world.n_items)


def offering(page, address, *routes):
    """Let the service say that it has routes which this one may lack."""
    document = page.fetched(f"{address}/openapi.json")
    for route in routes:
        document["paths"].setdefault(route, {})["post"] = {}
    page.answer("/openapi.json", lambda _: (200, document))


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
        keys = [hash.split("/")[-1] for hash in browsers.shown(page)]
        assert keys and {page.fetched(f"{address}/v1/items/{key}")["brand"] for key in keys} == {
            brand
        }
        link = page.run("location.href")
        page.open("about:blank")
        page.open(link)
        page.see("Filters (1)")
        page.wait("document.querySelectorAll('.results .card').length")
        assert [hash.split("/")[-1] for hash in browsers.shown(page)] == keys

    def test_a_value_out_of_range_is_the_services_word(self, page, address):
        page.open(f"{address}/#/user/u1?k=501")
        page.see("body.k")
        said = page.run("document.querySelector('.results [role=alert]').innerText")
        assert "less than or equal to 500" in said
        browsers.forgive(page, 422)

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
        assert not {f"#/item/{key}" for key in picked} & {*browsers.shown(page)}

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
    @pytest.mark.parametrize("there", [True, False])
    def test_search_is_hidden_where_there_is_none(self, page, address, there):
        document = page.fetched(f"{address}/openapi.json")
        if not there:
            document["paths"] = {p: v for p, v in document["paths"].items() if "search" not in p}
        page.answer("/openapi.json", lambda _: (200, document))
        page.open(f"{address}/")
        page.see("Most taken items")
        assert page.run("document.getElementById('to-search').checkVisibility()") == there
        page.open(f"{address}/#/search")
        page.see("Search by words" if there else "This service does not search by content")

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
        browsers.forgive(page, 401)


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

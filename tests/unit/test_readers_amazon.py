"""Amazon reviews and metadata: exact lines of each edition and what becomes of their oddities."""

import json

import pytest

from pipeline.errors import DataError
from pipeline.etl.generate import EDITIONS, AmazonSpec, make_amazon
from pipeline.etl.records import Reason
from tests.reading import read, write, zipped

REVIEW_2014 = (
    '{"reviewerID": "A2SUAM1J3GNN3B", "asin": "0000013714", "reviewerName": "J. McDonald", '
    '"helpful": [2, 3], "reviewText": "I bought this for my husband", "overall": 5.0, '
    '"summary": "Heavenly", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009"}'
)
REVIEW_2018 = (
    '{"overall": 4.0, "vote": "1,142", "verified": true, "reviewTime": "10 5, 2018", '
    '"reviewerID": "A3WH6L8KMJ9XSB", "asin": "B00004TKVY", "style": {"Size:": " Large"}, '
    '"reviewerName": "Kim", "reviewText": "ok", "summary": "ok", "unixReviewTime": 1538697600, '
    '"image": ["https://images.invalid/71eG75FTJJL._SY88.jpg"]}'
)
REVIEW_2023 = (
    '{"rating": 5.0, "title": "Such a lovely scent", "text": "This spray is<br />nice.", '
    '"images": [], "asin": "B00YQ6X8EO", "parent_asin": "B00PARENT1", '
    '"user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ", "timestamp": 1588687728923, "helpful_vote": 0, '
    '"verified_purchase": true}'
)
META_2014 = (
    "{'asin': '0000031852', 'title': 'Girls Ballet Tutu \"Zebra\" & It\\'s Pink', 'price': 3.17, "
    "'imUrl': 'http://images.invalid/I/51fAmVkTbyL._SY300_.jpg', "
    "'related': {'also_bought': ['B00JHONN1S'], 'also_viewed': []}, "
    "'salesRank': {'Toys & Games': 211836}, 'brand': 'Coxlures', "
    "'categories': [['Sports & Outdoors', 'Dance'], ['Sports & Outdoors', 'Girls']], "
    "'description': u'Caf\\xe9 style &amp; <b>bold</b>.'}"
)
META_2018 = json.dumps(
    {
        "category": ["Electronics", "Camera &amp; Photo", "</span></span></span>"],
        "tech1": "",
        "description": ["<p>First part.</p>", "", "Second&nbsp;part."],
        "fit": "",
        "title": "<span id='t'>Corrugated &amp; Sturdy</span>",
        "also_buy": [],
        "tech2": "",
        "brand": "by\n    \n    Acme",
        "feature": ["Light", "Cheap"],
        "rank": "1,234 in Electronics (",
        "also_view": [],
        "details": {},
        "main_cat": '<img src="https://images.invalid/x.png" alt="AMAZON FASHION" />',
        "similar_item": "",
        "date": "",
        "price": "$1,234.56",
        "asin": "B00004TKVY",
        "imageURL": ["https://images.invalid/I/41._SX38_SY50_CR,0,0,38,50_.jpg"],
        "imageURLHighRes": ["https://images.invalid/I/41.jpg"],
    }
)
META_2023 = {
    "main_category": "All Beauty",
    "title": "Howard LC0008 Leather Conditioner",
    "average_rating": 4.8,
    "rating_number": 10,
    "features": ["8 oz"],
    "description": ["Cleans."],
    "price": "from 14.99",
    "images": [
        {"thumb": "http://i/b_t.jpg", "large": "http://i/b.jpg", "hi_res": None, "variant": "PT01"},
        {"thumb": "http://i/a_t.jpg", "large": "http://i/a.jpg", "hi_res": None, "variant": "MAIN"},
    ],
    "videos": [],
    "store": "Howard Products",
    "categories": [],
    "details": {"Brand": "Howard", "Item Weight": "8 oz"},
    "parent_asin": "B00PARENT1",
    "bought_together": None,
    "subtitle": None,
    "author": None,
}


def reviews(tmp_path, *lines: str | bytes):
    content = b"\n".join(x.encode() if isinstance(x, str) else x for x in lines) + b"\n"
    return read("amazon-reviews", interactions=write(tmp_path / "reviews.json", content))


def metadata(tmp_path, *lines: str):
    log = write(tmp_path / "reviews.json", REVIEW_2014)
    items = zipped(tmp_path / "meta.json.gz", "\n".join(lines))
    return read("amazon-reviews", interactions=log, items=items)


def test_reviews_of_three_editions_in_one_file(tmp_path):
    found = reviews(tmp_path, REVIEW_2014, REVIEW_2018, REVIEW_2023)
    assert found.rejects == []
    assert [tuple(row.values()) for row in found.interactions] == [
        ("A2SUAM1J3GNN3B", "0000013714", 5.0, 1252800000, None, "reviews.json", 1),
        ("A3WH6L8KMJ9XSB", "B00004TKVY", 4.0, 1538697600, None, "reviews.json", 2),
        ("AGKHLEW2SOWHNMFQIJGBECAF7INQ", "B00PARENT1", 5.0, 1588687728, None, "reviews.json", 3),
    ]


def test_a_review_without_seconds_has_its_written_day(tmp_path):
    line = REVIEW_2014.replace('"unixReviewTime": 1252800000, ', "")
    assert reviews(tmp_path, line).interactions[0]["timestamp"] == 1252800000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (REVIEW_2014[:-20], Reason.NOT_PARSEABLE),
        (REVIEW_2014.replace('"asin": "0000013714", ', ""), Reason.MISSING_FIELD),
        (REVIEW_2014.replace("5.0", "NaN"), Reason.BAD_VALUE),
        (REVIEW_2014.replace("5.0", "Infinity"), Reason.BAD_VALUE),
        (REVIEW_2014.replace("5.0", "null"), Reason.MISSING_FIELD),
        (REVIEW_2014.replace("5.0", "true"), Reason.BAD_VALUE),
        (REVIEW_2023.replace("1588687728923", '"yesterday"'), Reason.BAD_VALUE),
        (REVIEW_2018.replace("A3WH6L8KMJ9XSB", "A3\\u0000"), Reason.BAD_VALUE),
        (REVIEW_2018.replace("A3WH6L8KMJ9XSB", "\\ud800"), Reason.BAD_VALUE),
        (REVIEW_2018.encode().replace(b"Kim", b"K\xffm"), Reason.BAD_ENCODING),
        (b"\0" * 64, Reason.NOT_PARSEABLE),
        ("[1, 2]", Reason.NOT_PARSEABLE),
    ],
)
def test_a_bad_line_is_rejected_with_line_reason_and_text(tmp_path, line, reason):
    found = reviews(tmp_path, REVIEW_2014, "", line, REVIEW_2018)
    assert len(found.interactions) == 2
    assert found.reasons == [(3, reason)]
    raw = line if isinstance(line, str) else line.decode("utf-8", "replace")
    assert found.rejects[0]["text"] == raw
    assert found.records == 3


def test_the_text_of_a_reject_is_cut(tmp_path):
    found = reviews(tmp_path, REVIEW_2014, "x" * 10_000)
    assert len(found.rejects[0]["text"]) == 2000


def test_metadata_of_2014_are_literals(tmp_path):
    item = metadata(tmp_path, META_2014).item("0000031852")
    assert item["title"] == 'Girls Ballet Tutu "Zebra" & It\'s Pink'
    assert item["description"] == "Café style & bold ."
    assert item["brand"] == "Coxlures"
    assert item["categories"] == ["Sports & Outdoors", "Dance", "Girls"]
    assert item["price"] == pytest.approx(3.17)
    assert item["image"] == "http://images.invalid/I/51fAmVkTbyL._SY300_.jpg"


def test_metadata_of_2018_lose_their_markup(tmp_path):
    item = metadata(tmp_path, META_2018).item("B00004TKVY")
    assert item["title"] == "Corrugated & Sturdy"
    assert item["description"] == "First part. Second part. Light Cheap"
    assert item["brand"] == "Acme"
    assert item["categories"] == ["Electronics", "Camera & Photo"]
    assert item["price"] == pytest.approx(1234.56)
    assert item["image"] == "https://images.invalid/I/41.jpg"


def changed(line: str, **fields: object) -> str:
    return json.dumps(json.loads(line) | fields)


def test_a_main_category_may_be_a_picture_and_stands_in_for_categories(tmp_path):
    named = metadata(tmp_path, changed(META_2018, category=[])).items[0]
    assert named["categories"] == ["AMAZON FASHION"]


def test_a_title_that_is_a_script_is_none(tmp_path):
    line = changed(META_2018, title="var aPageStart = (new Date()).getTime();")
    assert metadata(tmp_path, line).items[0]["title"] is None


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"imageURLHighRes": []}, "https://images.invalid/I/41._SX38_SY50_CR,0,0,38,50_.jpg"),
        (
            {"imageURLHighRes": [], "imageURL": [], "image": ["http://i/old.jpg"]},
            "http://i/old.jpg",
        ),
        ({"imageURLHighRes": [], "imageURL": []}, None),
    ],
)
def test_the_fields_of_pictures_of_2018(tmp_path, fields, image):
    assert metadata(tmp_path, changed(META_2018, **fields)).items[0]["image"] == image


def item_2023(tmp_path, **fields: object):
    return metadata(tmp_path, json.dumps(META_2023 | fields)).item("B00PARENT1")


def test_metadata_of_2023(tmp_path):
    item = item_2023(tmp_path)
    assert item["title"] == "Howard LC0008 Leather Conditioner"
    assert item["description"] == "Cleans. 8 oz"
    assert item["brand"] == "Howard Products"
    assert item["categories"] == ["All Beauty"]
    assert item["price"] == pytest.approx(14.99)
    assert item["image"] == "http://i/a.jpg"


@pytest.mark.parametrize(
    ("fields", "column", "value"),
    [
        ({"price": 19.5}, "price", 19.5),
        ({"price": "19.50"}, "price", 19.5),
        ({"price": None}, "price", None),
        ({"price": "—"}, "price", None),
        ({"store": None}, "brand", "Howard"),
        ({"store": None, "details": '{"Brand": "Text Co"}'}, "brand", "Text Co"),
        ({"store": None, "details": "not json"}, "brand", None),
        ({"images": []}, "image", None),
        ({"images": {"hi_res": [None, "http://i/h.jpg"], "large": []}}, "image", "http://i/h.jpg"),
        ({"categories": ["Beauty", "All Beauty"]}, "categories", ["All Beauty", "Beauty"]),
        ({"main_category": None}, "categories", None),
    ],
)
def test_fields_of_2023_of_any_type(tmp_path, fields, column, value):
    assert item_2023(tmp_path, **fields)[column] == value


def test_a_key_that_stands_twice_is_handed_over_twice(tmp_path):
    found = metadata(tmp_path, META_2014, META_2014.replace("Coxlures", "Newer"))
    assert [(i["brand"], i["line"]) for i in found.items] == [("Coxlures", 1), ("Newer", 2)]


def test_metadata_without_key_or_sense_are_rejected(tmp_path):
    found = metadata(tmp_path, META_2014, '{"title": "no key"}', "{'asin': open('x')}")
    assert found.reasons == [(2, Reason.MISSING_FIELD), (3, Reason.NOT_PARSEABLE)]


def test_swapped_files_are_named(tmp_path):
    log = write(tmp_path / "meta.json", META_2018)
    with pytest.raises(DataError, match=r"looks like Amazon metadata, data\.items"):
        read("amazon-reviews", interactions=log)
    log = write(tmp_path / "reviews.json", REVIEW_2023)
    with pytest.raises(DataError, match=r"looks like Amazon reviews, data\.interactions"):
        read("amazon-reviews", interactions=log, items=log)


def test_other_json_is_refused_with_the_fields_it_has(tmp_path):
    path = write(tmp_path / "own.json", '{"customer": 1, "thing": 2}')
    with pytest.raises(DataError, match=r"'customer', 'thing'.*format: table"):
        read("amazon-reviews", interactions=path)


def test_a_missing_setting_says_which(tmp_path):
    with pytest.raises(DataError, match=r"data\.interactions"):
        read("amazon-reviews")


@pytest.mark.parametrize("edition", EDITIONS)
def test_generated_files_come_out_as_they_went_in(tmp_path, edition):
    spec = AmazonSpec(edition, users=60, items=200, interactions=300, bad_share=0.1)
    paths = make_amazon(tmp_path, spec)
    found = read("amazon-reviews", interactions=paths["reviews"], items=paths["metadata"])
    assert len(found.interactions) == 300
    assert len({row["user"] for row in found.interactions}) == 60
    assert len({row["key"] for row in found.items}) == 200
    assert len(found.items) == 202
    assert len(found.rejects) == 30 + 20
    assert {row["item"] for row in found.interactions} < {row["key"] for row in found.items}


def test_a_truncated_download_is_one_more_reject(tmp_path):
    paths = make_amazon(
        tmp_path, AmazonSpec(users=300, items=500, interactions=3000, truncated=True)
    )
    found = read("amazon-reviews", interactions=paths["reviews"])
    assert 2000 < len(found.interactions) < 3000
    assert [reason for _, reason in found.reasons] == [Reason.TRUNCATED]

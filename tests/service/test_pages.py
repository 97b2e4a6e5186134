"""The pages run their own script and nothing else, and fetch nothing from afar."""

import base64
import hashlib
import re
from importlib.resources import files

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.pages import PATHS, content_policy

SINKS = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
    "localStorage", "sessionStorage", "document.cookie",
)  # fmt: skip
REMOTE = re.compile(r"""(?:src|href|url|import|fetch|ask)\s*[=(]\s*["'`]?(?:https?:)?//""")
STATIC = sorted(path for path in PATHS if path.startswith("/dashboard/"))


@pytest.mark.parametrize("path", ["/", "/docs"])
class TestEachPage:
    def test_it_is_html_with_a_strict_policy(self, client, path):
        answer = client.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "script-src http" not in policy and "*" not in policy

    def test_it_names_no_other_host(self, client, path):
        assert not REMOTE.search(client.get(path).text)

    def test_it_builds_no_markup_from_text(self, client, path):
        text = client.get(path).text
        assert [sink for sink in SINKS if sink in text] == []
        assert not re.search(r"<[^>]+ (?:style|on\w+)=", text)

    def test_it_names_its_language_and_adapts_to_dark(self, client, path):
        text = client.get(path).text
        assert '<html lang="en">' in text
        sheet = text if path == "/docs" else client.get("/dashboard/style.css").text
        assert "prefers-color-scheme: dark" in sheet


class TestTheReference:
    def test_its_policy_names_its_own_script_by_hash_and_no_other(self, client):
        answer = client.get("/docs")
        script = re.search("<script>(.*?)</script>", answer.text, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}';" in answer.headers["content-security-policy"]


class TestTheDashboard:
    def test_it_holds_no_script_and_no_style_of_its_own(self, client):
        answer = client.get("/")
        assert "<style" not in answer.text and re.findall("<script(.*?)>", answer.text) == [
            ' type="module" src="/dashboard/app.js"'
        ]
        assert "script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]

    def test_every_file_of_it_is_served_and_nothing_else(self, client):
        folder = files("serving").joinpath("dashboard", "static")
        assert STATIC == sorted(f"/dashboard/{file.name}" for file in folder.iterdir())
        for gone in ("index.html", "docs.html", "..%2Findex.html", "%2e%2e%2fpages.py", ""):
            assert client.get(f"/dashboard/{gone}").status_code == 404

    def test_every_module_that_is_imported_is_there(self, client):
        for path in STATIC:
            for name in re.findall(r'from "\./([^"]+)"', client.get(path).text):
                assert f"/dashboard/{name}" in STATIC

    @pytest.mark.parametrize("path", STATIC)
    def test_a_part_is_labelled_and_not_sent_twice(self, client, path):
        answer = client.get(path)
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200

    @pytest.mark.parametrize("path", STATIC)
    def test_a_part_names_no_other_host_and_makes_no_markup_of_text(self, client, path):
        text = client.get(path).text
        assert not REMOTE.search(text)
        assert [sink for sink in SINKS if sink in text] == []

    def test_nobody_sees_it_where_browsing_is_off(self, settings):
        closed = settings.model_copy(update={"browse": False})
        with TestClient(create_app(closed)) as client:
            assert {client.get(path).status_code for path in ("/", *STATIC)} == {404}
            assert client.get("/docs").status_code == 200


def test_a_policy_covers_every_inline_part():
    policy = content_policy("<style>a</style><script>b</script><script>c</script>")
    assert policy.count("sha256-") == 3

"""The pages run their own script and nothing else, and fetch nothing from afar."""

import base64
import hashlib
import re
import shutil
import subprocess

import pytest

from serving.pages import content_policy

REMOTE = re.compile(r"""(?:src|href|url|import|fetch|ask)\s*[=(]\s*["'`]?(?:https?:)?//""")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.parametrize("path", ["/", "/docs"])
class TestEachPage:
    def test_it_is_html_with_a_policy_for_its_own_script(self, client, path):
        answer = client.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        script = re.search("<script>(.*?)</script>", answer.text, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = answer.headers["content-security-policy"]
        assert f"script-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy and "default-src 'none'" in policy

    def test_it_names_no_other_host(self, client, path):
        assert not REMOTE.search(client.get(path).text)

    def test_it_builds_no_markup_from_text(self, client, path):
        text = client.get(path).text
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text
        assert not re.search(r"<[^>]+ (?:style|on\w+)=", text)

    def test_it_names_its_language_and_adapts_to_dark(self, client, path):
        text = client.get(path).text
        assert '<html lang="en">' in text
        assert "prefers-color-scheme: dark" in text


def test_a_policy_covers_every_inline_part():
    policy = content_policy("<style>a</style><script>b</script><script>c</script>")
    assert policy.count("sha256-") == 3


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the pages with")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ["Most taken items", "index", "Thing 10 of kind 2"]),
        ("/#/user/u1", ["User u1", "Recommended", "often taken together with", "8 items"]),
        ("/#/user/nobody", ["most popular items"]),
        ("/#/item/i1", ["Thing 1 of kind 1", "Similar by", "Taken together"]),
        ("/#/like/i1,i2", ["Someone new", "Recommended"]),
        ("/#/item/gone", ["the catalogue holds no item"]),
        ("/docs#recommend_v1_recommend_post", ["Body: RecommendRequest", "exclude_ids", "Try it"]),
    ],
)
def test_a_browser_shows_it(address, tmp_path, path, shown):
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([CHROMIUM, *flags, address + path], capture_output=True, timeout=90)
    body = done.stdout.decode().split("<main", 1)[1].split("<script>", 1)[0]
    assert [text for text in shown if text not in body] == []

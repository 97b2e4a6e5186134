"""The documents are true: generated pages equal the code, links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs import generate

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", sorted(generate.PAGES))
def test_a_generated_page_equals_the_code(page):
    on_disk = (generate.REFERENCE / page).read_text()
    assert on_disk == generate.PAGES[page](), "run: python -m docs.generate"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page} links to {target}"

"""The documentation as a whole: links, the list of pages, and the site that `make docs` makes of them."""

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import ROOT
from pages import DOCS

SUMMARY = DOCS / "SUMMARY.md"
LINK = re.compile(r"\]\(([^)\s]*)\)")
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
PAGES = [ROOT / name for name in TRACKED if name.endswith(".md")]


def prose(page: Path) -> str:
    """A page without what stands in its blocks, and in quotation marks for code."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text())
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    found: list[str] = []
    for heading in re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text())):
        plain = re.sub(r"\]\([^)]*\)", "", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, fragment = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (fragment and fragment not in anchors(file)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert dead_links(page) == []


def test_a_dead_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A *page*, of one\n\n[1](#a-page-of-one) [2](#another) [3](page.md#a-page-of-one) [4](gone.md) `[5](no-link.md)` [6](https://example.com)\n")
    assert dead_links(page) == ["#another", "gone.md"]


def test_pages_that_are_named_are_there():
    """In all of the repository's text, be it a comment, a message or a page."""
    named = set()
    for name in TRACKED:
        file = ROOT / name
        if file.suffix in (".md", ".rs", ".py", ".toml", ".wit", ".yaml", ".json", "") and file.is_file():
            for found in re.findall(r"\bdocs/([\w-]+\.md)\b", file.read_text(errors="replace")):
                named.add(found)
    assert len(named) > 10
    assert {name for name in named if not (DOCS / name).exists()} == set()


def test_the_book_has_every_page_once():
    listed = LINK.findall(SUMMARY.read_text())
    assert len(listed) == len(set(listed))
    assert {page.name for page in DOCS.glob("*.md")} - {"SUMMARY.md"} == {link for link in listed if "/" not in link}


class Page(HTMLParser):
    """What a page of the site has its reader's browser fetch, where it leads to, and which places it has."""

    def __init__(self, file: Path):
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id", ""))
        if tag == "a":
            self.links.append(values.get("href", ""))
        else:
            self.fetched += [values[name] for name in ("src", "href", "srcset", "data", "action") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "docs"
    done = subprocess.run([ROOT / "scripts/docs", out], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_asks_nobody_else(site):
    """Scripts, styles, pictures and fonts are the site's own."""
    seen = 0
    for file in site.rglob("*.html"):
        for address in Page(file).fetched:
            seen += 1
            assert not re.match(r"[a-z]+:|//", address) or address.startswith("data:"), f"{file.name} fetches {address}"
    assert seen > 300
    for file in site.rglob("*.css"):
        fetched = re.findall(r"url\(['\"]?([^)'\"]*)", file.read_text()) + re.findall(r"@import\s+['\"]([^'\"]*)", file.read_text())
        assert all(not re.match(r"https?:|//", address) for address in fetched), f"{file.name} fetches {fetched}"
    for file in site.rglob("*.js"):
        text = re.sub(r"(?s)/\*.*?\*/|(?m:^\s*//.*$)", "", file.read_text())
        called = re.findall(r"(?:fetch\w*|open|import|Request)\(\s*['\"`](https?://[^'\"`]*)", text)
        # mdBook asks its playground about blocks that can be run there, of which there are none.
        assert not called or file.name.startswith("book-"), f"{file.name} asks {called}"
    assert not any(re.search(r'class="[^"]*playground[ "]', file.read_text()) for file in site.rglob("*.html"))


def test_links_of_the_site_lead_somewhere(site):
    read = {file: Page(file) for file in site.rglob("*.html")}
    seen = 0
    for file, page in read.items():
        # The page for print has all others in it; what is not found is shown at any place.
        if file.name in ("print.html", "404.html", "toc.html"):
            continue
        for link in page.links:
            if "://" in link or link.startswith(("mailto:", "javascript:")):
                continue
            target, _, fragment = link.partition("#")
            other = (file.parent / target).resolve() if target else file
            assert other.is_file(), f"{file.name} links to {link}"
            assert not fragment or fragment in read[other].ids, f"{file.name} links to {link}"
            seen += 1
    assert seen > 200


def test_the_site_can_be_searched(site):
    (index,) = site.glob("searchindex*.js")
    text = index.read_text()
    for word in ("dead letters", "ALTER CONSUMER GROUP", "Where a group begins"):
        assert word in text, f"{word} is not found"


def test_marks_of_blocks_are_not_in_the_site(site):
    for file in site.rglob("*.html"):
        assert not re.search(r"<!-- (not run|run|output|fails|its own server|an administrator)", file.read_text()), file.name

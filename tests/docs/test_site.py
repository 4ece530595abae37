"""The site builds without a warning, holds every page, and asks nothing of the network."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))

pytest.importorskip("material", reason="mkdocs-material is in the test extra")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, the classes of its elements, and the text of its blocks of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.blocks: list[str] = []
        self.depth = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.loads.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect", "prefetch"):
            self.loads.append(given.get("href") or "")
        if tag == "pre":
            self.depth += 1
            self.blocks.append("")

    def handle_endtag(self, tag):
        self.depth -= tag == "pre"

    def handle_data(self, data):
        if self.depth:
            self.blocks[-1] += data


def test_every_page_is_there(site):
    assert all((site / page.with_suffix(".html")).is_file() for page in PAGES)
    navigation = (site / "language.html").read_text(encoding="utf-8")
    assert not [
        page
        for page in PAGES
        if f'{page.with_suffix(".html").as_posix()}"' not in navigation and page.stem != "language"
    ]


def test_nothing_is_fetched_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loads = Page(path.read_text(encoding="utf-8")).loads
        assert loads
        assert not [url for url in loads if re.match(r"\w+:|//", url)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", path.read_text(encoding="utf-8")), path


def test_answers_and_blocks_are_rendered(site):
    for page in PAGES:
        source = (ROOT / "docs" / page).read_text(encoding="utf-8")
        text = (site / page.with_suffix(".html")).read_text(encoding="utf-8")
        assert not re.search(r"^(<p>)?\s*```", text, re.MULTILINE), page
        assert len(Page(text).blocks) >= source.count("\n```") // 2
        assert text.count("<summary>") >= source.count("<summary>")


def test_options_do_not_break_behind_their_dashes(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert '<code class="whole">--explain</code>' in text
    assert ".md-typeset code.whole" in (site / "assets" / "site.css").read_text(encoding="utf-8")

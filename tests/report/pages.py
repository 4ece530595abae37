"""Reading pages in tests: is every tag closed, what refers to what, what would a browser fetch or run."""

from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}
FETCHING = {"src", "srcset", "href", "action", "data", "poster", "xlink:href", "formaction", "background"}


class Reader(HTMLParser):
    """Tags, ids, links; `mistakes` lists tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.mistakes, self.ids, self.links, self.fetched, self.tags = [], [], [], [], [], []
        self.handlers, self.texts, self.headings = [], [], []
        self.feed(text)
        self.close()
        self.mistakes += [f"<{x}> is never closed" for x in self.open]

    def handle_starttag(self, tag, attrs):
        self._met(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._met(tag, attrs)

    def _met(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append((tag, name))
            if name in FETCHING:
                (self.links if tag == "a" else self.fetched).append(value)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.mistakes.append(f"</{tag}> after {self.open[-3:]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self):
        """What a reader sees, but for styles."""
        return "".join(data for tag, data in self.texts if tag != "style")

    def style(self):
        return "".join(data for tag, data in self.texts if tag == "style")


def checked(text):
    """A page's reader, after what holds for every page."""
    page = Reader(text)
    assert page.mistakes == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links), "a link leads out of the page"
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert page.fetched == []
    assert page.handlers == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    assert "url(" not in page.style()
    assert "@import" not in page.style()
    return page

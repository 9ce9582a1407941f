"""Reads the pages that reports are."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

LOADING = {"script", "link", "iframe", "object", "img", "image", "base"}  # tags of pages that need more than themselves
REFERENCES = {"src", "href", "xlink:href", "srcset", "data"}
VOID = ("meta", "br", "input")


class Page(HTMLParser):
    """Collects a page's tags, ids, what it refers to, and its text; complains of tags that aren't closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.references, self.text, self._open = set(), [], [], "", []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.ids += [value for key, value in attributes if key == "id"]
        self.references += [value for key, value in attributes if key in REFERENCES]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open[-1:] != ["style"]:
            self.text += text


def check_self_contained(html):
    """Assert that a page is well-formed and needs nothing from elsewhere; returns its Page."""
    page = Page(html)
    assert not page.tags & LOADING
    assert len(page.ids) == len(set(page.ids))
    targets = page.references + re.findall(r"url\((.*?)\)", html)
    assert {target[0] for target in targets} <= {"#"}
    assert {target[1:] for target in targets} <= set(page.ids)
    assert "@import" not in html
    for svg in svgs(html):
        ElementTree.fromstring(svg)
    return page


def svgs(html):
    """The SVG elements of a page."""
    return re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)


def text_of(html):
    """A page's text, all space single."""
    return re.sub(r"\s+", " ", Page(html).text)

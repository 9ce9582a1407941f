"""Reads the pages that reports are."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects what a page refers to, its text, and whether its tags are balanced."""

    VOID = {"meta", "input", "br", "line", "circle", "rect", "polyline", "polygon", "path"}

    def __init__(self, html):
        super().__init__()
        self.references, self.text, self.open = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.references += [value for key, value in attributes if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

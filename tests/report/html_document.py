"""An HTML text as its elements."""

import html.parser

HTML_VOID = {"meta", "img", "br", "link", "input", "hr"}


class Document(html.parser.HTMLParser):
    """All elements of an HTML text as `(tag, attributes)`, all texts, and a check that elements are
    closed in order.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in HTML_VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

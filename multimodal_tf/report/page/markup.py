"""HTML elements. A text put into one is escaped when the tree is written out, and there is no way
around that.
"""

import re
import xml.etree.ElementTree as ElementTree

Element = ElementTree.Element
Child = Element | str | None

_NEVER_IN_HTML = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element of HTML or SVG.

    Args:
        tag: its name.
        children: elements and texts in order; None is left out.
        attributes: `class_` is `class` and `aria_sort` is `aria-sort`; None is left out.

    Example:
        >>> written(element("p", "1 < 2", element("b", "!"), class_="a", data_sort='"'))
        '<p class="a" data-sort="&quot;">1 &lt; 2<b>!</b></p>'
    """
    made = Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): clean(str(value))
            for name, value in attributes.items()
            if value is not None
        },
    )
    for child in children:
        add(made, child)
    return made


def add(parent: Element, child: Child):
    """Puts an element or a text after what `parent` holds; None is left out."""
    if isinstance(child, Element):
        parent.append(child)
    elif child is not None and len(parent):
        parent[-1].tail = (parent[-1].tail or "") + clean(child)
    elif child is not None:
        parent.text = (parent.text or "") + clean(child)


def words(text: str, tag: str = "span", **attributes: object) -> Element:
    """An element around a text of the data, in any language: it finds its own direction and does
    not turn its neighbours round.
    """
    return element(tag, text, dir="auto", **attributes)


def clean(text: str) -> str:
    """The text with U+FFFD for the characters that no HTML may hold, such as NUL and lone
    surrogates.
    """
    return _NEVER_IN_HTML.sub("\ufffd", text.replace("\r\n", "\n"))


def written(tree: Element) -> str:
    """The tree as HTML. Only `style` and `script` are written as they are: put nothing of the data
    into them.
    """
    return ElementTree.tostring(tree, encoding="unicode", method="html")

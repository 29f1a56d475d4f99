"""Writing XML as text: elements without content are left out."""

from typing import Final
from xml.sax.saxutils import escape, quoteattr

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def text(tag: str, content: str, **attributes: str) -> str:
    """Return an element with a text; empty attributes are left out."""
    if not content:
        return ""
    return f"<{tag}{_attributes(attributes)}>{escape(content, {chr(13): '&#13;'})}</{tag}>"


def group(tag: str, *elements: str) -> str:
    """Return an element with the elements that are not empty."""
    content = "".join(elements)
    return f"<{tag}>{content}</{tag}>" if content else ""


def opening(tag: str, namespaces: dict[str, str]) -> str:
    """Return the start tag of an element with its namespaces by their prefixes."""
    names = {f"xmlns:{prefix}" if prefix else "xmlns": uri for prefix, uri in namespaces.items()}
    return f"<{tag}{_attributes(names)}>"


def rows(*elements: str) -> str:
    """Return the elements that are not empty, each on a line of its own."""
    return "".join(f"{element}\n" for element in elements if element)


def _attributes(values: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value)

"""Text from outside, safe to show: labels, names, what a caller or a file wrote."""

import json
from collections.abc import Iterable
from typing import Final

PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of a report that is one file: it fetches nothing and runs no script, whatever text is in it."""


def printable(text: str) -> str:
    """One line in which all that moves the cursor, ends the line or turns it round is escaped.

    Escapes are those of JSON, so that a line of JSON stays JSON.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which stay."""
    return "\n".join(map(printable, text.split("\n")))


def joined(lines: Iterable[str]) -> str:
    """Text of these lines and no more, whatever stands in them."""
    return "\n".join(map(printable, lines))

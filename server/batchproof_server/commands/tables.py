"""Tables for people."""

from collections.abc import Iterator, Sequence


def table(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """The lines of a table, the first row being its headings.

    Args:
        rows: all of the same length.
        left: so many columns go to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()

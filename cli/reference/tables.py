"""Tables of Markdown."""

import re
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with a newline at its end.

    Args:
        heads: Headings of its columns.
        rows: Cells, each on one line after this: line breaks and bars are made harmless.
    """
    lines = [list(heads), ["---"] * len(heads), *([_cell(cell) for cell in row] for row in rows)]
    return "".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|\n" for line in lines)


def code(text: str) -> str:
    """Return a text as code; the empty text stays empty."""
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")

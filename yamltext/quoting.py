"""Pieces of the input in messages: bounded, and without characters that change what a terminal shows."""

_LONGEST = 80


def shown(text: str, longest: int = _LONGEST) -> str:
    """Return the text cut to `longest` characters, with escapes for those that do not print."""
    start = text[: longest + 1]
    if not start.isprintable():
        start = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in start)
    return start if len(start) <= longest else f"{start[:longest]}…"

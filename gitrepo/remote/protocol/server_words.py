"""A server's words to people: the output of its hooks, and the text of its refusals."""

from porchflow.api.git_address import without_secrets
from porchflow.api.limits import GIT_WORDS_CHARACTERS

_RAW_BYTES = 8 * GIT_WORDS_CHARACTERS


class Words:
    """Collects words. Progress, whose lines end where the next one overwrites them, is dropped."""

    def __init__(self) -> None:
        """Begin without words."""
        self._raw = bytearray()

    def add(self, data: bytes) -> None:
        """Add what comes next; lines may be cut anywhere."""
        self._raw += data
        if len(self._raw) > 2 * _RAW_BYTES:
            self._raw = bytearray(_without_progress(bytes(self._raw))[-_RAW_BYTES:])

    def __str__(self) -> str:
        return clean(_without_progress(bytes(self._raw)).decode(errors="replace"))


def clean(text: str) -> str:
    """Return words without secrets and control characters: the last ones where there are many."""
    lines = ("".join(each for each in line if each.isprintable()).rstrip() for line in text.splitlines())
    words = without_secrets("\n".join(lines).strip())
    return words if len(words) <= GIT_WORDS_CHARACTERS else f"…{words[1 - GIT_WORDS_CHARACTERS :]}"


def _without_progress(raw: bytes) -> bytes:
    return b"\n".join(line.rpartition(b"\r")[2] for line in raw.replace(b"\r\n", b"\n").split(b"\n"))

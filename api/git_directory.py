"""Which names of files stand for Git's own directory. Pure."""

from typing import Final

_IGNORED: Final = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF),
)
"""Characters that HFS+ leaves out of names."""
_NAMES: Final = frozenset({".git", "git~1"})


def is_git_directory(name: str) -> bool:
    r"""Return whether some file system takes a name for `.git`: in other case, as Windows or as macOS reads it.

    Git servers that check objects refuse such a name, and with it the push of everybody whose work is in it.

    Args:
        name: One part of a path. A backslash parts it further, as on Windows.
    """
    return any(_is_git(part) for part in name.translate(_IGNORED).lower().split("\\"))


def _is_git(part: str) -> bool:
    # Windows leaves out blanks and dots at the end, and what a colon begins.
    return part.partition(":")[0].rstrip(" .") in _NAMES

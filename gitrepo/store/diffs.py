"""Differences between two states of a package, in the format of Git and `patch`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pygit2

from porchflow.gitrepo.store.trees import File, Mode

_CONTEXT_LINES = 3
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"\\]+")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r", '"': '\\"'}


@dataclass(frozen=True)
class FileDiff:
    """The difference of one file. A change between a file and a symbolic link is two: a removal and an addition."""

    path: str
    """Path below the package's directory."""
    old: File | None
    """None for an added file."""
    new: File | None
    """None for a removed file."""
    binary: bool
    """Whether the file is binary, and the difference has no lines."""
    added: int
    """Added lines; 0 for a binary file."""
    removed: int
    """Removed lines; 0 for a binary file."""
    hunks: bytes
    """The changed lines in unified format; empty for a binary file, and where only the mode differs."""

    @property
    def header(self) -> list[str]:
        """The lines before the hunks, as Git writes them."""
        old, new = _quoted(f"a/{self.path}"), _quoted(f"b/{self.path}")
        lines = [f"diff --git {old} {new}", *self._modes()]
        old, new = old if self.old else "/dev/null", new if self.new else "/dev/null"
        if self.binary:
            lines.append(f"Binary files {old} and {new} differ")
        elif self.hunks:
            lines += [f"--- {_ended(old)}", f"+++ {_ended(new)}"]
        return lines

    def _modes(self) -> list[str]:
        if self.old is None and self.new is not None:
            return [f"new file mode {self.new.mode:o}"]
        if self.new is None and self.old is not None:
            return [f"deleted file mode {self.old.mode:o}"]
        if self.old is not None and self.new is not None and self.old.mode != self.new.mode:
            return [f"old mode {self.old.mode:o}", f"new mode {self.new.mode:o}"]
        return []


def compare_files(old: Mapping[str, File], new: Mapping[str, File]) -> list[FileDiff]:
    """Return the files that differ, by path.

    Args:
        old: The files before, by path.
        new: The files after, by path.
    """
    found: list[FileDiff] = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before and after and (before.mode is Mode.SYMLINK) != (after.mode is Mode.SYMLINK):
            found += [_compare(path, before, None), _compare(path, None, after)]
        else:
            found.append(_compare(path, before, after))
    return found


def _compare(path: str, old: File | None, new: File | None) -> FileDiff:
    before, after = old.data if old else None, new.data if new else None
    if (before or b"") == (after or b""):
        return FileDiff(path, old, new, binary=False, added=0, removed=0, hunks=b"")
    patch = pygit2.Patch.create_from(before, after, context_lines=_CONTEXT_LINES)
    if patch.delta.is_binary:
        return FileDiff(path, old, new, binary=True, added=0, removed=0, hunks=b"")
    _, added, removed = patch.line_stats
    # The lines before the hunks have no real names of files: libgit2 compared two texts.
    _, _, hunks = patch.data.partition(b"\n@@ ")
    return FileDiff(path, old, new, binary=False, added=added, removed=removed, hunks=b"@@ " + hunks)


def _quoted(name: str) -> str:
    """Return a name as Git writes it: in quotes if it has quotes, backslashes or control characters."""
    if _PLAIN.fullmatch(name):
        return name
    escaped = (_ESCAPES.get(char) or ("\\\\" if char == "\\" else _octal(char)) for char in name)
    return f'"{"".join(escaped)}"'


def _octal(char: str) -> str:
    return f"\\{ord(char):03o}" if ord(char) < ord(" ") or char == "\x7f" else char


def _ended(name: str) -> str:
    """Return a name with a tab after it if it has spaces: `patch` finds the end of the name by the tab."""
    return f"{name}\t" if " " in name and not name.startswith('"') else name

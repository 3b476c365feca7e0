"""A package made from its upstream: the changes in its Kptfile and its package context.

Source: docs/reference/kptfile.md, "A package made from another".
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from porchflow.kpt.format.files import KPTFILE, decode
from porchflow.kpt.format.init import CONTEXT_NAME, PACKAGE_CONTEXT
from porchflow.kpt.format.kptfile import GitLock
from porchflow.kpt.format.kptfile import decode as decode_kptfile
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document
from porchflow.yamltext.split import Part, join, split
from porchflow.yamltext.yaml_error import YamlError


@dataclass(frozen=True)
class GitUpstream:
    """The place in Git that a package was made from."""

    repo: str
    directory: str
    ref: str
    commit: str

    @property
    def place(self) -> dict[str, str]:
        """The Kptfile's `upstream.git`; as in kpt, `repo` ends with `.git`, and `directory` has no leading slash."""
        repo = f"{self.repo.rstrip('/').removesuffix('.git')}.git"
        return {"repo": repo, "directory": self.directory.removeprefix("/"), "ref": self.ref}

    @property
    def lock(self) -> dict[str, str]:
        """The Kptfile's `upstreamLock.git`: `place` with the `commit`."""
        return {**self.place, "commit": self.commit}


def downstream_files(
    files: Mapping[str, bytes],
    name: str,
    upstream: GitUpstream,
    *,
    keeps_strategy: bool = False,
    drops_status: bool = False,
) -> dict[str, bytes]:
    """Return the files that change when a package is made from its upstream.

    Args:
        files: Files with the Kptfile, and with the package context if the package has one.
        name: Name of the package.
        upstream: The place of the content.
        drops_status: Whether the Kptfile loses its status, which says how the upstream was rendered.
        keeps_strategy: Whether `upstream.updateStrategy` stays, as in an upgrade: the user of the package set it.

    Raises:
        InvalidPackage: There is no Kptfile, or it cannot be decoded.
    """
    if KPTFILE not in files:
        raise InvalidPackage(KPTFILE, "is missing: a directory without one is no package")
    new = {KPTFILE: _kptfile(files[KPTFILE], name, upstream, keeps_strategy=keeps_strategy, drops_status=drops_status)}
    if PACKAGE_CONTEXT in files:
        new[PACKAGE_CONTEXT] = _context(files[PACKAGE_CONTEXT], name)
    return {path: content for path, content in new.items() if content != files[path]}


def upstream_lock(kptfile: bytes) -> GitLock | None:
    """Return `upstreamLock.git` of a Kptfile; None if it has none, or cannot be decoded."""
    try:
        lock = decode_kptfile(Document(decode(KPTFILE, kptfile)), KPTFILE).upstream_lock
    except (InvalidPackage, YamlError):
        return None
    return lock.git if lock is not None else None


def _kptfile(content: bytes, name: str, upstream: GitUpstream, *, keeps_strategy: bool, drops_status: bool) -> bytes:
    try:
        document = Document(decode(KPTFILE, content))
        decode_kptfile(document, KPTFILE)
        value: Any = deepcopy(document.value)
        value["metadata"] = {**(value.get("metadata") or {}), "name": name}
        before = (value.get("upstream") or {}) if keeps_strategy else {}
        kept = {key: item for key, item in before.items() if key == "updateStrategy"}
        value["upstream"] = {"type": "git", "git": upstream.place, **kept}
        value["upstreamLock"] = {"type": "git", "git": upstream.lock}
        if drops_status:
            value.pop("status", None)
        return document.edit(value).text.encode()
    except YamlError as error:
        raise InvalidPackage(KPTFILE, f"error reading Kptfile: yaml: {error}") from None


def _context(content: bytes, name: str) -> bytes:
    """Write the package's name into the package context; a file that is none stays as it is."""
    try:
        parts = split(content.decode())
        return join([_named(part, name) for part in parts]).encode()
    except (UnicodeDecodeError, YamlError):
        # The rendering reports a file that cannot be parsed, with its line.
        return content


def _named(part: Part, name: str) -> Part:
    if not part.has_content:
        return part
    document = Document(part.body)
    value: Any = document.value
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap":
        return part
    metadata, data = value.get("metadata"), value.get("data")
    if not isinstance(metadata, dict) or metadata.get("name") != CONTEXT_NAME or not isinstance(data, dict):
        return part
    renamed = document.edit({**value, "data": {**data, "name": name}})
    return Part(part.separator, renamed.text, part.line)

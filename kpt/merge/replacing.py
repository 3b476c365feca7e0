"""The strategies that take upstream's files as they are: fast-forward, force-delete-replace and copy-merge.

In all of them the Kptfile of the package itself is merged, and a package context keeps the package's name.

Source: docs/reference/kpt-merge.md, "Strategies".
"""

from posixpath import basename

from porchflow.kpt.format.files import KPTFILE, is_krm
from porchflow.kpt.format.init import PACKAGE_CONTEXT
from porchflow.kpt.merge.documents import merge_single, parse_file, replaced, single, whole
from porchflow.kpt.merge.kptfile_merge import merge_kptfiles, same_package, without_rendering
from porchflow.kpt.merge.merge_result import Conflict, Kept, UpdateOutcome, in_order
from porchflow.kpt.merge.resource_identity import unchanged, with_own
from porchflow.kpt.merge.sides import LOCAL, NEW_UPSTREAM, OLD_UPSTREAM, Sides
from porchflow.kpt.package_errors import InvalidPackage, LocalChanges
from porchflow.yamltext.document import Document


def fast_forward(sides: Sides) -> UpdateOutcome:
    """Return the new upstream, for a package without local changes.

    Raises:
        LocalChanges: The package differs from the old upstream.
        InvalidPackage: A Kptfile is not YAML.
    """
    changed = [path for path in {*sides.base, *sides.local} if differs(path, *sides.of(path)[::2])]
    if changed:
        raise LocalChanges(changed)
    files = dict(sides.upstream)
    for path in files:
        base, upstream, local = sides.of(path)
        if local is not None and upstream in (base, local):
            files[path] = local
    conflicts = _keep_own(sides, files)
    if KPTFILE in files:
        parsed = single(LOCAL, KPTFILE, files[KPTFILE])
        plain = parsed.documents[0].edit(without_rendering(parsed.documents[0].value))
        files[KPTFILE] = replaced(KPTFILE, files[KPTFILE], parsed, plain)
    return UpdateOutcome(files, in_order(conflicts))


def force_delete_replace(sides: Sides) -> UpdateOutcome:
    """Return the new upstream and nothing else.

    Raises:
        InvalidPackage: A Kptfile is not YAML.
    """
    files = {path: _same_object(content, sides.local.get(path)) for path, content in sides.upstream.items()}
    conflicts = _keep_own(sides, files)
    return UpdateOutcome(files, in_order([*conflicts, *_lost(sides, files)]))


def copy_merge(sides: Sides) -> UpdateOutcome:
    """Return the new upstream and the local package's further files, without those that upstream removed.

    Raises:
        InvalidPackage: A Kptfile is not YAML.
    """
    files = {path: content for path, content in sides.local.items() if path not in sides.base}
    files |= {path: _same_object(content, sides.local.get(path)) for path, content in sides.upstream.items()}
    conflicts = _keep_own(sides, files)
    return UpdateOutcome(files, in_order([*conflicts, *_lost(sides, files)]))


def _same_object(content: bytes, local: bytes | None) -> bytes:
    return local if local is not None and local == content else content


def _keep_own(sides: Sides, files: dict[str, bytes]) -> list[Conflict]:
    """Merge the package's Kptfile into the result, and keep its name in its package context."""
    base, upstream, local = sides.of(KPTFILE)
    conflicts: list[Conflict] = []
    if local is not None:
        files[KPTFILE] = local
        if upstream is not None:
            files[KPTFILE], conflicts = merge_single(
                KPTFILE, base, upstream, local, lambda *three: merge_kptfiles(*three, take_upstream=True)
            )
    _, upstream, local = sides.of(PACKAGE_CONTEXT)
    if upstream is not None and local is not None and files[PACKAGE_CONTEXT] is not local:
        files[PACKAGE_CONTEXT] = _own_context(upstream, local)
    return conflicts


def _own_context(upstream: bytes, local: bytes) -> bytes:
    """Return upstream's package context with the local name; upstream's own where one of them is no package context."""
    try:
        theirs, ours = single(NEW_UPSTREAM, PACKAGE_CONTEXT, upstream), single(LOCAL, PACKAGE_CONTEXT, local)
    except InvalidPackage:
        return upstream
    document = theirs.documents[0].edit(with_own(theirs.documents[0].value, ours.documents[0].value))
    return _same_object(replaced(PACKAGE_CONTEXT, upstream, theirs, document), local)


def _lost(sides: Sides, files: dict[str, bytes]) -> list[Conflict]:
    """Return every local change that the result does not have."""
    conflicts = []
    for path in sorted({*sides.base, *sides.local}):
        base, upstream, local = sides.of(path)
        if path == KPTFILE or files.get(path) == local or not differs(path, base, local):
            continue
        conflicts.append(whole(path, change(base, local), change(base, upstream), Kept.UPSTREAM))
    return conflicts


def change(base: bytes | None, content: bytes | None) -> str:
    """Return a side's change of a file, in one word."""
    if content is None:
        return "(none)" if base is None else "deleted"
    if base is None:
        return "added"
    return "unchanged" if base == content else "changed"


def differs(path: str, base: bytes | None, local: bytes | None) -> bool:
    """Return whether a file was changed locally, in a way that matters to a user (`resource_identity.unchanged`)."""
    if base == local:
        return False
    if base is None or local is None or not is_krm(path):
        return True
    if base.replace(b"\r\n", b"\n") == local.replace(b"\r\n", b"\n"):
        return False
    try:
        olds = parse_file(OLD_UPSTREAM, path, base).documents
        ours = parse_file(LOCAL, path, local).documents
    except InvalidPackage:
        return True
    alike = _same_kptfile if basename(path) == KPTFILE else unchanged
    return len(olds) != len(ours) or not all(map(alike, olds, ours))


def _same_kptfile(base: Document, local: Document) -> bool:
    return same_package(base.value, local.value)

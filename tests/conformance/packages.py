"""What becomes of the packages of public repositories: cloned, rendered with built-in functions, upgraded.

Each result is compared with what it has to be. No other program takes part.
"""

import copy
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname
from typing import Any, Final

import pygit2

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.cli.render.evaluator import open_evaluator
from porchflow.cli.settings import load_settings
from porchflow.kpt.format.files import KPTFILE, Files, is_krm
from porchflow.kpt.format.init import PACKAGE_CONTEXT
from porchflow.kpt.format.upstream import GitUpstream, downstream_files
from porchflow.kpt.merge.resource_identity import UPSTREAM_IDENTIFIER
from porchflow.kpt.merge.update import UpdateOutcome, update_package
from porchflow.kpt.package_errors import FunctionFailed, InvalidPackage
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.hydrate import RenderOutcome, render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.yamltext.document import Document, same
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.split import Part, join, split
from porchflow.yamltext.yaml_error import YamlError

EQUAL, FORMAT, NONE = "equal", "format only", "-"
REFUSED, DIFFERS = "refused: ", "differs: "

_OWN: Final = (KPTFILE, PACKAGE_CONTEXT)
"""Files in which a clone differs from its upstream."""
_LOCAL: Final = "example.com/local"
_PREFIX: Final = "ghcr.io/kptdev/krm-functions-catalog/"


@dataclass(frozen=True)
class Row:
    """What became of one package.

    Attributes:
        package: Repository and directory.
        clone: `equal`, or why it was refused.
        render: `equal`: files that mean the same are the same, and a second rendering changes nothing.
        upgrade: `equal`: an untouched package becomes the new upstream, and one with a local field keeps it and gets
            the rest, except for files with a conflict, which is told. `-` where there is one version only.
    """

    package: str
    clone: str
    render: str
    upgrade: str

    @property
    def results(self) -> tuple[str, str, str]:
        return self.clone, self.render, self.upgrade


class UnreadableFolder(Exception):  # noqa: N818 - named for what happened
    """A folder has no repositories; the message says which."""


def repositories(folder: Path) -> list[Path]:
    """Return the Git repositories in a folder, or the folder itself where it is one.

    Raises:
        UnreadableFolder: There are none.
    """
    candidates = [folder, *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    found = [each for each in candidates if (each / ".git").exists() or (each / "objects").is_dir()]
    if not found:
        raise UnreadableFolder(f"{folder} holds no Git repositories: clone some into it first")
    return found


async def rows(places: list[Path]) -> AsyncIterator[Row]:
    """Try every package of some repositories."""
    async with open_evaluator(load_settings({})) as evaluate:
        for place in places:
            repository = pygit2.Repository(str(place))
            for directory in _packages(repository):
                files = _files(repository, "HEAD", directory)
                older = _older(place, repository, directory)
                name = f"{place.name}/{directory}".rstrip("/")
                yield Row(name, _cloned(files), await _rendered(files, evaluate), _upgraded(older, files))


def _packages(repository: pygit2.Repository) -> list[str]:
    """Return the directories of the outermost packages."""
    if repository.head_is_unborn:
        return []
    found: list[str] = []
    kptfiles = sorted(path for path in _paths(_tree(repository, "HEAD", "")) if f"/{path}".endswith(f"/{KPTFILE}"))
    for directory in sorted(map(dirname, kptfiles), key=lambda each: (each.count("/"), each)):
        if not any(directory == each or directory.startswith(f"{each}/" if each else "") for each in found):
            found.append(directory)
    return sorted(found)


def _tree(repository: pygit2.Repository, revision: str, directory: str) -> pygit2.Tree:
    tree: Any = repository.revparse_single(revision).peel(pygit2.Tree)
    return tree[directory] if directory else tree


def _paths(tree: pygit2.Tree, before: str = "") -> Iterator[str]:
    for entry in tree:
        path = f"{before}{entry.name}"
        if isinstance(entry, pygit2.Tree):
            yield from _paths(entry, f"{path}/")
        elif entry.filemode in (pygit2.GIT_FILEMODE_BLOB, pygit2.GIT_FILEMODE_BLOB_EXECUTABLE):
            yield path


def _files(repository: pygit2.Repository, revision: str, directory: str) -> dict[str, bytes]:
    tree = _tree(repository, revision, directory)
    return {path: tree[path].data for path in _paths(tree)}  # type: ignore[union-attr]  # paths of files


def _older(place: Path, repository: pygit2.Repository, directory: str) -> dict[str, bytes] | None:
    """Return a package before the last commit that changed it; None where it has had one version only."""
    log = ["git", "-C", str(place), "log", "--format=%H", "-n", "2", "HEAD", "--", directory or "."]
    commits = subprocess.run(log, capture_output=True, text=True, check=True).stdout.split()
    try:
        files = _files(repository, commits[1], directory)
    except (IndexError, KeyError):
        return None
    return files if KPTFILE in files else None


# Cloning


def _downstream(files: Mapping[str, bytes]) -> dict[str, bytes]:
    upstream = GitUpstream("https://git.example.com/upstream.git", "package", "v1", "0" * 40)
    return {**files, **downstream_files(files, "cloned", upstream)}


def _cloned(files: Mapping[str, bytes]) -> str:
    return _told(lambda: _compared(files, _downstream(files), but=_OWN))


def _told(result: Callable[[], str]) -> str:
    try:
        return result()
    except (InvalidPackage, YamlError) as error:
        return REFUSED + _line(str(error))


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


# Rendering


async def _rendered(files: Mapping[str, bytes], evaluate: Evaluator) -> str:
    try:
        once = await _render(files, evaluate)
        if not once.ok:
            return REFUSED + _line(once.message)
        formatted = [path for path in files if _only_formatted(files[path], once.files.get(path, b""), path)]
        again = await _render(once.files, evaluate)
    except FunctionFailed as error:
        return REFUSED + _line(error.message)
    compared = _compared(once.files, again.files, but=(KPTFILE,))
    return compared if compared != EQUAL else FORMAT if formatted else EQUAL


async def _render(files: Mapping[str, bytes], evaluate: Evaluator) -> RenderOutcome:
    return await render(files, evaluate, images=ImageResolver(_PREFIX))


# Upgrades


def _upgraded(base: Mapping[str, bytes] | None, upstream: Mapping[str, bytes]) -> str:
    return NONE if base is None else _told(lambda: _both_upgrades(base, upstream))


def _both_upgrades(base: Files, upstream: Files) -> str:
    untouched = _merged(base, upstream, _downstream(base))
    compared = _compared(upstream, untouched.files, but=_OWN)
    if compared != EQUAL:
        return compared
    touched = _merged(base, upstream, {path: _with_field(path, file) for path, file in _downstream(base).items()})
    told = {conflict.path for conflict in touched.conflicts}
    for path in sorted(upstream.keys() & base.keys() - {*_OWN, *told}):
        if problem := _lost(path, base[path], upstream[path], touched.files.get(path, b"")):
            return f"{DIFFERS}{path} {problem}"
    return EQUAL


def _lost(path: str, base: bytes, upstream: bytes, result: bytes) -> str:
    """Return what an upgrade lost of upstream's values or of the local field; empty for nothing."""
    wanted, got, own = (_values(path, file) for file in (upstream, result, _with_field(path, base)))
    if wanted is None:
        return ""
    if got is None or not same([*map(_upstreams, wanted)], [*map(_upstreams, got)]):
        return "is not what upstream has, but for a local field"
    return "" if _LOCAL not in str(own) or _LOCAL in str(got) else "lost its local field"


def _merged(base: Files, upstream: Files, local: Files) -> UpdateOutcome:
    return update_package(UpdateStrategy.RESOURCE_MERGE, base=base, upstream=upstream, local=local)


def _with_field(path: str, content: bytes) -> bytes:
    """Return a file whose resources have an annotation of their own."""
    if _values(path, content) is None or path == KPTFILE:
        return content
    return join([_annotated(part) for part in split(content.decode())]).encode()


def _annotated(part: Part) -> Part:
    document = Document(part.body)
    value: Any = copy.deepcopy(document.value)
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict) or not value.get("kind"):
        return part
    value["metadata"]["annotations"] = {**(value["metadata"].get("annotations") or {}), _LOCAL: "kept"}
    return Part(part.separator, document.edit(value).text, part.line)


def _upstreams(value: Value) -> Value:
    """Return a document without the local field, and without the annotation that an upgrade never touches."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return value
    own = (_LOCAL, UPSTREAM_IDENTIFIER)
    annotations = {key: text for key, text in (value["metadata"].get("annotations") or {}).items() if key not in own}
    return {**value, "metadata": {**value["metadata"], "annotations": annotations}}


# Comparing


def _compared(wanted: Mapping[str, bytes], got: Mapping[str, bytes], *, but: tuple[str, ...]) -> str:
    """Return `equal`, `format only`, or the first difference; some files count as equal."""
    worst = EQUAL
    for path in sorted({*wanted, *got} - set(but)):
        if path not in wanted or path not in got:
            return f"{DIFFERS}{path} is {'new' if path in got else 'gone'}"
        if wanted[path] == got[path]:
            continue
        if not _only_formatted(wanted[path], got[path], path):
            return f"{DIFFERS}{path}"
        worst = FORMAT
    return worst


def _only_formatted(one: bytes, other: bytes, path: str) -> bool:
    """Return whether two files differ in bytes and not in meaning."""
    values = _values(path, one)
    return one != other and values is not None and same(values, _values(path, other))


def _values(path: str, content: bytes) -> list[Value] | None:
    """Return the documents of a file; None for one that is none of YAML."""
    if not is_krm(path):
        return None
    try:
        return [Document(part.body).value for part in split(content.decode()) if part.has_content]
    except (UnicodeDecodeError, YamlError):
        return None

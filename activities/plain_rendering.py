"""Rendering of content whose pipelines are empty: it takes no function runner and no place in the render queue."""

from collections.abc import Iterable
from posixpath import basename

from activities.resources import resource_paths
from activities.source_content import with_changes
from gitrepo.packages import GitStore
from gitrepo.snapshots import Edit, Stored
from gitrepo.trees import File, Files, Mode
from kpt.errors import PackageError
from kpt.evaluation import Evaluation
from kpt.files import KPTFILE, decode
from kpt.hydrate import render
from kpt.images import ImageResolver
from kpt.kptfile import parse

_MOST_BYTES = 256 * 1024
"""Of resources; more is the render queue's work, which is bounded."""


class _NeedsFunctionsError(Exception):
    """The package has a pipeline: rendering it is the next phase's work."""


async def render_plain(git: GitStore, content: Files | Edit) -> tuple[Files | Edit, dict[str, bytes] | None]:
    """Render content where that takes no function.

    Returns:
        The rendered content with its resource files; the content as it is and None where functions have to run.
    """
    files = content.files if isinstance(content, Edit) else content
    resources = resource_paths(files)
    if sum(map(_size, (files[path] for path in resources))) > _MOST_BYTES:
        return content, None
    kptfiles = await read(git, content, [path for path in resources if basename(path) == KPTFILE])
    if any(_has_pipeline(path, text) for path, text in kptfiles.items()):
        return content, None
    texts = await read(git, content, resources)
    try:
        outcome = await render(texts, _no_functions, images=ImageResolver(""))
    except _NeedsFunctionsError:
        return content, None
    if not outcome.ok:
        return content, None
    changed = {
        path: File(data, files[path].mode if path in files else Mode.REGULAR)
        for path, data in outcome.files.items()
        if data != texts.get(path)
    }
    return with_changes(content, changed), outcome.files


async def read(git: GitStore, content: Files | Edit, paths: Iterable[str]) -> dict[str, bytes]:
    """Read some files of content, wherever they are."""
    files = content.files if isinstance(content, Edit) else content
    texts: dict[str, bytes] = {}
    stored: list[str] = []
    for path in paths:
        file = files[path]
        if isinstance(file, File):
            texts[path] = file.data
        else:
            stored.append(path)
    if isinstance(content, Edit):
        for snapshot in (content.base, *content.others):
            own = [path for path in stored if path not in texts and snapshot.files.get(path) == files[path]]
            texts |= await git.read_files(snapshot, own)
    return texts


def _size(file: File | Stored) -> int:
    return file.size if isinstance(file, Stored) else len(file.data)


def _has_pipeline(path: str, text: bytes) -> bool:
    try:
        pipeline = parse(decode(path, text), path).pipeline
    except PackageError:
        # The rendering says what is wrong with it.
        return True
    return bool(pipeline.mutators or pipeline.validators)


async def _no_functions(image: str, resource_list: bytes) -> Evaluation:  # noqa: ARG001 - an Evaluator
    raise _NeedsFunctionsError

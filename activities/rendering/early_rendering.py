"""Rendering of small new content before its first push: it saves a push, a report and a task of the render queue."""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import basename

from porchflow.activities.rendering.render_files import resource_paths, rewritten
from porchflow.activities.sources.source_content import with_changes
from porchflow.functions.builtin import find
from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.snapshots import Edit, Stored, size_of
from porchflow.gitrepo.store.trees import File, Files
from porchflow.kpt.format.files import KPTFILE, decode
from porchflow.kpt.format.kptfile import Function, parse
from porchflow.kpt.package_errors import CONTENT_ERRORS
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver, UnresolvedImageError

logger = logging.getLogger(__name__)

_MOST_BYTES = 256 * 1024
"""Of the resources of a package; more is left to the render queue, whose slots bound the work."""

_MOST_BYTES_FOR_FUNCTIONS = 64 * 1024
"""Of the resources of a package with functions."""

_MOST_SECONDS = 2.0
"""Of one rendering. In the render queue a longer one is visible, can be superseded and lets others take turns."""

_PAUSE_SECONDS = 30.0
"""Time without early functions after one could not be run or took too long."""


@dataclass(frozen=True)
class EarlyRendered:
    """New content, rendered where that was possible at once.

    Attributes:
        content: The content to push.
        files: Its resource files; None where it is still to be rendered.
        by_functions: Whether functions ran. Running them again on their own output may change it.
    """

    content: Files | Edit
    files: dict[str, bytes] | None = None
    by_functions: bool = False


class EarlyRendering:
    """Renders new content whose pipelines name only built-in functions."""

    def __init__(
        self, git: GitStore, evaluator: Evaluator, default_image_prefix: str, *, shows_own_config: bool = False
    ) -> None:
        """Create the renderer.

        Args:
            git: Reads content.
            evaluator: Runs functions.
            default_image_prefix: Put before image names without a `/`.
            shows_own_config: Whether a function gets the resource of its `configPath` among its items too.
        """
        self._shows_own_config = shows_own_config
        self._git = git
        self._evaluator = evaluator
        self._prefixes = (default_image_prefix,) if default_image_prefix else ()
        # Without a registry: content with a constraint on versions is left to the render phase.
        self._images = ImageResolver(default_image_prefix)
        self._paused_until = 0.0

    async def render(self, content: Files | Edit, *, runs_functions: bool = True) -> EarlyRendered:
        """Render content if that is quick and succeeds; else leave it unchanged to the render phase.

        Args:
            content: The new content.
            runs_functions: Whether functions may run.

        Raises:
            GitError: Files that the content shares with other packages cannot be read.
        """
        files = _files_of(content)
        resources = resource_paths(files)
        size = size_of({path: files[path] for path in resources})
        if size > _MOST_BYTES:
            return EarlyRendered(content)
        kptfiles = await read(self._git, content, [path for path in resources if basename(path) == KPTFILE])
        functions = [function for path, text in kptfiles.items() for function in _functions(path, text)]
        if functions and (size > _MOST_BYTES_FOR_FUNCTIONS or not await self._are_builtin(functions)):
            return EarlyRendered(content)
        if functions and (not runs_functions or self._paused_until > time.monotonic()):
            return EarlyRendered(content)
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                return await self._render(content, resources, by_functions=bool(functions))
        except GitError:
            raise
        except Exception as error:  # noqa: BLE001 - the render phase meets it again, and says what it means
            logger.info("new content is left to the render phase: %s", error)
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            return EarlyRendered(content)

    async def _render(self, content: Files | Edit, resources: list[str], *, by_functions: bool) -> EarlyRendered:
        texts = await read(self._git, content, resources)
        outcome = await render(texts, self._evaluator, images=self._images, shows_own_config=self._shows_own_config)
        if not outcome.ok:
            return EarlyRendered(content)
        changed = rewritten(_files_of(content), texts, outcome.files)
        return EarlyRendered(with_changes(content, changed), outcome.files, by_functions)

    async def _are_builtin(self, functions: list[Function | None]) -> bool:
        try:
            images = [await self._images.resolve(function) for function in functions if function is not None]
        except UnresolvedImageError:
            return False
        return None not in functions and all(find(image, self._prefixes) for image in images)


async def read(git: GitStore, content: Files | Edit, paths: Iterable[str]) -> dict[str, bytes]:
    """Read files of new content: those in memory, and those that Git holds.

    Raises:
        GitError: Git cannot be read.
    """
    files = _files_of(content)
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


def _files_of(content: Files | Edit) -> dict[str, File | Stored]:
    return content.files if isinstance(content, Edit) else {**content}


def _functions(path: str, text: bytes) -> list[Function | None]:
    """Return the functions of a Kptfile's pipeline; one None for a bad Kptfile, which the render phase reports."""
    try:
        pipeline = parse(decode(path, text), path).pipeline
    except CONTENT_ERRORS:
        return [None]
    return [*pipeline.mutators, *pipeline.validators]

"""Rendering: run the pipelines of a package and its subpackages over their resources.

A rendering takes a map of files, and returns a map of files with the steps. It has no effects besides calls of
functions.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import normpath, relpath

from porchflow.api.limits import PIPELINE_FUNCTIONS
from porchflow.kpt.format.files import Files, PackageDir, check_paths, package_tree
from porchflow.kpt.format.files import decode as decode_text
from porchflow.kpt.format.function_paths import Places
from porchflow.kpt.format.kptfile import Function, Kptfile, decode
from porchflow.kpt.format.node_budget import NodeBudget
from porchflow.kpt.format.render_status import Step, with_status
from porchflow.kpt.format.resource_list import own_lines
from porchflow.kpt.format.resources import Resource, SourceFile, read_package, write_files
from porchflow.kpt.format.results import clip
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.function_step import FunctionCall, PipelineError, StepRunner, compute_inline
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.kpt.render.pipeline_rules import check_pipeline
from porchflow.yamltext.document import Document, dump
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.yaml_error import YamlError

_SMALL = 64 * 1024
"""Bytes of a package up to which parsing between two calls of functions takes only some milliseconds."""


@dataclass(frozen=True)
class RenderOutcome:
    """Outcome of a rendering.

    Attributes:
        files: The complete content. After a failure it is the old content with a new status in the Kptfile, or the
            content at the failure if `kpt.dev/save-on-render-failure` is set.
        ok: Whether every function of every pipeline succeeded.
        message: The failure, for users; empty on success.
        steps: The functions that were run or refused, in order.
    """

    files: dict[str, bytes]
    ok: bool
    message: str = ""
    steps: list[Step] = field(default_factory=list)


async def render(
    files: Mapping[str, bytes], evaluate: Evaluator, *, images: ImageResolver, shows_own_config: bool = False
) -> RenderOutcome:
    """Render the top-most package of a file map.

    Source: docs/reference/kpt-rendering.md, "Order of packages".

    Args:
        files: Content by path. Without a Kptfile nothing is rendered.
        evaluate: Runs one function.
        images: Resolves the images of functions.
        shows_own_config: Whether a function gets the resource of its `configPath` among its items too.

    Raises:
        Exception: Any error of `evaluate` and `images` but FunctionFailed: a function cannot run now, try again later.
    """
    try:
        check_paths(files)
        top = package_tree(files)
        if top is None:
            return RenderOutcome(dict(files), ok=True)
        rendering = _Rendering(files, top, evaluate, images, shows_own_config=shows_own_config)
        await rendering.load()
    except InvalidPackage as error:
        return _refused(files, str(error))
    return await rendering.run()


def _refused(files: Files, message: str) -> RenderOutcome:
    """Return the outcome for a package that cannot be read; a Kptfile that can be decoded gets it in its status."""
    top = None if any(path.startswith("/") for path in files) else package_tree(files)
    message = clip(message)
    new = dict(files)
    if top is not None:
        _set_status(new, top.kptfile, [], ok=False, message=message)
    return RenderOutcome(new, ok=False, message=message)


def _set_status(files: dict[str, bytes], path: str, steps: list[Step], *, ok: bool, message: str) -> None:
    """Write the outcome into the status of a Kptfile; one that cannot be decoded stays as it is."""
    content = files.get(path)
    if content is None:
        return
    try:
        document = Document(content.decode())
        decode(document, path)
        new = document.edit(with_status(document.value, steps, ok=ok, message=message)).text.encode()
    except (InvalidPackage, YamlError, UnicodeDecodeError):
        return
    if new != content:
        files[path] = new


@dataclass
class _Node:
    """One package during a rendering.

    Attributes:
        directory: Its files.
        kptfile: Its Kptfile before the rendering.
        children: Its direct subpackages.
        resources: Its own resources before the rendering.
        current: Its own resources and those of all packages below it, after the last function that succeeded; None
            before its pipeline begins.
    """

    directory: PackageDir
    kptfile: Kptfile
    children: list["_Node"]
    resources: list[Resource]
    current: list[Resource] | None = None


class _Rendering:
    """One run of `render`."""

    def __init__(
        self, files: Files, top: PackageDir, evaluate: Evaluator, images: ImageResolver, *, shows_own_config: bool
    ) -> None:
        self.files = files
        self.top = top
        self.sources: dict[str, SourceFile] = {}
        self.budget = NodeBudget()
        self.steps: list[Step] = []
        self.compute = compute_inline if sum(map(len, files.values())) < _SMALL else asyncio.to_thread
        self.runner = StepRunner(
            top.path, evaluate, images, self.steps, self.compute, shows_own_config=shows_own_config
        )
        self.root: _Node

    # Reading

    async def load(self) -> None:
        """Read and check all packages.

        Raises:
            InvalidPackage: A file or a pipeline is wrong.
        """
        self.root = await self.compute(self._load, self.top)
        functions = sum(len(node.kptfile.pipeline.functions) for node in _preorder(self.root))
        if functions > PIPELINE_FUNCTIONS:
            reason = f"with its subpackages {functions:,} functions, more than {PIPELINE_FUNCTIONS:,} (the limit)"
            raise InvalidPackage(self.top.kptfile, reason, "split the package")
        self.runner.places = Places(self.files, self.sources)

    def _load(self, directory: PackageDir) -> _Node:
        kptfile = self._kptfile(directory)
        read = read_package(directory, self.files, self.budget)
        self.sources |= read.sources
        configs: dict[str, list[Value]] = {}
        for path in read.sources:
            configs[relpath(path, directory.path or ".")] = []
        for resource in read.resources:
            configs[resource.path].append(resource.value)
        check_pipeline(kptfile, directory.kptfile, configs)
        return _Node(directory, kptfile, [self._load(child) for child in directory.children], read.resources)

    def _kptfile(self, directory: PackageDir) -> Kptfile:
        path = directory.kptfile
        try:
            return decode(Document(decode_text(path, self.files[path])), path)
        except YamlError as error:
            raise InvalidPackage(path, f"error reading Kptfile: yaml: {error}") from None

    # Running

    async def run(self) -> RenderOutcome:
        try:
            if self.root.kptfile.bfs_rendering:
                resources = await self._breadth_first()
            else:
                resources = await self._depth_first(self.root)
        except PipelineError as failure:
            return self._failed(str(failure))
        new = await self.compute(write_files, self.files, self.sources, resources)
        _set_status(new, self.top.kptfile, self.steps, ok=True, message="")
        return RenderOutcome(new, ok=True, steps=self.steps)

    def _failed(self, message: str) -> RenderOutcome:
        new = dict(self.files)
        if self.root.kptfile.save_on_render_failure:
            new = write_files(self.files, self.sources, _reached(self.root), prune=False)
        _set_status(new, self.top.kptfile, self.steps, ok=False, message=message)
        return RenderOutcome(new, ok=False, message=message, steps=self.steps)

    async def _depth_first(self, node: _Node) -> list[Resource]:
        """Render subpackages first; a package then gets its own resources and the rendered ones of its subpackages."""
        below = [resource for child in node.children for resource in await self._depth_first(child)]
        node.current = [*node.resources, *below]
        await self._pipeline(node)
        return node.current

    async def _breadth_first(self) -> list[Resource]:
        """Render top down, level by level; each package gets its own resources and those of all packages below it."""
        level = [self.root]
        order: list[_Node] = []
        while level:
            order += level
            level = [child for node in level for child in node.children]
        own = {node.directory.path: node.resources for node in order}
        try:
            for node in order:
                await self._with_those_below(node, own)
        finally:
            # The root includes the changes of all packages: they are kept when a later package fails.
            self.root.current = [resource for each in _preorder(self.root) for resource in own[each.directory.path]]
        return self.root.current

    async def _with_those_below(self, node: _Node, own: dict[str, list[Resource]]) -> None:
        """Run a package's pipeline on its resources and those of all packages below it.

        Args:
            node: The package.
            own: Own resources of each package, by directory; changed in place.
        """
        below = [each.directory.path for each in _preorder(node)]
        node.current = [resource for path in below for resource in own[path]]
        try:
            await self._pipeline(node)
        finally:
            became: dict[str, list[Resource]] = {path: [] for path in below}
            strays: list[Resource] = []
            for resource in node.current:
                if resource.package in own:
                    became.setdefault(resource.package, []).append(resource)
                else:
                    strays.append(resource)
            own |= {path: became[path] for path in below}
            own[node.directory.path] += strays

    async def _pipeline(self, node: _Node) -> None:
        """Run a package's mutators, then its validators; all images of a list are resolved before its first call."""
        relative = node.directory.path[len(self.top.path) :].lstrip("/")
        label = relative or node.kptfile.name or "."
        pipeline = node.kptfile.pipeline
        for kind, functions in (("mutator", pipeline.mutators), ("validator", pipeline.validators)):
            calls = [FunctionCall(function, kind, node.directory.path, relative, label) for function in functions]
            images = [await self.runner.resolve(call) for call in calls]
            for call, image in zip(calls, images, strict=True):
                result = await self.runner.run(call, image, node.current or [], _config(node, call.function))
                if kind == "mutator":
                    node.current = result


def _preorder(node: _Node) -> list[_Node]:
    return [node, *(below for child in node.children for below in _preorder(child))]


def _reached(node: _Node) -> list[Resource]:
    """Return the resources of all packages when the rendering stopped; those not reached are unchanged."""
    if node.current is not None:
        return node.current
    return [*node.resources, *(resource for child in node.children for resource in _reached(child))]


def _config(node: _Node, function: Function) -> str | None:
    """Return the text of the functionConfig; None for none. Changes by earlier functions are in it."""
    if function.config_path:
        path = normpath(function.config_path)
        found = [
            resource
            for resource in [*(node.current or []), *node.resources]
            if resource.package == node.directory.path and resource.path == path
        ]
        return own_lines(found[0].document) if found else None
    if function.config_map:
        return dump(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "function-input"},
                "data": function.config_map,
            }
        )
    return None

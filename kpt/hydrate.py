"""Rendering: run the pipelines of a package and its subpackages over their resources.

Pure but for calling functions: a map of files goes in, a map of files and an account of what happened come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import relpath
from time import perf_counter

from kpt.errors import FunctionFailed, InvalidPackage, YamlError
from kpt.evaluation import Evaluator
from kpt.files import Files, PackageDir, check_paths, package_tree
from kpt.images import UnresolvedImageError, resolve_image
from kpt.kptfile import Function, Kptfile, decode
from kpt.pipeline_rules import check_pipeline
from kpt.render_status import Step, with_status
from kpt.resource_list import own_lines, split_list
from kpt.resources import Resource, SourceFile, read_package, write_files
from kpt.results import Result, clip, parse_results
from kpt.selection import merge, select
from kpt.wire import BadOutputError, check_places, encode
from kpt.wire import decode as decode_answer
from kpt.yaml_nodes import Value
from kpt.yaml_text import Document, dump


@dataclass(frozen=True)
class RenderOutcome:
    """What came of a rendering.

    Attributes:
        files: the complete new content. When the rendering failed, the old content with a new Kptfile status, unless
            the package asks to keep what was done before the failure.
        ok: whether every function of every pipeline succeeded.
        message: why not, for people; empty on success.
        steps: what ran, in order.
    """

    files: dict[str, bytes]
    ok: bool
    message: str = ""
    steps: list[Step] = field(default_factory=list)


async def render(files: Mapping[str, bytes], evaluate: Evaluator, *, default_image_prefix: str) -> RenderOutcome:
    """Render the top-most package of a file map (`reference/kpt.md` 2).

    Args:
        files: content by path. Without a Kptfile nothing is rendered.
        evaluate: runs one function.
        default_image_prefix: put before image names without a `/`.

    Raises:
        Exception: whatever `evaluate` raises but FunctionFailed: the function could not be run, try again later.
    """
    try:
        check_paths(files)
        top = package_tree(files)
        if top is None:
            return RenderOutcome(dict(files), ok=True)
        rendering = _Rendering(files, top, evaluate, default_image_prefix)
        rendering.load()
    except InvalidPackage as error:
        return _refused(files, str(error))
    return await rendering.run()


def _refused(files: Files, message: str) -> RenderOutcome:
    """The outcome for a package that cannot even be read; its Kptfile says so if it is readable itself."""
    top = None if any(path.startswith("/") for path in files) else package_tree(files)
    new = dict(files)
    if top is not None:
        _set_status(new, top.kptfile, [], ok=False, message=message)
    return RenderOutcome(new, ok=False, message=message)


def _set_status(files: dict[str, bytes], path: str, steps: list[Step], *, ok: bool, message: str) -> None:
    """Write the outcome into a Kptfile, changing nothing else in it; one that cannot be decoded stays as it is."""
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
    """One package while it renders."""

    directory: PackageDir
    kptfile: Kptfile
    children: list["_Node"]
    resources: list[Resource]
    """Its own, as read."""
    current: list[Resource] | None = None
    """Its own and its descendants', as of the last function that succeeded; None before its pipeline began."""


class _PipelineError(Exception):
    """A function of a pipeline failed; the message is for people."""


class _Rendering:
    """One run of `render`."""

    def __init__(self, files: Files, top: PackageDir, evaluate: Evaluator, prefix: str) -> None:
        self.files = files
        self.top = top
        self.evaluate = evaluate
        self.prefix = prefix
        self.sources: dict[str, SourceFile] = {}
        self.steps: list[Step] = []
        self.root: _Node

    # Reading

    def load(self) -> None:
        """Read and check all packages.

        Raises:
            InvalidPackage: a file or a pipeline is wrong.
        """
        self.root = self._load(self.top)

    def _load(self, directory: PackageDir) -> _Node:
        kptfile = self._kptfile(directory)
        read = read_package(directory, self.files)
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
            return decode(Document(self.files[path].decode()), path)
        except UnicodeDecodeError:
            raise InvalidPackage(path, "error reading Kptfile: it is not UTF-8 text") from None
        except YamlError as error:
            raise InvalidPackage(path, f"error reading Kptfile: yaml: {error}") from None

    # Running

    async def run(self) -> RenderOutcome:
        try:
            if self.root.kptfile.bfs_rendering:
                resources = await self._breadth_first()
            else:
                resources = await self._depth_first(self.root)
        except _PipelineError as failure:
            return self._failed(str(failure))
        new = write_files(self.files, self.sources, resources)
        _set_status(new, self.top.kptfile, self.steps, ok=True, message="")
        return RenderOutcome(new, ok=True, steps=self.steps)

    def _failed(self, message: str) -> RenderOutcome:
        new = dict(self.files)
        if self.root.kptfile.save_on_render_failure:
            new = write_files(self.files, self.sources, _reached(self.root), prune=False)
        _set_status(new, self.top.kptfile, self.steps, ok=False, message=message)
        return RenderOutcome(new, ok=False, message=message, steps=self.steps)

    async def _depth_first(self, node: _Node) -> list[Resource]:
        """Subpackages first; a package then sees its own resources and all that its subpackages became."""
        below = [resource for child in node.children for resource in await self._depth_first(child)]
        node.current = [*node.resources, *below]
        await self._pipeline(node)
        return node.current

    async def _breadth_first(self) -> list[Resource]:
        """Top down, level by level; each package sees its own resources and those of all packages below it."""
        level = [self.root]
        order: list[_Node] = []
        while level:
            order += level
            level = [child for node in level for child in node.children]
        own = {node.directory.path: node.resources for node in order}
        for node in order:
            below = [each.directory.path for each in _preorder(node)]
            node.current = [resource for path in below for resource in own[path]]
            await self._pipeline(node)
            for path in below:
                own[path] = [resource for resource in node.current if resource.package == path]
            own[node.directory.path] += [resource for resource in node.current if resource.package not in own]
        return [resource for node in _preorder(self.root) for resource in own[node.directory.path]]

    async def _pipeline(self, node: _Node) -> None:
        pipeline = node.kptfile.pipeline
        mutators = [(function, self._image(node, "mutator", function)) for function in pipeline.mutators]
        for function, image in mutators:
            node.current = await self._run(node, "mutator", function, image)
        validators = [(function, self._image(node, "validator", function)) for function in pipeline.validators]
        for function, image in validators:
            await self._run(node, "validator", function, image)

    def _image(self, node: _Node, kind: str, function: Function) -> str:
        """The image of a function; all of a list are resolved before the first runs."""
        try:
            return resolve_image(function, self.prefix)
        except UnresolvedImageError as error:
            self._record(node, kind, function, function.image, exit_code=1, execution_error=str(error))
            raise _PipelineError(f"package {self._name(node)}: {kind} {function.label!r}: {error}") from None

    async def _run(self, node: _Node, kind: str, function: Function, image: str) -> list[Resource]:
        """Run one function.

        Returns:
            What the package consists of after it.

        Raises:
            _PipelineError: it failed, or its answer cannot be used.
        """
        current = node.current or []
        chosen = select(function, current)
        sent = encode(
            [current[place] for place in chosen],
            top=self.top.path,
            package=node.directory.path,
            config=_config(node, function),
            selected=bool(function.selectors or function.exclude),
        )
        started = perf_counter()
        try:
            evaluation = await self.evaluate(image, sent.content)
            answer = decode_answer(sent, evaluation.resource_list)
            result = merge(current, chosen, answer.resources, answer.places)
            check_places(result)
        except FunctionFailed as failure:
            results = _results_of(failure.resource_list)
            step = self._record(
                node,
                kind,
                function,
                image,
                started,
                exit_code=failure.exit_code or 1,
                stderr=failure.stderr,
                results=results,
                execution_error="" if failure.ran else failure.message,
            )
            raise _PipelineError(self._failure(node, step, failure.message)) from None
        except BadOutputError as problem:
            step = self._record(node, kind, function, image, started, exit_code=1, execution_error=str(problem))
            raise _PipelineError(self._failure(node, step, str(problem))) from None
        log = evaluation.log.decode(errors="replace")
        self._record(node, kind, function, image, started, stderr=log, results=answer.results)
        return result

    def _record(
        self,
        node: _Node,
        kind: str,
        function: Function,
        image: str,
        started: float | None = None,
        *,
        exit_code: int = 0,
        stderr: str = "",
        execution_error: str = "",
        results: list[Result] | None = None,
    ) -> Step:
        step = Step(
            package=node.directory.path[len(self.top.path) :].lstrip("/"),
            kind=kind,
            name=function.name,
            image=image,
            exec=function.exec,
            exit_code=exit_code,
            stderr=clip(stderr),
            execution_error=clip(execution_error),
            results=results or [],
            duration=perf_counter() - started if started is not None else 0.0,
        )
        self.steps.append(step)
        return step

    def _failure(self, node: _Node, step: Step, message: str) -> str:
        head = f"package {self._name(node)}: {step.kind} {step.label!r} failed"
        errors = [str(result) for result in step.error_results[:3]]
        return clip(": ".join([head, message, *errors[:1]]) if errors else f"{head}: {message}")

    def _name(self, node: _Node) -> str:
        return node.directory.path[len(self.top.path) :].lstrip("/") or node.kptfile.name or "."


def _preorder(node: _Node) -> list[_Node]:
    return [node, *(below for child in node.children for below in _preorder(child))]


def _reached(node: _Node) -> list[Resource]:
    """What each package had become when the rendering stopped; those not reached as they were."""
    if node.current is not None:
        return node.current
    return [*node.resources, *(resource for child in node.children for resource in _reached(child))]


def _config(node: _Node, function: Function) -> str | None:
    """Text of the functionConfig; from the resources as they are now, so that earlier functions' edits apply."""
    if function.config_path:
        path = relpath(function.config_path)
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


def _results_of(resource_list: bytes | None) -> list[Result]:
    if not resource_list:
        return []
    try:
        return parse_results(split_list(resource_list).results)
    except YamlError:
        return []

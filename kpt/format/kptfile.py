"""The Kptfile, `kpt.dev/v1`: name, upstream, pipeline and status of a package.

Source: docs/reference/kptfile.md, "Fields".
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import AliasNode, MappingNode, Node, ScalarNode, SequenceNode
from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

API_VERSION = "kpt.dev/v1"
KIND = "Kptfile"
RENDERED = "Rendered"
"""Type of the condition that the last rendering leaves in the Kptfile."""

BFS_RENDERING = "kpt.dev/bfs-rendering"
SAVE_ON_RENDER_FAILURE = "kpt.dev/save-on-render-failure"

_TOLD = 10
"""Problems that the error about a Kptfile lists at most."""

_DEPRECATED = ("kpt.dev/v1alpha1", "kpt.dev/v1alpha2")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        if data is None:
            return {}
        return {key: item for key, item in data.items() if item is not None} if isinstance(data, dict) else data


def _texts(value: object) -> object:
    if value is None:
        return {}
    return {key: "" if item is None else item for key, item in value.items()} if isinstance(value, dict) else value


Texts = Annotated[dict[str, str], BeforeValidator(_texts)]
"""A map of strings; other scalars count as their text in the file, null as the empty string."""


class Metadata(_Model):
    """Names the package; no other metadata field is allowed in a Kptfile."""

    name: str = ""
    namespace: str = ""
    labels: Texts = {}
    annotations: Texts = {}


class Git(_Model):
    """A directory of a Git repository at a branch, tag or commit."""

    repo: str = ""
    directory: str = ""
    ref: str = ""


class Upstream(_Model):
    """The place that the package was cloned from, and the strategy of its updates."""

    type: str = ""
    git: Git | None = None
    update_strategy: str = ""


class GitLock(Git):
    """A `Git` place and the commit that it was resolved to."""

    commit: str = ""


class GenericLock(_Model):
    """A place in a store that is not Git."""

    store_id: str = Field("", alias="storeID")
    resource_id: str = Field("", alias="resourceID")
    resource_version: str = ""


class Locator(_Model):
    """The `upstreamLock`: the exact content that was cloned."""

    type: str = ""
    git: GitLock | None = None
    generic: GenericLock | None = None


class ReadinessGate(_Model):
    """The type of a condition that must be True."""

    condition_type: str = ""


class PackageInfo(_Model):
    """Description of the package for users."""

    site: str = ""
    emails: list[str] = []
    license: str = ""
    license_file: str = ""
    description: str = ""
    keywords: list[str] = []
    man: str = ""
    readiness_gates: list[ReadinessGate] = []


class Selector(_Model):
    """Selects resources that match all given fields."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: Texts = {}
    annotations: Texts = {}


class Function(_Model):
    """One function of a pipeline."""

    image: str = ""
    exec: str = ""
    config_path: str = ""
    config_map: Texts = {}
    name: str = ""
    tag: str = ""
    selectors: list[Selector] = []
    exclude: list[Selector] = []

    @property
    def label(self) -> str:
        """Name of the function for messages."""
        return self.name or self.image or self.exec


class Pipeline(_Model):
    """The functions of a package, in order."""

    mutators: list[Function] = []
    validators: list[Function] = []

    @property
    def functions(self) -> list[Function]:
        """All functions: the mutators, then the validators."""
        return [*self.mutators, *self.validators]


class Inventory(_Model):
    """The inventory of `kpt live`."""

    namespace: str = ""
    name: str = ""
    inventory_id: str = Field("", alias="inventoryID")
    labels: Texts = {}
    annotations: Texts = {}


class Condition(_Model):
    """One condition of the package."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""

    @property
    def truth(self) -> Literal["True", "False", "Unknown"]:
        """The status as kpt reads it: case does not matter, and other words mean Unknown."""
        word = self.status.lower()
        if word == "true":
            return "True"
        return "False" if word == "false" else "Unknown"


class Status(_Model):
    """The status of the package."""

    conditions: list[Condition] = []
    render_status: dict[str, Any] | None = None
    """The steps of the last rendering. Each rendering replaces it. It is not checked: later versions of kpt may add
    fields."""


class Kptfile(_Model):
    """A decoded Kptfile. Empty strings, lists and maps stand for missing fields."""

    api_version: Literal["kpt.dev/v1"] = "kpt.dev/v1"
    kind: Literal["Kptfile"] = "Kptfile"
    metadata: Metadata = Metadata()
    upstream: Upstream | None = None
    upstream_lock: Locator | None = None
    info: PackageInfo | None = None
    pipeline: Pipeline = Pipeline()
    inventory: Inventory | None = None
    status: Status | None = None

    @property
    def name(self) -> str:
        """The package's name."""
        return self.metadata.name

    @property
    def readiness_gates(self) -> list[str]:
        """Condition types that must be True before the package may be proposed or published."""
        return [gate.condition_type for gate in self.info.readiness_gates] if self.info else []

    @property
    def conditions(self) -> list[Condition]:
        """The conditions of the status, in the order of the file."""
        return self.status.conditions if self.status else []

    @property
    def bfs_rendering(self) -> bool:
        """Whether packages render from the top down; it counts in the top Kptfile only."""
        return self.metadata.annotations.get(BFS_RENDERING, "").lower() == "true"

    @property
    def save_on_render_failure(self) -> bool:
        """Whether a failed rendering keeps the changes before the failure; it counts in the top Kptfile only."""
        return self.metadata.annotations.get(SAVE_ON_RENDER_FAILURE, "").lower() == "true"


def decode(document: Document, path: str) -> Kptfile:
    """Decode a parsed Kptfile strictly.

    Args:
        document: The parsed file.
        path: Path of the file, for errors.

    Raises:
        InvalidPackage: Wrong apiVersion or kind, an unknown field, or a field of the wrong type; fields with the line.
    """
    value = document.value
    if not isinstance(value, dict):
        raise InvalidPackage(path, "a Kptfile must be a mapping with apiVersion, kind and metadata")
    _check_type(value, path)
    try:
        return Kptfile.model_validate(_as_written(document.root))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [_problem(document, problem) for problem in found[:_TOLD]]
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise InvalidPackage(path, f"error reading Kptfile: {'; '.join(problems)}{more}") from None


def parse(text: str, path: str = "Kptfile") -> Kptfile:
    """Decode the text of a Kptfile.

    Raises:
        InvalidPackage: The text is not YAML, or an error of `decode`.
    """
    try:
        return decode(Document(text), path)
    except YamlError as error:
        raise InvalidPackage(path, f"error reading Kptfile: yaml: {error}") from None


def _check_type(value: dict[str, Any], path: str) -> None:
    version, kind = value.get("apiVersion"), value.get("kind")
    if kind == KIND and version in _DEPRECATED:
        reason = f'old resource version "{version}" found in Kptfile'
        raise InvalidPackage(path, reason, f"migrate it to {API_VERSION}")
    if version != API_VERSION or kind != KIND:
        reason = f'unknown resource type "{shown(str(version or ""))}, Kind={shown(str(kind or ""))}" found in Kptfile'
        raise InvalidPackage(path, reason, f"expected apiVersion {API_VERSION} and kind {KIND}")


def _as_written(node: Node | None) -> Any:  # noqa: ANN401 - a YAML value
    """Return the value of a node with every scalar as its text, since almost all fields of a Kptfile are strings."""
    if isinstance(node, AliasNode):
        return _as_written(node.target)
    if isinstance(node, ScalarNode):
        return None if node.value is None else node.raw
    if isinstance(node, SequenceNode):
        return [_as_written(item) for item in node.items]
    if isinstance(node, MappingNode):
        own = {key.raw: _as_written(value) for key, value in node.entries if key.raw in node.value}
        return {**node.value, **own}
    return None


_TYPE_WORDS = {"string_type": "a string", "list_type": "a list", "dict_type": "a map", "model_type": "a map"}


def _problem(document: Document, problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, whose loc is not precise
    path = problem["loc"]
    line = document.line_of(*path)
    where = shown(".".join(str(step) for step in path))
    if problem["type"] == "extra_forbidden":
        parent = shown(".".join(str(step) for step in path[:-1])) or "the Kptfile"
        return f"line {line}: field {shown(str(path[-1]))} not found in {parent}"
    kind = _TYPE_WORDS.get(problem["type"])
    return f"line {line}: field {where} must be {kind}" if kind else f"line {line}: field {where}: {problem['msg']}"

"""apply-replacements v0.1: copies a value from one field to others, as kustomize does.

Source: docs/reference/kpt-functions.md, "apply-replacements".
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from porchflow.functions.builtin.toolkit.field_types import typed
from porchflow.functions.builtin.toolkit.label_selectors import matches
from porchflow.functions.builtin.toolkit.replacement_paths import (
    MISSING,
    FirstWriter,
    PathError,
    Writer,
    look_up,
    split,
)
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, scalar_text
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.scalars import resolve_plain

_DEFAULT_PATH = "metadata.name"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Identity(_Model):
    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def selects(self, item: Item) -> bool:
        """Return whether every given part equals the item's."""
        version = item.api_version.rpartition("/")[2]
        namespace = text_of(item.value, "metadata", "namespace") or "default"
        return (
            self.group in ("", item.group)
            and self.version in ("", version)
            and self.kind in ("", item.kind)
            and self.name in ("", item.name)
            and self.namespace in ("", namespace)
        )

    @property
    def is_given(self) -> bool:
        """Whether any part is given."""
        return any((self.group, self.version, self.kind, self.name, self.namespace))

    def __str__(self) -> str:
        parts = (self.kind or "[noKind]", self.version or "[noVer]", self.group or "[noGrp]")
        return f"{'.'.join(parts)}/{self.name or '[noName]'}.{self.namespace or '[noNs]'}"


class _Options(_Model):
    delimiter: str = ""
    index: int = 0
    create: bool = False
    encoding: str = ""


class _Source(_Identity):
    fieldPath: str = ""  # noqa: N815 - the name in the configuration
    options: _Options | None = None

    def __str__(self) -> str:
        parts = [super().__str__(), self.fieldPath]
        if self.options and (self.options.delimiter or self.options.create):
            created = str(self.options.create).lower()
            parts.append(f"{self.options.delimiter}({self.options.index}), create={created}")
        return ":".join(filter(None, parts))


class _Selector(_Identity):
    labelSelector: str = ""  # noqa: N815
    annotationSelector: str = ""  # noqa: N815

    def matches_metadata(self, item: Item) -> bool:
        """Return whether the item's labels and annotations satisfy both selectors."""
        labels = map_of(item.value, "metadata", "labels")
        return matches(self.labelSelector, labels) and matches(self.annotationSelector, item.annotations)

    @property
    def looks_at_metadata(self) -> bool:
        """Whether it has a selector for labels or annotations."""
        return bool(self.labelSelector or self.annotationSelector)


class _Target(_Model):
    select: _Selector | None = None
    reject: list[_Selector] = []
    fieldPaths: list[str] = []  # noqa: N815
    options: _Options | None = None

    def means(self, item: Item) -> bool:
        """Return whether the value goes to this item."""
        if self.select is None:
            raise FunctionError("target must specify resources to select")
        if not self.select.selects(item) or not self.select.matches_metadata(item):
            return False
        return not any(
            (selector.is_given and selector.selects(item))
            or (selector.looks_at_metadata and selector.matches_metadata(item))
            for selector in self.reject
        )


class _Replacement(_Model):
    source: _Source | None = None
    sourceValue: str | None = None  # noqa: N815
    targets: list[_Target] | None = None


class _Config(_Model):
    model_config = ConfigDict(extra="ignore", strict=True)
    replacements: list[_Replacement] = []


@dataclass(frozen=True)
class _Rules:
    """What differs among versions.

    Attributes:
        write: Returns a resource with the source's value in the fields of a target.
        takes_empty_text: Whether a source may be an empty text.
    """

    write: Callable[[Item, Value, _Target], Value]
    takes_empty_text: bool = False


def run(call: Call) -> None:
    """Make the replacements of the functionConfig, one after the other; all or, if one fails, none."""
    _run(call, _Rules(_written))


def run_0_1_1(call: Call) -> None:
    """Make the replacements as v0.1.1 does: fields that are missing stay so, and others take the source's type."""
    _run(call, _Rules(_written_0_1_1, takes_empty_text=True))


def _run(call: Call, rules: _Rules) -> None:
    try:
        for replacement in _read_config(call):
            _replace(call, replacement, rules)
    except FunctionError as error:
        call.say(str(error), "error")
        raise


def _read_config(call: Call) -> list[_Replacement]:
    if not call.config:
        raise FunctionError("FunctionConfig is missing. Expect `ApplyReplacements`")
    if not call.config_is("ApplyReplacements"):
        kind, version = text_of(call.config, "kind"), text_of(call.config, "apiVersion")
        raise FunctionError(
            f"received functionConfig of kind {kind} and apiVersion {version}, only functionConfig of kind "
            "ApplyReplacements and apiVersion fn.kpt.dev/v1alpha1 is supported"
        )
    try:
        return _Config.model_validate(call.config).replacements
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise FunctionError(f"unable to convert functionConfig to replacements: {place}: {first['msg']}") from None


def _replace(call: Call, replacement: _Replacement, rules: _Rules) -> None:
    if (replacement.source is None and replacement.sourceValue is None) or replacement.targets is None:
        raise FunctionError("replacements must specify a source and at least one target")
    if replacement.source is not None and replacement.sourceValue is not None:
        raise FunctionError("value and resource selectors are mutually exclusive")
    found = replacement.sourceValue if replacement.source is None else _source_value(call, replacement.source, rules)
    is_scalar = not isinstance(found, dict | list)
    for target in replacement.targets:
        for item in call.items:
            if target.means(item):
                item.replace(rules.write(item, found, target), by_position=is_scalar)


def _source_value(call: Call, source: _Source, rules: _Rules) -> Value:
    found = [item for item in call.items if source.selects(item)]
    if not found:
        raise FunctionError(f"nothing selected by {source}")
    if len(found) > 1:
        raise FunctionError(f"multiple matches for selector {source}")
    path = source.fieldPath or _DEFAULT_PATH
    try:
        value = look_up(found[0].value, split(path))
    except PathError as error:
        raise FunctionError(f"error looking up replacement source: {error}") from None
    if value is MISSING or value is None or value in ({}, []) or (value == "" and not rules.takes_empty_text):
        identity = _Identity(**{name: getattr(source, name) for name in _Identity.model_fields})
        raise FunctionError(f"fieldPath `{path}` is missing for replacement source {identity}")
    if not source.options or not source.options.delimiter:
        return value
    return _part(value, source.options)


def _part(value: Value, options: _Options) -> str:
    text = _delimited(value)
    parts = text.split(options.delimiter)
    if not 0 <= options.index < len(parts):
        raise FunctionError(f"options.index {options.index} is out of bounds for value {text}")
    return parts[options.index]


def _delimited(value: Value) -> str:
    if isinstance(value, dict | list):
        raise FunctionError("delimiter option can only be used with scalar nodes")
    return scalar_text(value)


@dataclass(frozen=True)
class _Update:
    """Makes the new value of a target field.

    Attributes:
        value: Of the source.
        options: Of the target.
        item: The target.
        path: Of the field.
    """

    value: Value
    options: _Options
    item: Item
    path: list[str]

    def __call__(self, old: Value) -> Value:
        if isinstance(old, dict | list) and not self.options.delimiter:
            return self.value
        if isinstance(self.value, dict | list):
            return self.value
        text = scalar_text(self.value)
        if self.options.delimiter:
            text = _joined(_delimited(old), text, self.options)
        if isinstance(old, str):
            return text
        # kustomize keeps the type of a field that is there; a new one has that of the source.
        stays_text = old is None and isinstance(self.value, str)
        return typed(text, self.item, self.path, text if stays_text else resolve_plain(text))


def _written(item: Item, found: Value, target: _Target) -> Value:
    options, value = target.options or _Options(), item.value
    for path in target.fieldPaths or [_DEFAULT_PATH]:
        update = _Update(found, options, item, split(path))
        writer = Writer(update, found if options.create else MISSING)
        problem = f'unable to {"find or create" if options.create else "find"} field "{path}" in replacement target'
        try:
            value = writer.write(value, split(path))
        except PathError as error:
            raise FunctionError(f"{problem}: {error}") from None
        if not writer.count:
            raise FunctionError(problem)
    return value


def _written_0_1_1(item: Item, found: Value, target: _Target) -> Value:
    options, value = target.options or _Options(), item.value

    def update(old: Value) -> Value:
        if not options.delimiter:
            return found
        if isinstance(found, dict | list):
            return found if not isinstance(old, dict | list) else _delimited(old)
        text = _joined(_delimited(old), scalar_text(found), options)
        return text if isinstance(found, str) else resolve_plain(text)

    for path in target.fieldPaths or [_DEFAULT_PATH]:
        try:
            value = FirstWriter(update, found if options.create else MISSING).write(value, split(path))
        except PathError as error:
            raise FunctionError(f'unable to find field "{path}" in replacement target: {error}') from None
    return value


def _joined(old: str, text: str, options: _Options) -> str:
    """Return a text with another one put in at the delimiters: as a part, or before or behind them all."""
    parts, index = old.split(options.delimiter), options.index
    if index < 0:
        parts.insert(0, text)
    elif index >= len(parts):
        parts.append(text)
    else:
        parts[index] = text
    return options.delimiter.join(parts)

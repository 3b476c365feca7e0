"""Declares a kind to the API server. Declarations stand next to the models; `api/crd.py` makes CRDs of them."""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel
from pydantic.config import JsonDict


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`.

    Attributes:
        name: The heading.
        path: JSONPath of the value in the object. Dots inside a key are escaped with a backslash, even in brackets and
            quotes; without it the API server looks for nested fields and the column stays blank.
        type: Type of the column; a date is shown as an age.
        wide: Shown only with `-o wide`.
    """

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks; one that names `oldSelf` is checked only where there was a value before.

    Attributes:
        rule: True when the value is valid.
        message: Shown when it is not.
        message_expression: CEL that makes a better message of the values; `message` is shown where it fails.
        field: The field of the message, as `.name` below the object that has the rule.
    """

    rule: str
    message: str
    message_expression: str = ""
    field: str = ""

    def as_schema(self) -> JsonDict:
        """Return the entry of `x-kubernetes-validations`."""
        entry: JsonDict = {"rule": self.rule, "message": self.message}
        if self.message_expression:
            entry["messageExpression"] = self.message_expression
        if self.field:
            entry["fieldPath"] = self.field
        return entry


@dataclass(frozen=True)
class ResourceDefinition:
    """A kind that is served by a CustomResourceDefinition.

    Attributes:
        model: The object; its `spec` and `status` give the schema, its docstring the description.
        group: API group.
        version: The only version, served and stored.
        plural: Name of the resource.
        short_names: Other names for kubectl.
        columns: Columns of `kubectl get` after the name.
        selectable_fields: JSONPaths that `--field-selector` accepts.
    """

    model: type[BaseModel]
    group: str
    version: str
    plural: str
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    selectable_fields: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the kind."""
        return self.model.__name__

    @property
    def name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{self.group}"


def checked(*rules: Rule) -> JsonDict:
    """Return the `json_schema_extra` of a model or field that the API server checks with CEL rules."""
    return {"x-kubernetes-validations": [rule.as_schema() for rule in rules]}


SPEC_STAYS: Final = Rule(
    "!has(oldSelf.spec) || has(self.spec)", "spec cannot be removed: delete the object instead", field=".spec"
)
"""Without it, removing the whole spec would evade the rules on the spec."""


def label_path(key: str) -> str:
    """Return the JSONPath of a label, for a column."""
    escaped = key.replace(".", r"\.")
    return f".metadata.labels['{escaped}']"

"""Base classes and schema parts of all API types."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

INT64: Final[JsonDict] = {"format": "int64"}
"""Schema of an integer that may need 64 bits, such as a generation."""

ATOMIC: Final[JsonDict] = {"x-kubernetes-list-type": "atomic"}
"""Schema of a list that has one owner: server-side apply replaces it as a whole."""


class ApiModel(BaseModel):
    """A part of an API object: camelCase on the wire, snake_case here.

    Unknown fields are ignored on reading: an object that a newer client wrote must not break an older process.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class ObjectMeta(ApiModel):
    """The parts of metav1.ObjectMeta that porchflow reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class KubeObject(ApiModel):
    """The fields that every object has besides its spec and status."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)

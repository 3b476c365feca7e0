"""Settings that keep porchflow installations apart that share a Temporal namespace."""

from typing import Final

from pydantic import BaseModel, Field

ATTRIBUTE_PREFIX: Final = "Porchflow"
"""Begins the names of search attributes where nothing else is set."""


class InstallationSettings(BaseModel, frozen=True):
    """What the ids of schedules, runs and task queues begin with, and the names of search attributes."""

    installation: str = Field(
        "",
        pattern=r"^([a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?)?$",
        max_length=63,
        description="id that begins the ids of schedules, runs and task queues in Temporal, the same for the watcher"
        " and all workers; two installations in one cluster need one each; unset means the uid of the Namespace"
        " kube-system",
    )
    search_attribute_prefix: str = Field(
        ATTRIBUTE_PREFIX,
        pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$|^$",
        max_length=63,
        description="text that begins the names of the search attributes in Temporal",
    )

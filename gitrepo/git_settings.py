"""Settings of the Git store."""

from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from porchflow.api.networks import DENIED_BY_DEFAULT, checked_networks


class GitSettings(BaseModel, frozen=True):
    """The cache of repositories, and the use of Git servers."""

    cache_dir: Path = Field(
        Path("~/.cache/porchflow/git"),
        description="folder of the bare Git caches, for all processes of a machine; may be deleted at any time",
    )
    threads: int = Field(8, ge=1, le=256, description="threads for Git work, per worker")
    timeout: float = Field(30.0, gt=0, description="seconds a Git server may stay silent")
    denied_upstreams: tuple[str, ...] = Field(
        DENIED_BY_DEFAULT,
        description="networks whose Git servers the authors of packages may not name as upstream, separated by commas:"
        " add the cluster's networks of Services and pods; a registered Repository may be anywhere",
    )

    @field_validator("denied_upstreams")
    @classmethod
    def _are_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return checked_networks(texts)

"""Settings of the Git store."""

from pathlib import Path

from pydantic import BaseModel, Field


class GitSettings(BaseModel, frozen=True):
    """The cache of repositories, and the use of Git servers."""

    cache_dir: Path = Field(
        Path("~/.cache/porchflow/git"),
        description="folder of the bare Git caches, for all processes of a machine; may be deleted at any time",
    )
    threads: int = Field(8, ge=1, le=256, description="threads for Git work, per worker")
    timeout: float = Field(30.0, gt=0, description="seconds a Git server may stay silent")

"""Settings of the syncs of Repositories."""

from pydantic import BaseModel, Field


class SyncSettings(BaseModel, frozen=True):
    """Settings of the comparison of Git with objects."""

    sync_writes: int = Field(16, ge=1, le=200, description="objects that one sync writes at once")
    full_sync_seconds: float = Field(
        3600.0, ge=1, description="seconds after which a sync compares all objects although no ref moved"
    )
    removed_grace_seconds: float = Field(
        600.0, ge=0, description="seconds an object is kept whose branch or tag is gone from Git"
    )

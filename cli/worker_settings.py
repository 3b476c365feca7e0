"""Settings of a worker: what it takes from Temporal, and how much of it at once."""

from typing import Literal

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel, frozen=True):
    """Task queues, slots, pollers and rates. Each is per worker process and queue, unless it says otherwise."""

    queues: tuple[Literal["reconcile", "render", "sync"], ...] = Field(
        ("reconcile", "render", "sync"),
        min_length=1,
        description="Temporal task queues to serve, separated by commas",
    )
    temporal_ui_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+\S*)?$",
        description="address of Temporal's UI, such as https://temporal.example.com, for links in status.lastRun.url;"
        " unset means none",
    )
    reconcile_slots: int = Field(
        50,
        ge=1,
        le=1000,
        description="activities of the reconcile queue at once, per worker, and as many first attempts of phases, which"
        " are part of a workflow task",
    )
    render_slots: int = Field(20, ge=1, le=1000, description="renderings at once, per worker")
    sync_slots: int = Field(4, ge=1, le=100, description="syncs of Repositories at once, per worker")
    workflow_task_slots: int = Field(
        50,
        ge=2,
        le=1000,
        description="workflow tasks at once, per worker and queue; a first attempt holds the slot of its task",
    )
    workflow_pollers: int = Field(
        5, ge=2, le=200, description="requests for workflow tasks that wait at Temporal, per worker and queue"
    )
    activity_pollers: int = Field(
        5, ge=1, le=200, description="requests for activities that wait at Temporal, per worker and queue"
    )
    activity_rate: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="activities per second that a worker begins, per queue, without first attempts in workflow tasks;"
        " 0 means no limit",
    )
    queue_activity_rate: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="activities per second that Temporal gives out, per queue to all workers together; give all workers"
        " the same; 0 means no limit",
    )
    build_id: str = Field(
        "",
        pattern=r"^[-_.+a-zA-Z0-9]*$",
        max_length=128,
        description="version of this worker for Temporal's worker versioning, such as the tag of its image; Temporal"
        " gives it work only once this version is the current one of its deployment; unset means no versioning",
    )
    cached_workflows: int = Field(1000, ge=0, description="workflow runs a worker keeps in memory; 0 replays each task")

"""What the stack sets in Temporal's dynamic configuration, whichever server it runs."""

from collections.abc import Mapping

DYNAMIC_CONFIG: Mapping[str, bool | int] = {
    # A worker that schedules an activity of its own queue receives it with the answer, without another poll.
    "system.enableActivityEagerExecution": True,
    # Repositories take turns while a queue has a backlog (`porchflow.workflows.policies.fairness`).
    "matching.enableFairness": True,
    # Fairness holds within a partition of a queue; one server on one machine needs no more than one.
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    # A development server reads its search attributes from the database for every run; ours do not change.
    "system.forceSearchAttributesCacheRefreshOnRead": False,
    # The list of runs is up to a second behind: a run that has ended by then is written once, not twice.
    "history.visibilityProcessorMaxPollRPS": 1,
    "history.visibilityTaskBatchSize": 1000,
}
"""Values by key."""

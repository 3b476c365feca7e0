"""Every task queue, timeout and retry policy of porchflow, in one table.

Transient errors are retried without limit. The kind of error that an activity raises decides whether Temporal tries
again and after what delay (`porchflow.repositories.failures`).
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from temporalio.common import Priority, RetryPolicy

from porchflow.activities.definitions import PhaseInput, PhaseResult, ReconcileActivities
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase

_MARKUP = re.compile(r"([\\`*\[\]<>~|])")

RECONCILE_QUEUE = "reconcile"
"""Workflow tasks and every activity but rendering. Replaces Porch's `max-concurrent-reconciles`."""

RENDER_QUEUE = "render"
"""Renderings only: its activity slots bound how many run at once. Replaces Porch's `max-concurrent-renders`."""

ISOLATED_QUEUE = "isolated"
"""Phases and syncs whose process ended before them: a worker runs one at a time, in a child process with limits."""

SYNC_QUEUE = "sync"
"""Syncs of Repositories: their workflow tasks and activities, apart from what users wait for."""

SIGNALS_PER_RUN = 1_000
"""A run continues as new after this many signals: the server does not suggest it for signals, and ends a run at 10,000.
"""


RUN_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=0,
    non_retryable_error_types=[ErrorKind.STALLED],
)
"""A run that fails for any other reason than that a person must act is followed by another one at once.

Runs hold no state. So a run that its worker's version cannot go on with (a non-determinism error, after a deployment)
fails, and the next begins with a look at the object.
"""


@dataclass(frozen=True)
class ActivityPolicy:
    """How Temporal runs one activity."""

    queue: str
    start_to_close: timedelta
    """An attempt that lasts longer is given up and tried again."""
    heartbeat: timedelta
    """An attempt that is silent for this long counts as lost with its worker."""
    retry: RetryPolicy


_FOREVER = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=2),
    maximum_attempts=0,
)

_LOST = ["TemporalTimeout:Heartbeat", ErrorKind.LOST]
"""Types of error of an attempt that was lost with its process: it goes to the workflow, which counts it.

The first is the server's name for the end of an activity whose worker has stopped to heartbeat.
"""

_COUNTED = replace(_FOREVER, non_retryable_error_types=_LOST)

PhaseActivity = Callable[[ReconcileActivities, PhaseInput], Awaitable[PhaseResult]]


@dataclass(frozen=True, kw_only=True)
class PhasePolicy(ActivityPolicy):
    """How Temporal runs one phase of a PackageRevision."""

    activity: PhaseActivity
    queue: str = RECONCILE_QUEUE
    heartbeat: timedelta = timedelta(seconds=10)
    retry: RetryPolicy = field(default_factory=lambda: _COUNTED)
    first_locally: bool = True
    """Whether the first attempt is a local activity, part of the workflow's own task: half of Temporal's work for a
    phase that goes well. However that attempt ends, further attempts are an activity of its own, with all of the above.
    """
    waits_when_superseded: bool = True
    """Whether the next pass waits until a cancelled attempt has ended. An attempt that moves branches must have ended;
    a rendering need not, because its commit only lands on the very commit that it read.
    """


_Policy = TypeVar("_Policy", bound=ActivityPolicy)

ISOLATED_WAIT = timedelta(minutes=10)
"""A phase that no worker takes for this long is offered anew. A workflow of a version without this queue, after a
rollback, fails then, and another run begins.
"""

FIRST_ATTEMPT_RETRY = RetryPolicy(maximum_attempts=1)
"""Further attempts after a local first one are not local."""

FIRST_ATTEMPT_TIMEOUT = timedelta(minutes=2)
"""After this a local first attempt counts as lost. It gives up by itself long before (see
`activities/running/local_attempts.py`), except while a push is on its way, which cannot be taken back.
"""

LONGEST_SLEEP = timedelta(days=30)
"""A run that waits for the end of a suspension looks at the object at least this often."""

SHORTEST_SLEEP = timedelta(seconds=1)
"""Clocks differ: a run that wakes for the end of a suspension may be a moment early, and must not look again in a loop.
"""

OBSERVE_TIMEOUT = timedelta(seconds=10)
"""One attempt to read the object, as a local activity."""

OBSERVE_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_attempts=3,
)
"""Attempts of one look, which are part of one workflow task; a look that fails is repeated by the workflow."""

LOOK_TIMEOUT = timedelta(seconds=10)
"""All attempts of one look."""

LONGEST_LOOK_DELAY = timedelta(minutes=5)
"""The longest wait between two looks while the object cannot be read.

The watcher lists everything once the API server is back, and its signal ends the wait.
"""

FAILED_LOOKS_PER_RUN = 100
"""A run continues as new after this many looks that failed: each adds six events to its history, or twelve where the
API server does not answer.
"""


def isolated(policy: _Policy) -> _Policy:
    """Return how Temporal runs an activity whose process has ended before.

    If its worker is lost, the activity is not to blame, because its child process has limits: the server tries again.
    """
    return replace(
        policy, queue=ISOLATED_QUEUE, retry=replace(policy.retry, non_retryable_error_types=[ErrorKind.LOST])
    )


def look_delays() -> Iterator[timedelta]:
    """Return the waits between looks at an object that cannot be read, without end."""
    delay = timedelta(seconds=1)
    while True:
        yield delay
        delay = min(2 * delay, LONGEST_LOOK_DELAY)


def beside(queue: str, name: str) -> str:
    """Return the task queue with a name in this table, of the installation that another task queue belongs to.

    Args:
        queue: A task queue, such as that of the run: a name in this table, after the installation's id if it has one.
        name: A name in this table.
    """
    installation, slash, _ = queue.rpartition("/")
    return f"{installation}{slash}{name}"


def told_retries(policy: ActivityPolicy) -> str:
    """Return in words when the attempts after the first come; Temporal's UI has the time of the next one."""
    longest = policy.retry.maximum_interval
    return "tried again at once" + (f", then at most {longest.total_seconds():g} s apart" if longest else "")


def told_duration(duration: timedelta) -> str:
    """Return a duration for people: `0.31 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = duration.total_seconds()
    if seconds < _TENTHS:
        return f"{seconds:.2f} s"
    units, left = [], round(seconds)
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        units.append((count, name))
    first = next(at for at, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {name}" for count, name in units[first : first + 2] if count)


def told_line(text: str) -> str:
    """Return a text as one line of the details of a run, which Temporal's UI shows as Markdown.

    Messages hold the words of Git servers, functions and files: those make no link, picture, heading or HTML there.
    """
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


PHASES: dict[Phase, PhasePolicy] = {
    Phase.SOURCE: PhasePolicy(activity=ReconcileActivities.execute_source, start_to_close=timedelta(minutes=10)),
    Phase.SUBPACKAGE: PhasePolicy(activity=ReconcileActivities.change_subpackage, start_to_close=timedelta(minutes=10)),
    Phase.RENDER: PhasePolicy(
        activity=ReconcileActivities.render,
        queue=RENDER_QUEUE,
        start_to_close=timedelta(minutes=10),
        first_locally=False,
        waits_when_superseded=False,
    ),
    Phase.LIFECYCLE: PhasePolicy(activity=ReconcileActivities.move_lifecycle, start_to_close=timedelta(minutes=5)),
    Phase.FINALIZE: PhasePolicy(activity=ReconcileActivities.finalize, start_to_close=timedelta(minutes=5)),
    Phase.SUSPEND: PhasePolicy(
        activity=ReconcileActivities.suspend, start_to_close=timedelta(minutes=1), heartbeat=timedelta(minutes=1)
    ),
}
"""The activity of every phase, and how it runs."""

SYNC = ActivityPolicy(
    queue=SYNC_QUEUE,
    # The first sync of a very large repository may take this long; a later attempt continues where this one ended.
    start_to_close=timedelta(hours=1),
    heartbeat=timedelta(seconds=30),
    retry=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2.0,
        # A requested sync waits for the sync that is being retried: not for longer than this.
        maximum_interval=timedelta(seconds=30),
        maximum_attempts=0,
        non_retryable_error_types=_LOST,
    ),
)

LISTING = ActivityPolicy(
    queue=SYNC_QUEUE,
    start_to_close=timedelta(minutes=30),
    heartbeat=timedelta(seconds=30),
    retry=SYNC.retry,
)
"""The listing of the refs of all Repositories."""

SYNC_LOOKS = 4
"""How often one run looks again at objects that a workflow changes meanwhile; after that the next run does.

A requested sync waits for the run in progress, so all looks together must be short.
"""

SYNC_LOOK_DELAY = timedelta(seconds=2)
"""The wait before the first of these looks; it doubles."""

_TENTHS = 10.0
"""Seconds below which parts of a second matter to a reader."""

_LONGEST_KEY = 64
"""Bytes of a fairness key that the server takes."""


def fairness(namespace: str, repository: str) -> Priority:
    """Return an activity's fairness key: each Repository gets the same share of the slots of a queue with a backlog.

    So one edit does not wait for a thousand renderings of another repository. A Temporal server without fairness keys
    takes the tasks in their order.

    Args:
        namespace: Of the Repository.
        repository: Its name; empty where an object names none.
    """
    key = f"{namespace}/{repository}"
    if len(key.encode()) > _LONGEST_KEY:
        key = hashlib.sha256(key.encode()).hexdigest()[:_LONGEST_KEY]
    return Priority(fairness_key=key)

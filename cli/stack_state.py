"""The state folder of the embedded stack, and the record of its processes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
from pydantic import BaseModel, Field, ValidationError

from porchflow.kube.whole_files import SHARED, write_whole

_SAME_START_SECONDS = 1.0
"""Seconds that two start times of one process may differ: the boot time they count from moves with the clock."""


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class ProcessRecord(BaseModel):
    """One process. The start time tells it from another one with a reused process id."""

    pid: int
    started: float
    """Start time in seconds since the epoch, from the operating system."""

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord":
        """Return the record of a running process."""
        return cls(pid=pid, started=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs and is the same one."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class PartRecord(ProcessRecord):
    """One part of the stack."""

    address: str = ""
    log: str = ""
    restarts: int = 0
    """Number of restarts after it died."""


class StackRecord(BaseModel):
    """Content of `stack.json`, for `porchflow status`, `porchflow down` and tools."""

    supervisor: ProcessRecord
    ready: bool = False
    ui: str = ""
    """Address of the Temporal UI."""
    git: str = ""
    """Address of the Git server."""
    temporal: str = ""
    """host:port of Temporal's frontend."""
    temporal_store: str = "sqlite"
    """Where Temporal keeps its runs, as in the setting of that name."""
    installation: str = ""
    """What the ids in Temporal begin with."""
    function_runner: str = ""
    """host:port of the function runner; empty where there is none."""
    kubeconfig: str = ""
    """Path of the administrator's kubeconfig."""
    parts: dict[str, PartRecord] = Field(default_factory=dict)


class StateFolder:
    """Files of the stack: `kubeconfig`, `git/`, `stack.json`, `logs/`, and the servers' data."""

    def __init__(self, root: Path) -> None:
        """Name the files below a folder; `make` creates the folders."""
        self.root = root.absolute()
        self.kubeconfig = self.root / "kubeconfig"
        self.git = self.root / "git"
        self.logs = self.root / "logs"
        self.record = self.root / "stack.json"
        self.certificates = self.root / "certs"
        self.etcd = self.root / "etcd"
        self.temporal = self.root / "temporal.db"
        self.temporal_server = self.root / "temporal-server"
        self.postgresql = self.root / "postgresql"
        self.ports = self.root / "ports.json"
        self.git_cache = self.root / "git-cache"
        self._lock = self.root / "lock"

    def make(self) -> None:
        """Make the folder and those inside it that the parts expect.

        Raises:
            StateError: They cannot be made.
        """
        try:
            for folder in (self.root, self.git, self.logs, self.git_cache):
                folder.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from None

    def read(self) -> StackRecord | None:
        """Read the record; None when there is none, or when the file holds something else.

        Raises:
            StateError: The file cannot be read.
        """
        try:
            return StackRecord.model_validate_json(self.record.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            raise self._unusable(error) from None

    def write(self, record: StackRecord) -> None:
        """Write the record as a whole, so that a reader never sees half of it."""
        write_whole(self.record, f"{record.model_dump_json(indent=2)}\n".encode(), SHARED)

    def forget(self) -> None:
        """Remove the record, at the end of the stack."""
        self.record.unlink(missing_ok=True)

    def running(self) -> StackRecord | None:
        """Return the record if its supervisor runs."""
        record = self.read()
        return record if record is not None and record.supervisor.process() is not None else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one supervisor.

        Raises:
            StateError: Another supervisor holds it.
        """
        with self._lock.open("w", encoding="ascii") as lock:
            if not _try_lock(lock):
                raise StateError(self._who_runs())
            yield

    def is_locked(self) -> bool:
        """Return whether a supervisor holds the folder."""
        try:
            lock = self._lock.open("r", encoding="ascii")
        except FileNotFoundError:
            return False
        with lock:
            return not _try_lock(lock)

    def _unusable(self, error: OSError) -> StateError:
        return StateError(f"cannot use the state folder {self.root}: {error.strerror}; name another with --state-dir")

    def _who_runs(self) -> str:
        record = self.running()
        who = f" (process {record.supervisor.pid})" if record else ""
        return (
            f"a stack runs in {self.root} already{who}; look at it with `porchflow status`, stop it with"
            " `porchflow down`, or run another one beside it with another --state-dir and other ports"
        )


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""The conditions of a benchmark run: figures mean nothing without them."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from porchflow.cli.settings import StackSettings
from porchflow.cli.stack_state import StackRecord

_VERSION_SECONDS = 60.0
_SERVERS = {
    "etcd": r"etcd Version: (\S+)",
    "kube-apiserver": r"Kubernetes v(\S+)",
    # The development server names the version of its command first; the real server has no other than its own.
    "temporal": r"(?:Server |^temporal version )([\d.]+)(?=[,\s]|$)",
    "postgresql": r"\(PostgreSQL\) (\S+)",
}


@dataclass(frozen=True)
class Conditions:
    """The machine and the versions."""

    cores: int
    load: float
    """Mean of the last minute before the first workload; the stack's own start is in it."""
    system: str
    workers: int
    git_latency: float
    """Milliseconds by which the Git server delays each request."""
    functions: str
    """Where functions run."""
    versions: dict[str, str]

    @classmethod
    def read(cls, stack: StackRecord, settings: StackSettings) -> "Conditions":
        """Read them while the stack runs that was started with these settings."""
        versions = {"Python": platform.python_version(), "temporalio": version("temporalio")}
        versions["git"] = _said(["git", "--version"], r"version (\S+)")
        for part, pattern in _SERVERS.items():
            if part not in stack.parts:
                continue
            versions[part] = _said([psutil.Process(stack.parts[part].pid).exe(), "--version"], pattern)
        system = f"{platform.system()} {platform.machine()}"
        functions = "functions in the function runner" if stack.function_runner else "functions in the workers"
        return cls(
            cores=os.cpu_count() or 0,
            load=os.getloadavg()[0],
            system=system,
            workers=settings.workers,
            git_latency=settings.git_latency,
            functions=functions,
            versions=versions,
        )

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        far = f", Git {self.git_latency:g} ms away" if self.git_latency else ""
        parts = f"{self.workers} workers, {self.functions}{far}"
        return f"{self.cores} cores, load {self.load:.1f} before, {parts}, {self.system}; {versions}"


def _said(command: list[str], pattern: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"

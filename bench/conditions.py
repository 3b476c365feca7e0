"""Under what conditions a benchmark ran: figures mean nothing without them."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from cli.stack.state import StackRecord

_VERSION_SECONDS = 60.0
_SERVERS = {
    "etcd": r"etcd Version: (\S+)",
    "kube-apiserver": r"Kubernetes v(\S+)",
    "temporal": r"Server ([\d.]+)",
}


@dataclass(frozen=True)
class Conditions:
    """The machine and the versions."""

    cores: int
    load: float
    """Mean of the last minute before the first workload; the stack's own start is in it."""
    system: str
    workers: int
    functions: str
    """Where they run."""
    versions: dict[str, str]

    @classmethod
    def read(cls, stack: StackRecord, workers: int) -> "Conditions":
        """Read them while the stack runs."""
        versions = {"Python": platform.python_version(), "temporalio": version("temporalio")}
        versions["git"] = _said(["git", "--version"], r"version (\S+)")
        for part, pattern in _SERVERS.items():
            versions[part] = _said([psutil.Process(stack.parts[part].pid).exe(), "--version"], pattern)
        system = f"{platform.system()} {platform.machine()}"
        functions = "functions in the function runner" if stack.function_runner else "functions in the workers"
        return cls(os.cpu_count() or 0, os.getloadavg()[0], system, workers, functions, versions)

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        parts = f"{self.workers} workers, {self.functions}"
        return f"{self.cores} cores, load {self.load:.1f} before, {parts}, {self.system}; {versions}"


def _said(command: list[str], pattern: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"

"""The servers of the embedded stack as executables: source of each, and whether a given executable is usable."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parents[2] / "deploy" / "toolchain"

_KUBERNETES_VERSION = "k8s.io/component-base/version"
KUBERNETES_FLAGS = (
    f"-X {_KUBERNETES_VERSION}.gitVersion=v1.36.3",
    f"-X {_KUBERNETES_VERSION}.gitMajor=1",
    f"-X {_KUBERNETES_VERSION}.gitMinor=36",
)
"""Linker flags that give Kubernetes' programs their version."""

_VERSION_SECONDS = 60.0
"""A server of 200 MB on a cold disk of a busy machine may take long to print its version."""


class ToolchainError(Exception):
    """A server's executable is not available; the message states what to do."""


@dataclass(frozen=True)
class Server:
    """One server of the embedded stack.

    Attributes:
        name: Name of the executable.
        module: Folder of the Go module that pins it.
        package: Go package to build.
        variable: Environment variable with an explicit path.
        version: Pattern of the output of `--version`, with the major and minor version as groups.
        minimum: Least major and minor version that porchflow works with.
        seconds: Duration of a build on 2 cores with empty caches; 0 where it was not measured.
        ldflags: Linker flags, beside those that leave debug information out.
    """

    name: str
    module: Path
    package: str
    variable: str
    version: str
    minimum: tuple[int, int]
    ldflags: tuple[str, ...] = ()
    seconds: int = 0

    def problem(self, executable: Path) -> str:
        """Run an executable; return why it is not usable as this server, empty when it is."""
        try:
            found = re.search(self.version, _print_version(executable))
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        if not found:
            return f"`{executable} --version` prints no version of {self.name}"
        version = (int(found[1]), int(found[2]))
        if version < self.minimum:
            least = ".".join(map(str, self.minimum))
            return f"its version {version[0]}.{version[1]} is too old, porchflow needs {least} or newer"
        return ""


SERVERS = (
    # The longest build first: the others use the cores beside it.
    Server(
        "kube-apiserver",
        MODULES / "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "PORCHFLOW_KUBE_APISERVER",
        r"Kubernetes v(\d+)\.(\d+)",
        (1, 32),
        KUBERNETES_FLAGS,
        seconds=399,
    ),
    Server(
        "temporal",
        MODULES / "temporal",
        "github.com/temporalio/cli/cmd/temporal",
        "PORCHFLOW_TEMPORAL",
        r"temporal version .*Server (\d+)\.(\d+)",
        (1, 27),
        seconds=510,
    ),
    Server(
        "etcd",
        MODULES / "etcd",
        "go.etcd.io/etcd/server/v3",
        "PORCHFLOW_ETCD",
        r"etcd Version: (\d+)\.(\d+)",
        (3, 5),
        seconds=66,
    ),
)


def _print_version(executable: Path) -> str:
    done = subprocess.run(
        [executable, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_VERSION_SECONDS,
        check=True,
    )
    return done.stdout + done.stderr

"""A server that builds in a second, and who builds it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from porchflow.devstack.toolchain.executables import SERVERS, Server
from porchflow.devstack.toolchain.finding import ensure_servers

ROOT = Path(__file__).parents[3]
VARIABLES = [server.variable for server in SERVERS]
SOURCE = """package main

import "fmt"

var version = "0.0"

func main() { fmt.Println("tiny version " + version) }
"""


class Progress:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.event = threading.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self.event.set()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def make_server(modules: Path, name: str, source: str = SOURCE) -> Server:
    module = modules / name
    module.mkdir(parents=True)
    (module / "go.mod").write_text(f"module example.com/{name}\n\ngo 1.21\n")
    (module / "go.sum").write_text("")
    (module / "main.go").write_text(source)
    ldflags = ("-X main.version=1.5",)
    return Server(
        name, module, f"example.com/{name}", f"TEST_{name.upper()}", r"tiny version (\d+)\.(\d+)", (1, 2), ldflags
    )


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def answering(path: Path, version: str = "1.5") -> Path:
    return script(path, f"echo tiny version {version}")


def built(server: Server) -> Path:
    return ensure_servers(Progress(), servers=[server])[server.name]


def version(executable: Path) -> str:
    return subprocess.check_output([executable], text=True).strip()


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


class Builders:
    """Processes that build a server and print its path."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, server: Server, *, path: Path) -> "subprocess.Popen[str]":
        """Start one, with a folder put before its PATH."""
        code = (
            "from pathlib import Path; from porchflow.devstack.toolchain.executables import Server;"
            f" from porchflow.devstack.toolchain.finding import ensure_servers; server = {server!r};"
            " print(ensure_servers(lambda line: None, servers=[server])[server.name])"
        ).replace("PosixPath", "Path")
        environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._processes.append(process)
        return process

    def stop(self) -> None:
        for process in self._processes:
            with process:
                process.kill()

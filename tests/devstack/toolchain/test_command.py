"""The command that builds the servers, and what it says where it cannot."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from porchflow.devstack.toolchain.executables import SERVERS, Server
from porchflow.devstack.toolchain.finding import ToolchainError, ensure_servers
from tests.devstack.toolchain.servers import (
    ROOT,
    VARIABLES,
    Progress,
    built,
    script,
)
from tests.servers.waiting import eventually


class TestMissing:
    def test_go_is_asked_for_in_words(self, tiny: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(ToolchainError, match="`go` is not on PATH") as raised:
            ensure_servers(Progress(), servers=[tiny])
        assert "go.dev/dl" in str(raised.value)
        assert "TEST_TINY" in str(raised.value)

    def test_a_go_that_is_too_old_is_said(self, tiny: Server) -> None:
        (tiny.module / "go.mod").write_text("module example.com/tiny\n\ngo 9.9\n")
        with pytest.raises(ToolchainError, match="Install Go"):
            built(tiny)

    def test_a_module_that_is_not_there_is_said(self, tiny: Server) -> None:
        shutil.rmtree(tiny.module)
        with pytest.raises(ToolchainError, match="Run porchflow from its source tree"):
            built(tiny)


class TestCommand:
    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        answers = {"etcd": "etcd Version: 3.6.16", "kube-apiserver": "Kubernetes v1.36.3"}
        answers["temporal"] = "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)"
        paths = {name: script(tmp_path / "given" / name, f"echo '{answer}'") for name, answer in answers.items()}
        return {server.variable: str(paths[server.name]) for server in SERVERS}

    def test_prints_names_and_paths(self, environment: dict[str, str], tmp_path: Path) -> None:
        done = _command(environment)
        given = tmp_path / "given"
        assert done.returncode == 0
        assert done.stdout.splitlines() == [f"{name} {given / name}" for name in ("etcd", "kube-apiserver", "temporal")]

    def test_prints_what_is_wrong(self, environment: dict[str, str]) -> None:
        done = _command(environment | {"PORCHFLOW_ETCD": "/nowhere/etcd"})
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith("error: PORCHFLOW_ETCD names /nowhere/etcd")
        assert "Traceback" not in done.stderr

    async def test_ctrl_c_ends_the_builds(self, tmp_path: Path) -> None:
        go, pids = shutil.which("go"), tmp_path / "pids"
        pids.mkdir()
        script(tmp_path / "bin" / "go", f'[ "$1" = build ] || exec {go} "$@"\ntouch {pids}/$$; exec tail -f /dev/null')
        # A shell may have switched SIGINT off for what runs in its background.
        code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        code += " from porchflow.devstack.toolchain.finding import main; sys.exit(main())"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code),
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", **dict.fromkeys(VARIABLES, "")},
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        try:
            compilers = await eventually(lambda: [int(path.name) for path in pids.iterdir()], what="a build runs")
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == 130
        assert said.decode().splitlines()[-1] == "stopped; what was built so far is kept"
        assert not [pid for pid in compilers if psutil.pid_exists(pid)]


def test_every_server_is_pinned() -> None:
    for server in SERVERS:
        assert f"tool {server.package}\n" in (server.module / "go.mod").read_text()
        assert (server.module / "go.sum").stat().st_size > 0


def _command(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "porchflow.devstack.toolchain"]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=ROOT)

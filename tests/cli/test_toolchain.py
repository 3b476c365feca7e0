import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.stack.executables import SERVERS, Server
from cli.stack.toolchain import ToolchainError, cache_folder, ensure_servers
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def go_build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's own cache: shared by these tests, and nobody else's."""
    return tmp_path_factory.mktemp("go-build")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_build_cache: Path) -> Path:
    """The folder that builds go to; builds need no network."""
    folder = tmp_path / "cache"
    for name, value in {
        "PORCHFLOW_CACHE_DIR": str(folder),
        "GOPROXY": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOCACHE", str(go_build_cache))
    monkeypatch.delenv("TEST_TINY", raising=False)
    return folder / "servers"


@pytest.fixture
def tiny(tmp_path: Path) -> Server:
    """A server that builds in a second."""
    return make_server(tmp_path / "modules", "tiny")


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
            "from pathlib import Path; from cli.stack.executables import Server;"
            f" from cli.stack.toolchain import ensure_servers; server = {server!r};"
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


@pytest.fixture
def builders() -> Iterator[Builders]:
    started = Builders()
    yield started
    started.stop()


class TestBuild:
    def test_makes_an_executable_with_its_link_flags(self, tiny: Server, cache: Path) -> None:
        progress = Progress()
        path = ensure_servers(progress, servers=[tiny])["tiny"]
        assert path.parent == cache
        assert version(path) == "tiny version 1.5"
        assert "tiny: building" in progress.text
        assert "tiny: built in" in progress.text
        assert not list(cache.glob(".*.partial"))

    def test_serves_the_next_time_without_go(self, tiny: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        path = built(tiny)
        monkeypatch.setenv("PATH", "/nowhere")
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny])["tiny"] == path
        assert progress.lines == []

    @pytest.mark.parametrize("file", ["go.mod", "go.sum"])
    def test_is_made_again_when_the_pins_change(self, tiny: Server, file: str) -> None:
        before = built(tiny)
        with (tiny.module / file).open("a") as pins:
            pins.write("\n")
        assert built(tiny) != before

    def test_is_made_again_when_the_flags_change(self, tiny: Server) -> None:
        newer = built(replace(tiny, ldflags=("-X main.version=1.9",)))
        assert version(newer) == "tiny version 1.9"
        assert built(tiny) != newer

    def test_several_are_made(self, tmp_path: Path) -> None:
        servers = [make_server(tmp_path / "modules", name) for name in ("one", "two", "three")]
        found = ensure_servers(Progress(), servers=servers)
        assert sorted(found) == ["one", "three", "two"]
        assert all(path.name.startswith(name) for name, path in found.items())

    def test_that_fails_shows_the_compilers_words_and_what_to_do(self, tmp_path: Path, cache: Path) -> None:
        broken = make_server(tmp_path / "modules", "tiny", "package main\n\nfunc main() { undefined_thing() }\n")
        with pytest.raises(ToolchainError, match="undefined: undefined_thing") as raised:
            built(broken)
        assert "cannot build tiny" in str(raised.value)
        assert "TEST_TINY" in str(raised.value)
        assert visible(cache) == []

    def test_that_cannot_run_is_not_kept(self, tmp_path: Path, cache: Path) -> None:
        broken = make_server(tmp_path / "modules", "tiny", 'package main\n\nfunc main() { panic("boom") }\n')
        with pytest.raises(ToolchainError, match="the result does not run"):
            built(broken)
        assert visible(cache) == []

    def test_failing_ends_the_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # The slow one builds until it is killed.
        go, log = shutil.which("go"), tmp_path / "pid"
        slow, broken = (make_server(tmp_path / "modules", name) for name in ("slow", "broken"))
        (broken.module / "main.go").write_text("package main\n\nfunc main() { undefined_thing() }\n")
        body = f'case "$1 $PWD" in "build "*/slow) echo $$ > {log}; exec tail -f /dev/null;; esac\n'
        # The broken one waits for the slow one, so that there is something to end.
        body += f'case "$1 $PWD" in "build "*/broken) until [ -s {log} ]; do sleep 0.02; done;; esac\nexec {go} "$@"'
        script(tmp_path / "bin" / "go", body)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr("cli.stack.toolchain._jobs", lambda wanted: wanted)
        with pytest.raises(ToolchainError, match="undefined_thing"):
            ensure_servers(Progress(), servers=[slow, broken])
        with pytest.raises(ProcessLookupError):
            os.kill(int(log.read_text()), 0)

    def test_can_be_stopped(self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        go = shutil.which("go")
        script(tmp_path / "bin" / "go", f'[ "$1" = build ] && exec tail -f /dev/null\nexec {go} "$@"')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        progress, stop = Progress(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(ensure_servers, progress, servers=[tiny], stop=stop)
            assert progress.event.wait(60)
            stop.set()
            with pytest.raises(ToolchainError, match="was stopped"):
                future.result(60)


class TestCache:
    @pytest.mark.parametrize("damage", ["truncated", "empty", "not executable", "another program", "too old"])
    def test_a_broken_executable_is_not_used_but_made_again(self, tiny: Server, damage: str) -> None:
        path = built(tiny)
        _damage(path, damage)
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny])["tiny"] == path
        assert version(path) == "tiny version 1.5"
        assert "is broken and is made again" in progress.text

    def test_a_half_written_build_is_not_used(self, tiny: Server) -> None:
        path = built(tiny)
        partial = path.with_name(f".{path.name}.1.partial")
        # It would even run: only the rename makes it a build.
        answering(partial, "1.9")
        path.unlink()
        assert built(tiny) == path
        assert version(path) == "tiny version 1.5"
        assert not partial.exists()

    async def test_a_killed_build_leaves_nothing_that_is_used(
        self, tiny: Server, cache: Path, tmp_path: Path, builders: Builders
    ) -> None:
        real = shutil.which("go")
        # Writes half of the executable, as the linker does, and never ends.
        body = 'for last; do out="$previous"; previous="$last"; done\nhead -c 1000 /dev/zero > "$out"; chmod +x "$out"'
        script(tmp_path / "bin" / "go", f'[ "$1" = build ] || exec {real} "$@"\n{body}\nexec tail -f /dev/null')
        builder = builders.start(tiny, path=tmp_path / "bin")
        half = await eventually(lambda: [path for path in cache.glob(".*.partial") if path.stat().st_size == 1000])
        compilers = psutil.Process(builder.pid).children(recursive=True)
        assert compilers
        builder.kill()
        if sys.platform == "linux":
            assert psutil.wait_procs(compilers, timeout=30)[1] == []
        path = built(tiny)
        assert version(path) == "tiny version 1.5"
        assert not half[0].exists()

    def test_three_processes_build_once(self, tiny: Server, tmp_path: Path, builders: Builders) -> None:
        real, count = shutil.which("go"), tmp_path / "count"
        script(tmp_path / "bin" / "go", f'[ "$1" = build ] && echo x >> {count}\nexec {real} "$@"')
        processes = [builders.start(tiny, path=tmp_path / "bin") for _ in range(3)]
        paths = {process.communicate(timeout=100)[0] for process in processes}
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert len(paths) == 1
        assert count.read_text().splitlines() == ["x"]

    def test_waits_for_the_build_of_another_process(self, tiny: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cli.stack.gobuild._REPORT_SECONDS", 0.0)
        path = built(tiny)
        path.unlink()
        progress = Progress()
        with ThreadPoolExecutor(1) as pool, path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            future = pool.submit(ensure_servers, progress, servers=[tiny])
            assert progress.event.wait(60)
            assert "waiting for the build in another process" in progress.text
            # The other process has finished its build; this one makes none.
            answering(path, "1.7")
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert future.result(60)["tiny"] == path
        assert version(path) == "tiny version 1.7"

    @pytest.mark.parametrize(
        ("environ", "folder"),
        [
            ({"PORCHFLOW_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
            ({"XDG_CACHE_HOME": "/b"}, "/b/porchflow"),
            ({}, str(Path.home() / ".cache/porchflow")),
            ({"PORCHFLOW_CACHE_DIR": "~/c"}, str(Path.home() / "c")),
        ],
    )
    def test_is_where_the_environment_says(self, environ: dict[str, str], folder: str) -> None:
        assert cache_folder(environ) == Path(folder)


class TestOrder:
    def test_an_explicit_path_comes_before_all(
        self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        explicit = answering(tmp_path / "somewhere" / "any-name")
        _on_path(tmp_path, monkeypatch, "1.6")
        monkeypatch.setenv("TEST_TINY", str(explicit))
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny]) == {"tiny": explicit}
        assert str(explicit) in progress.text

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (None, "No such file"),
            ("echo something else", "does not answer as tiny does"),
            ("echo tiny version 1.1", "its version 1.1 is too old, porchflow needs 1.2 or newer"),
            ("exit 3", "exit status 3"),
        ],
    )
    def test_an_explicit_path_that_cannot_be_used_is_an_error(
        self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, problem: str
    ) -> None:
        path = tmp_path / "explicit"
        if text is not None:
            script(path, text)
        monkeypatch.setenv("TEST_TINY", str(path))
        with pytest.raises(ToolchainError, match=problem) as raised:
            ensure_servers(Progress(), servers=[tiny])
        assert "TEST_TINY" in str(raised.value)

    def test_path_comes_before_the_cache(self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        built(tiny)
        on_path = _on_path(tmp_path, monkeypatch, "1.6")
        assert built(tiny) == on_path

    def test_what_is_too_old_on_path_is_passed_over(
        self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
    ) -> None:
        on_path = _on_path(tmp_path, monkeypatch, "0.9")
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny])["tiny"].parent == cache
        assert f"{on_path}, from PATH, is passed over: its version 0.9 is too old" in progress.text


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
        code += " from cli.stack.toolchain import main; sys.exit(main())"
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
    command = [sys.executable, "-m", "cli.stack.toolchain"]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=ROOT)


def _on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Path:
    path = answering(tmp_path / "on-path" / "tiny", version)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def _damage(path: Path, damage: str) -> None:
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[:5000])
        case "empty":
            path.write_bytes(b"")
        case "not executable":
            path.chmod(0o644)
        case "another program":
            script(path, "echo hello")
        case "too old":
            answering(path, "0.1")

"""What was built is used again, and what is found elsewhere before it."""

import fcntl
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from porchflow.devstack.toolchain.executables import Server
from porchflow.devstack.toolchain.finding import ToolchainError, cache_folder, ensure_servers
from tests.devstack.toolchain.servers import Builders, Progress, answering, built, script, version
from tests.servers.waiting import eventually


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
        monkeypatch.setattr("porchflow.devstack.toolchain.gobuild._REPORT_SECONDS", 0.0)
        path = built(tiny)
        path.unlink()
        progress = Progress()
        with ThreadPoolExecutor(1) as pool, path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            future = pool.submit(ensure_servers, progress, servers=[tiny])
            while "waiting for the build in another process" not in progress.text:
                assert progress.event.wait(60), progress.text
                progress.event.clear()
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
            ("echo something else", "prints no version of tiny"),
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

    def test_the_assets_of_kubebuilder_come_before_path(
        self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on_path = _on_path(tmp_path, monkeypatch, "1.6")
        assets = answering(tmp_path / "assets" / "tiny", "1.4")
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets.parent))
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny]) == {"tiny": assets}
        assert f"{assets}, from KUBEBUILDER_ASSETS" in progress.text
        answering(assets, "0.1")
        assert built(tiny) == on_path, "what is too old there is passed over"
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nothing"))
        assert built(tiny) == on_path

    def test_what_is_too_old_on_path_is_passed_over(
        self, tiny: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
    ) -> None:
        on_path = _on_path(tmp_path, monkeypatch, "0.9")
        progress = Progress()
        assert ensure_servers(progress, servers=[tiny])["tiny"].parent == cache
        assert f"{on_path}, from PATH, is passed over: its version 0.9 is too old" in progress.text


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

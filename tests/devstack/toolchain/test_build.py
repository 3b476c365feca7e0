"""Building servers, once for all who want them."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from porchflow.devstack.toolchain.executables import SERVERS, Server
from porchflow.devstack.toolchain.finding import ToolchainError, ensure_servers, told_work
from tests.devstack.toolchain.servers import Progress, built, make_server, script, version, visible


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

    def test_that_takes_long_says_so_before_it_begins(self, tiny: Server) -> None:
        progress = Progress()
        ensure_servers(progress, servers=[replace(tiny, seconds=600)])
        assert progress.lines[0].startswith("building tiny from source, once, which takes about 10 min on 2 cores")
        assert "KUBEBUILDER_ASSETS" in progress.lines[0]
        assert "16 min on 2 cores" in told_work(SERVERS)

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
        monkeypatch.setattr("porchflow.devstack.toolchain.finding._jobs", lambda wanted: wanted)
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

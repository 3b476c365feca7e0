"""The cluster's parts that need no cluster: settings, relay, reaping, cgroups, the page."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.cli.settings import load_settings
from porchflow.devstack.cluster import relay
from porchflow.devstack.cluster.binaries import NODE_SERVERS, PACKAGES
from porchflow.devstack.cluster.cgroups import Cgroup, CgroupError
from porchflow.devstack.cluster.layout import ClusterFolder, cgroup_name
from porchflow.devstack.cluster.toml import toml
from porchflow.devstack.toolchain.gobuild import build_name

ROOT = Path(__file__).parents[3]

_keys = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=8)
_values = st.one_of(st.booleans(), st.integers(-(2**31), 2**31), _keys, st.lists(_keys, max_size=3))
_tables = st.recursive(
    st.dictionaries(_keys, _values, max_size=3),
    lambda inner: st.dictionaries(_keys, st.one_of(_values, inner), max_size=3),
)


@given(_tables)
def test_settings_of_containerd_mean_what_was_written(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml(table)) == table


async def test_a_relay_carries_both_directions_to_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "NODE_ADDRESS", "127.0.0.1")

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    listening = relay.listening_socket()
    port = listening.getsockname()[1]
    async with server, relay.relaying({listening.detach(): server.sockets[0].getsockname()[1]}):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 1_000_000)
        # The other end answers only once this direction has ended.
        writer.write_eof()
        assert await reader.read() == b"X" * 1_000_000
        writer.close()


async def test_a_relay_to_nothing_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "NODE_ADDRESS", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        listening = relay.listening_socket()
        port = listening.getsockname()[1]
        async with relay.relaying({listening.detach(): closed.getsockname()[1]}):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()


FIRST = """
import os, signal, subprocess, sys
from porchflow.devstack.cluster.init import supervise

def run():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    os.kill(os.getppid(), signal.SIGTERM)
    while not ended:
        signal.pause()
    return 7

sys.exit(supervise(run))
"""


def test_a_signal_reaches_the_supervisor_whose_exit_code_is_that_of_all() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", FIRST], check=False, env=environment)
    assert done.returncode == 7


def test_cgroups_of_another_kind_are_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    with pytest.raises(CgroupError, match=r"cgroups of version 1.*lacks cpu, cpuset, memory, pids"):
        Cgroup("nobody", mounts).make(memory=1)


def test_a_cgroup_is_removed_with_all_below_it(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("".join(f"cgroup {tmp_path}/{name} cgroup rw 0 0\n" for name in ("cpu", "memory")))
    (tmp_path / "cpu/mine/kubepods/pod").mkdir(parents=True)
    (tmp_path / "memory/other").mkdir(parents=True)
    cgroup = Cgroup("mine", mounts)
    assert cgroup.exists()
    cgroup.remove()
    assert not cgroup.exists()
    assert (tmp_path / "memory/other").is_dir()
    cgroup.remove()


def test_each_state_folder_has_a_cgroup_of_its_own(tmp_path: Path) -> None:
    names = {cgroup_name(ClusterFolder(tmp_path / name)) for name in ("a", "b")}
    assert len(names) == 2


def test_a_build_is_named_after_sources_of_its_own(tmp_path: Path) -> None:
    [coredns] = [server for server in NODE_SERVERS if server.name == "coredns"]
    copies = []
    for text in ("package main", "package main // other"):
        folder = tmp_path / str(len(copies))
        folder.mkdir()
        for name in ("go.mod", "go.sum"):
            (folder / name).write_bytes((coredns.module / name).read_bytes())
        (folder / "main.go").write_text(text)
        copies.append(build_name(type(coredns)(**{**vars(coredns), "module": folder}), "*"))
    assert len(set(copies)) == 2


def test_no_command_refuses_the_variables_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PORCHFLOW_CLUSTER_DIR", *(server.variable for server in NODE_SERVERS)):
        monkeypatch.setenv(variable, "/somewhere")
    load_settings()


def test_the_page_names_the_packages() -> None:
    page = (ROOT / "docs" / "contributing" / "cluster.md").read_text()
    needed = re.search(r"Debian's packages (.*?)\. The command", page, re.DOTALL)
    assert needed
    assert set(re.findall(r"`(.*?)`", needed[1])) == {*PACKAGES.values(), "containernetworking-plugins"}

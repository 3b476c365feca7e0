import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from porchflow.cli.settings import SettingsError, StackSettings
from porchflow.cli.stack_settings import load_stack_settings
from porchflow.devstack.ports import PortError, choose_ports
from porchflow.devstack.processes import HOST, free_port

ANY = {f"{part}_port": 0 for part in ("api", "etcd", "temporal", "ui", "git", "runner")}


def settings(**ports: int) -> StackSettings:
    return StackSettings(**ANY | ports)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server((HOST, free_port())) as server:
        yield server.getsockname()[1]


def test_any_free_ports_differ_and_are_kept(tmp_path: Path) -> None:
    first = choose_ports(settings(), tmp_path / "ports.json")
    assert len(set(first.values())) == len(first) == 7
    assert choose_ports(settings(), tmp_path / "ports.json") == first


def test_a_kept_port_that_is_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    first = choose_ports(settings(), tmp_path / "ports.json")
    with socket.create_server((HOST, first["git_port"])):
        second = choose_ports(settings(), tmp_path / "ports.json")
    assert second["git_port"] != first["git_port"]
    assert {name: port for name, port in second.items() if name != "git_port"}.items() <= first.items()


def test_a_port_in_use_names_its_holder_and_how_to_move(tmp_path: Path, taken: int) -> None:
    with pytest.raises(PortError) as caught:
        choose_ports(settings(git_port=taken), tmp_path / "ports.json")
    assert f"port {taken}, wanted for the Git server, is in use by process {os.getpid()}" in str(caught.value)
    assert "--git-port or PORCHFLOW_GIT_PORT" in str(caught.value)


def test_one_port_for_two_parts_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(PortError, match=f"--git-port and --api-port are both {port}"):
        choose_ports(settings(git_port=port, api_port=port), tmp_path / "ports.json")


def test_a_file_of_ports_that_cannot_be_read_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("nonsense")
    assert choose_ports(settings(), tmp_path / "ports.json")


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCHFLOW_GIT_PORT", "1000")
    monkeypatch.setenv("PORCHFLOW_WORKERS", "7")
    loaded = load_stack_settings({"git_port": "2000", "workers": None})
    assert (loaded.git_port, loaded.workers) == (2000, 7)


def test_a_bad_setting_names_flag_and_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCHFLOW_API_PORT", "many")
    with pytest.raises(SettingsError, match=r"PORCHFLOW_API_PORT \(--api-port\): .*got 'many'"):
        load_stack_settings()


def test_the_state_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORCHFLOW_STATE_DIR", raising=False)
    assert load_stack_settings().state_dir == tmp_path / ".porchflow"


def test_a_port_of_postgresql_is_chosen_only_where_it_is_used(tmp_path: Path, taken: int) -> None:
    remembered = tmp_path / "ports.json"
    on_sqlite = StackSettings(**ANY, postgresql_port=taken)
    assert "postgresql_port" not in choose_ports(on_sqlite, remembered)
    on_postgresql = StackSettings(**ANY, temporal_store="postgresql", postgresql_port=0)
    chosen = choose_ports(on_postgresql, remembered)["postgresql_port"]
    choose_ports(on_sqlite, remembered)
    assert choose_ports(on_postgresql, remembered)["postgresql_port"] == chosen, "it is kept meanwhile"
    with pytest.raises(PortError, match=f"port {taken}, wanted for PostgreSQL, is in use .*--postgresql-port"):
        choose_ports(StackSettings(**ANY, temporal_store="postgresql", postgresql_port=taken), remembered)

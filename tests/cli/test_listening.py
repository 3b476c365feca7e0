import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from porchflow.api.host_port import host_and_port
from porchflow.cli.main import main
from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.settings import SettingsError, load_settings
from porchflow.devstack.processes import free_port


@pytest.fixture
def taken() -> Iterator[str]:
    """Gives an address that somebody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), (":80", "", 80), ("[::1]:80", "::1", 80), ("runner:9445", "runner", 9445)],
)
def test_an_address_is_taken_apart(address: str, host: str, port: int) -> None:
    assert host_and_port(address) == (host, port)


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("worker", "--health-address"),
        ("worker", "--temporal-metrics-address"),
        ("watcher", "--health-address"),
        ("watcher", "--webhook-address"),
        ("content-api", "--content-address"),
        ("content-api", "--health-address"),
        ("function-runner", "--function-runner-listen"),
        ("function-runner", "--metrics-address"),
    ],
)
def test_an_address_in_use_ends_the_start_and_names_its_setting(taken: str, command: str, flag: str) -> None:
    result = CliRunner().invoke(main, [command, flag, taken])
    assert result.exit_code == 2
    assert f"({flag}): cannot listen on {taken}: Address already in use" in result.output


def test_two_settings_with_one_address_are_refused() -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = load_settings({"health_address": address, "webhook_address": address})
    with pytest.raises(SettingsError, match=r"\(--webhook-address\): cannot listen"):
        check_addresses(settings, "health_address", "webhook_address")


def test_a_host_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\(--health-address\): cannot listen on no host at all:80"):
        check_addresses(load_settings({"health_address": "no host at all:80"}), "health_address")


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_free_address_stays_free(host: str) -> None:
    settings = load_settings({"health_address": f"{host}:{free_port()}"})
    check_addresses(settings, "health_address", "webhook_address")
    check_addresses(settings, "health_address")

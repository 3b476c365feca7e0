"""The Temporal UI as a process of its own: the real server has none built in, as the development server has."""

from pathlib import Path

import yaml

from porchflow.devstack.processes import HOST, Process
from porchflow.devstack.servers import answers

_CONFIGURATION = "ui"
"""Name of the environment whose settings are read, and so of the file."""


def ui_process(binary: Path, folder: Path, *, log: Path, port: int) -> Process:
    """Describe the process of the UI.

    Args:
        binary: The executable.
        folder: Folder of its configuration, which `write_ui_configuration` must have written before it starts.
        log: Its log file.
        port: Its port on the loopback interface.
    """
    url = _url(port)

    async def ready() -> bool:
        return await answers(f"{url}/healthz")

    command: list[str | Path] = [binary, f"--root={folder}", "--config=.", f"--env={_CONFIGURATION}", "start"]
    return Process("temporal-ui", command, log=log, ready=ready, address=url)


def write_ui_configuration(folder: Path, *, port: int, temporal: str) -> None:
    """Write the configuration of the UI.

    Args:
        folder: Where to; it must be there.
        port: Its port.
        temporal: Address of Temporal's frontend, as `host:port`.
    """
    settings = {
        "temporalGrpcAddress": temporal,
        "host": HOST,
        "port": port,
        "enableUi": True,
        "defaultNamespace": "default",
        "disableNewsFetch": True,
        "notifyOnNewVersion": False,
        # Pages of other sites get no answers: they could do what the user of the UI may.
        "cors": {"allowOrigins": [_url(port)], "cookieInsecure": True},
    }
    (folder / f"{_CONFIGURATION}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"

"""Settings of the running stack of `porchflow up`, the default where no other servers are named."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from porchflow.cli.settings import Settings, settings_of
from porchflow.cli.stack_state import StackRecord, StateFolder

_NAMED: Final = ("kubeconfig", "temporal_address", "function_runner_address", "git_cache_dir")


def stack_settings(state_dir: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that lead to the stack of a folder; empty where no stack runs or other servers are named.

    Args:
        state_dir: The stack's folder.
        flags: Settings given on the command line, by name; None for one that is not given.

    Returns:
        Values by name of the setting.

    Raises:
        StateError: The folder cannot be read.
    """
    folder = StateFolder(state_dir)
    record = folder.read()
    if record is None or record.supervisor.process() is None:
        return {}
    known = settings_of(Settings)
    named = any(flags.get(name) or known[name].variable in os.environ for name in _NAMED)
    if named or os.environ.get("KUBECONFIG", record.kubeconfig) != record.kubeconfig:
        return {}
    return settings_of_stack(folder, record)


def settings_of_stack(folder: StateFolder, record: StackRecord) -> dict[str, Any]:
    """Return the settings that lead to a stack, by name."""
    return {
        "kubeconfig": record.kubeconfig,
        "temporal_address": record.temporal,
        "temporal_tls": False,
        "temporal_installation": record.installation,
        "function_runner_address": record.function_runner,
        "git_cache_dir": str(folder.git_cache),
    }

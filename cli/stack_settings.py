"""Settings of the embedded stack."""

from collections.abc import Callable, Mapping
from typing import Any

from porchflow.cli.settings import Command, StackSettings, load, settings_of, settings_options


def load_stack_settings(flags: Mapping[str, Any] | None = None) -> StackSettings:
    """Read the stack's settings from the environment and flags; flags win.

    Args:
        flags: Settings given on the command line, by name; None for one that is not given.

    Raises:
        SettingsError: A bad value; the message names the setting and a right value.
    """
    return load(StackSettings, flags or {})


def stack_options(*names: str) -> Callable[[Command], Command]:
    """Give a click command one option per setting of the stack, documented from the model.

    Args:
        names: The settings; none means all.
    """
    return settings_options(*(names or settings_of(StackSettings)), model=StackSettings)

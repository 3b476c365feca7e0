"""Settings of the embedded stack."""

from collections.abc import Callable, Mapping
from typing import Any

from porchflow.cli.settings import Command, StackSettings, load, settings_of, settings_options


def load_stack_settings(flags: Mapping[str, Any] | None = None) -> StackSettings:
    """Read the stack's settings from the environment and flags; flags win.

    Raises:
        SettingsError: A bad value; names it, and what would be right.
    """
    return load(StackSettings, flags or {})


def stack_options(*names: str) -> Callable[[Command], Command]:
    """Give a click command one option per setting of the stack, documented from the model; all when none is named."""
    return settings_options(*(names or settings_of(StackSettings)), model=StackSettings)

"""What of porchflow may not be installed."""

from importlib.util import find_spec

import click

_NEEDS = ("trustme", "porchflow.devstack")
"""Of the extra `stack`; and what the image for clusters leaves out."""


def need_stack() -> None:
    """Check that the embedded stack is installed, before a command uses it.

    Raises:
        ClickException: It is not; says how to install it.
    """
    if any(find_spec(name) is None for name in _NEEDS):
        raise click.ClickException(
            "this needs the embedded stack, which is not installed here: run pip install 'porchflow[stack]', or"
            " pip install '.[stack]' in a checkout"
        )

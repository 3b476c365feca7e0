"""The extra `stack`, which may be missing from an installation."""

from importlib.util import find_spec

import click

_NEEDS = ("trustme", "porchflow.devstack")
"""A library of the extra, and the room that the production image leaves out."""


def need_stack() -> None:
    """Check that the embedded stack is installed, before a command uses it.

    Raises:
        ClickException: It is not; the message says how to install it.
    """
    if any(find_spec(name) is None for name in _NEEDS):
        raise click.ClickException(
            "this needs the embedded stack, which is not installed here: run pip install 'porchflow[stack]', or"
            " pip install '.[stack]' in a checkout"
        )

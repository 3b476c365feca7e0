"""KRM functions in Python, which need no image: one module each, with the catalog's configuration and messages."""

from functions.builtin.registry import BUILTINS, Builtin, find

__all__ = ["BUILTINS", "Builtin", "find"]

"""KRM functions in Python that run without an image: one module each, with the catalog's configuration and messages."""

from porchflow.functions.builtin.catalog import BUILTINS, Builtin, find

__all__ = ["BUILTINS", "Builtin", "find"]

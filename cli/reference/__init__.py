"""Generators of reference pages in docs/: `python -m porchflow.cli.reference [--check]`."""

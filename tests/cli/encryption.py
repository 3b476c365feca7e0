"""Files of encryption keys for tests."""

import base64
import os
from pathlib import Path


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def write_keys(path: Path, keys: dict[str, str]) -> Path:
    """Write a file of keys as a mounted Secret changes: another file in its place, at once."""
    new = path.with_suffix(".new")
    new.write_text("".join(f"{name} {key}\n" for name, key in keys.items()))
    new.replace(path)
    return path

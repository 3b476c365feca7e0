"""A target of fuzzing, and the names of all. Each room's targets are imported when they are used: tracing is slow."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "yaml": "texts",
        "yaml-edited": "texts",
        "yaml-documents": "texts",
        "kptfile": "texts",
        "krmignore": "texts",
        "merge": "texts",
        "merge-kptfiles": "texts",
        "resource-list": "functions",
        "functions": "functions",
        "image": "functions",
        "versions": "functions",
        "runner-words": "functions",
        "runner-answer": "renderings",
        "runner-message": "renderings",
        "runner-status": "renderings",
        "git-advertisement": "git",
        "git-listing": "git",
        "git-report": "git",
        "git-address": "git",
        "git-names": "git",
        "commit-annotations": "git",
        "known-hosts": "git",
        "ssh-key": "git",
        "webhook": "requests",
        "content-body": "requests",
        "content-json": "requests",
        "content-selector": "requests",
        "schedule": "requests",
    }
)
"""The module of each target."""


@dataclass(frozen=True)
class Target:
    """Something that reads foreign bytes."""

    run: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()
    """How it may refuse them. Any other exception is a fault."""

    def __call__(self, data: bytes) -> None:
        """Run it on an input.

        Raises:
            Exception: A fault was found.
        """
        try:
            self.run(data)
        except self.refuses:
            return


def load(name: str) -> Target:
    """Return a target by its name."""
    targets: Mapping[str, Target] = importlib.import_module(f"tests.fuzz.{NAMES[name]}").TARGETS
    return targets[name]


def text_of(data: bytes) -> str:
    """Return bytes as text, whatever they are."""
    return data.decode(errors="replace")

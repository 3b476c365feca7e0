import re
from collections.abc import Iterable
from dataclasses import dataclass

from functions.builtin import apply_setters, set_labels, set_namespace
from functions.builtin.sdk import Function

CATALOGS = ("ghcr.io/kptdev/krm-functions-catalog", "gcr.io/kpt-fn")
"""Where the catalog's images live today and where they lived before; a builtin stands for those of both."""


@dataclass(frozen=True)
class Builtin:
    """A function that runs without its image.

    Attributes:
        name: base name of the image.
        tags: matches the tags whose behaviour it has.
        run: the function.
    """

    name: str
    tags: re.Pattern[str]
    run: Function


BUILTINS: dict[str, Builtin] = {
    name: Builtin(name, re.compile(rf"v?{version}(?:\.\d+)?|latest"), run)
    for name, version, run in (
        ("apply-setters", r"0\.2", apply_setters.run),
        ("set-labels", r"0\.2", set_labels.run),
        ("set-namespace", r"0\.4", set_namespace.run),
    )
}
"""The builtin functions by base name of their image."""


def find(image: str, prefixes: Iterable[str] = ()) -> Builtin | None:
    """The builtin that stands for an image.

    Args:
        image: full name with a tag; one with a digest is never a builtin, since it names exact content.
        prefixes: registries besides the catalog's own whose images of these names are the catalog's.
    """
    repository, _, tag = image.rpartition(":")
    registry, _, name = repository.rpartition("/")
    builtin = BUILTINS.get(name)
    known = {*CATALOGS, *(prefix.rstrip("/") for prefix in prefixes)}
    if builtin is None or registry not in known or not builtin.tags.fullmatch(tag):
        return None
    return builtin

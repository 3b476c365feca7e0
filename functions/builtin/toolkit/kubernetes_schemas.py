"""The schemas of Kubernetes that come with a library, by version."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_VERSION = re.compile(r"v(\d+)\.(\d+)\.\d+-local")
_DEFINITIONS = "_definitions.json"


@cache
def _folder() -> Traversable:
    return files("kubernetes_validate").joinpath("kubernetes-json-schema")


@cache
def versions() -> dict[str, str]:
    """Return the names of the schema sets by version as `major.minor`, the newest last."""
    found = [match for entry in _folder().iterdir() if (match := _VERSION.fullmatch(entry.name))]
    found.sort(key=lambda match: (int(match[1]), int(match[2])))
    return {f"{match[1]}.{match[2]}": match[0] for match in found}


def read(schemas: str, name: str) -> str | None:
    """Return one schema as JSON; None if there is none.

    Args:
        schemas: Name of the set, with `-strict` after it for the one that allows no unknown fields.
        name: Kind in lower case, a dash, and the short API version.
    """
    schema = _folder().joinpath(schemas, f"{name}.json")
    return schema.read_text() if schema.is_file() else None


def definitions(schemas: str) -> str:
    """Return the definitions that the schemas of a set refer to, as JSON."""
    return _folder().joinpath(schemas, _DEFINITIONS).read_text()


@cache
def open_api() -> str:
    """Return the newest schemas as JSON.

    Names are those of an API server: `definitions`, and in it `io.k8s.api.apps.v1.Deployment`.
    """
    return definitions(list(versions().values())[-1]).replace("$defs", "definitions")

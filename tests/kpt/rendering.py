"""Packages to render, and functions written in the test that answer as a program in another language would."""

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import yaml

from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import RenderOutcome, render
from porchflow.kpt.render.image_names import ImageResolver

PREFIX = "example.com/fn/"
PATH = "internal.config.kubernetes.io/path"
LEGACY_PATH = "config.kubernetes.io/path"
INDEX = "internal.config.kubernetes.io/index"
PACKAGE_PATH = "internal.config.kubernetes.io/package-path"
RESOURCE_ID = "internal.config.k8s.io/kpt-resource-id"

Behaviour = Callable[[dict[str, Any]], dict[str, Any] | bytes | None]


class Functions:
    """Evaluates functions by the name of their image; each gets the parsed list, changes it and is written anew."""

    def __init__(self, **behaviours: Behaviour) -> None:
        self.behaviours = behaviours
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        given = yaml.load(resource_list, Loader=yaml.CSafeLoader)
        self.calls.append((image, yaml.load(resource_list, Loader=yaml.CSafeLoader)))
        name = image.removeprefix(PREFIX).partition(":")[0]
        behaviour = self.behaviours.get(name)
        answer = behaviour(given) if behaviour else given
        if isinstance(answer, bytes):
            return Evaluation(answer)
        return Evaluation(yaml.dump(answer or given, Dumper=yaml.CSafeDumper, indent=4, sort_keys=True).encode())

    def items(self, call: int) -> list[str]:
        """What a call was given, as `package/path:name`."""
        return [_where(item) for item in self.calls[call][1]["items"]]


def _where(item: dict[str, Any]) -> str:
    annotations = item["metadata"]["annotations"]
    return f"{annotations[PACKAGE_PATH].rstrip('/')}/{annotations[PATH]}:{item['metadata']['name']}"


def fail(message: str = "boom", **details: Any) -> Behaviour:
    """A function that fails."""

    def behave(given: dict[str, Any]) -> None:
        raise FunctionFailed("image", message, **details)

    return behave


def config_map(name: str, **data: str) -> bytes:
    """A ConfigMap with comments, blank lines and quotes that a program in another language would lose."""
    entries = "".join(f'  {key}: "{value}" # about {key}\n' for key, value in data.items())
    return dedent(f"""\
        # head of {name}

        kind: ConfigMap
        apiVersion: v1

        metadata:
            name: {name}
        data:
        """).encode() + (entries.encode() or b"  a: b\n")


async def run(files: dict[str, bytes], functions: Functions) -> RenderOutcome:
    """Render with the functions."""
    return await render(files, functions, images=ImageResolver(PREFIX))


def status(outcome: RenderOutcome, path: str = "Kptfile") -> dict[str, Any]:
    """The status that a rendering wrote into a Kptfile."""
    value: dict[str, Any] = yaml.safe_load(outcome.files[path])["status"]
    return value


def without_status(content: bytes) -> bytes:
    """A Kptfile without its status."""
    return content.partition(b"status:\n")[0]


def item(given: dict[str, Any], name: str) -> dict[str, Any]:
    """The resource of a name, in what a function was given."""
    found: dict[str, Any] = next(each for each in given["items"] if each["metadata"]["name"] == name)
    return found

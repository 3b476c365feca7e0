"""ResourceLists for tests of functions."""

from textwrap import dedent
from typing import Any

import yaml

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import Reply, execute
from porchflow.kpt.format.resource_list import compose_list, split_list


def config(data: dict[str, str], *, name: str = "config") -> str:
    """A ConfigMap as functionConfig."""
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def run(function: str, *items: str, function_config: str | None = None) -> Reply:
    """Run a builtin on items given as indented text."""
    request = compose_list([text(item) for item in items], function_config=function_config)
    return execute(BUILTINS[function].run, request)


def text(item: str) -> str:
    """An item's text at the left margin, with one line end."""
    return dedent(item).strip("\n") + "\n"


def items(reply: Reply) -> list[str]:
    """The items of a reply, as text."""
    return split_list(reply.resource_list).items


def results(reply: Reply) -> list[Any]:
    """The results of a reply."""
    return split_list(reply.resource_list).results or []


def said(reply: Reply) -> list[str]:
    """The results of a reply as `severity: message`."""
    return [f"{result.get('severity', '')}: {result['message']}" for result in results(reply)]

"""Objects as users write them, and what the API server says to them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.kubectl import Kubectl, KubectlError

Manifest = dict[str, Any]

NOTHING = object()
"""Stands for a field that is left out."""


def package_revision(**spec: Any) -> Manifest:
    whole = {
        "packageName": "shop/web",
        "repository": "blueprints",
        "workspaceName": "v1",
        "lifecycle": "Draft",
        "source": {"init": {"description": "a web shop", "keywords": ["shop"]}},
    }
    return {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": "blueprints.shop.web.v1"},
        "spec": without_nothing(whole | spec),
    }


def repository(name: str = "blueprints", **spec: Any) -> Manifest:
    whole = {"type": "git", "git": {"repo": "https://git.example/blueprints.git", "directory": "packages"}}
    return {
        "apiVersion": "config.porch.kpt.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": name},
        "spec": without_nothing(whole | spec),
    }


def function_config(**spec: Any) -> Manifest:
    return {
        "apiVersion": "config.porch.kpt.dev/v1alpha1",
        "kind": "FunctionConfig",
        "metadata": {"name": "set-labels"},
        "spec": {"image": "set-labels"} | spec,
    }


def without_nothing(fields: Manifest) -> Manifest:
    return {name: value for name, value in fields.items() if value is not NOTHING}


class Objects:
    """Creates and replaces objects in one namespace, with kubectl."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self._namespace = namespace

    def create(self, manifest: Manifest) -> Manifest:
        return self._send("create", manifest)

    def replace(self, manifest: Manifest) -> Manifest:
        return self._send("replace", manifest)

    def _send(self, verb: str, manifest: Manifest) -> Manifest:
        answer = self._kubectl(
            *(verb, "--namespace", self._namespace, "--validate=strict", "-o", "json", "-f", "-"),
            input=json.dumps(manifest),
        )
        stored: Manifest = json.loads(answer)
        return stored


def refusal(send: Callable[[Manifest], Manifest], manifest: Manifest) -> str:
    """Return the words with which the API server refuses a manifest."""
    with pytest.raises(KubectlError, match="is invalid") as refused:
        send(manifest)
    return str(refused.value)


def a_condition(kind: str, reason: str) -> Manifest:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }


async def apply_status(kube: KubeClient, namespace: str, manager: str, **status: Any) -> Manifest:
    body = {key: value for key, value in package_revision().items() if key != "spec"} | {"status": status}
    body["metadata"] = body["metadata"] | {"namespace": namespace}
    return await kube.apply(PACKAGEREVISIONS, body, field_manager=manager, subresource="status")

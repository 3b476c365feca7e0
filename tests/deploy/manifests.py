"""What kustomize makes of deploy/, taken apart."""

import hashlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.kubectl import Kubectl

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMESPACES, CRDS = DEPLOY / "namespaces", DEPLOY / "crds"
BASE = DEPLOY
COMPONENTS = sorted(path.parent.name for path in (DEPLOY / "components").glob("*/kustomization.yaml"))

VERSION: str = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
"""What images are tagged with."""

Manifest = dict[str, Any]
CLUSTER = "--all-namespaces"
OF_EVERY_CLUSTER: dict[str, Manifest] = {
    "extension-apiserver-authentication-reader": {
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": ["extension-apiserver-authentication"],
                "verbs": ["get", "list", "watch"],
            }
        ]
    }
}
"""Roles that Kubernetes brings."""


class Built:
    """What `kubectl apply -k` would apply."""

    def __init__(self, text: str) -> None:
        self.manifests: list[Manifest] = list(yaml.safe_load_all(text))

    def of(self, kind: str) -> dict[str, Manifest]:
        return {one["metadata"]["name"]: one for one in self.manifests if one["kind"] == kind}

    @property
    def pods(self) -> dict[str, Manifest]:
        return {name: one["spec"]["template"] for name, one in self.of("Deployment").items()}

    @property
    def settings(self) -> dict[str, str]:
        [config] = [one for name, one in self.of("ConfigMap").items() if name.startswith("porchflow-settings")]
        return dict(config["data"])

    def without_digests(self) -> set[tuple[str, str, str]]:
        """What objects there are, without the ends of names that depend on settings."""
        names = {identity(one) for one in self.manifests}
        return {(kind, place, name.rpartition("-")[0] if kind == "ConfigMap" else name) for kind, place, name in names}

    def environment(self, pod: Manifest) -> dict[str, str]:
        [container] = pod["spec"]["containers"]
        return self.settings | {variable["name"]: variable["value"] for variable in container["env"]}


def granted(built: Built, account: str) -> set[tuple[tuple[str, str], str]]:
    """Return what the manifests grant a ServiceAccount, as `PERMISSIONS` words it."""
    grants = set()
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in built.of(kind).values():
            if account not in {subject["name"] for subject in binding["subjects"]}:
                continue
            namespace = binding["metadata"].get("namespace")
            scope = f"--namespace={namespace}" if namespace else CLUSTER
            name = binding["roleRef"]["name"]
            role = OF_EVERY_CLUSTER.get(name) or built.of(binding["roleRef"]["kind"])[name]
            for rule in role["rules"]:
                grants |= {((scope, target), verb) for target in _targets(rule) for verb in rule["verbs"]}
    return grants


def _targets(rule: Manifest) -> Iterator[str]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            name, slash, part = resource.partition("/")
            full = f"{name}.{group}{slash}{part}" if group else resource
            yield from [f"{full}:{one}" for one in rule.get("resourceNames", [])] or [full]


def identity(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def own_kustomization(folder: Path, *names: str) -> Path:
    """Write a kustomization of one's own: deploy/ with components, in the order of the names."""
    own = folder / hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
    own.mkdir(exist_ok=True)
    deploy = os.path.relpath(DEPLOY, own.resolve())
    told = {"resources": [deploy], "components": [f"{deploy}/components/{name}" for name in names]}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(told))
    return own


def with_components(kubectl: Kubectl, folder: Path, *names: str) -> Built:
    """What a kustomization of one's own makes of deploy/ with components."""
    return Built(kubectl("kustomize", str(own_kustomization(folder, *names))))

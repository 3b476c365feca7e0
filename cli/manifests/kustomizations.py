"""Reads kustomizations of deploy/ without kustomize. A test compares the results with those of `kubectl kustomize`."""

import copy
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from porchflow.cli.manifests.patching import patched
from porchflow.kpt.format.images import parse_image
from porchflow.kube.client import Object

_FIELDS: Final = frozenset(
    {
        "apiVersion",
        "kind",
        "resources",
        "components",
        "patches",
        "configMapGenerator",
        "images",
        "replicas",
        "replacements",
    }
)
_NAMES: Final = ("kustomization.yaml", "Kustomization")
_DIGEST_LENGTH: Final = 10
_DIGEST_LETTERS: Final = str.maketrans("013ae", "ghkmt")
"""kustomize replaces these digits of digests, so that no name spells a word."""


class UnsupportedKustomizationError(ValueError):
    """A kustomization has something that is not known here; the message names file and field."""


class Composition:
    """The objects of kustomizations, one on top of the other.

    Attributes:
        objects: The manifests, in the order in which kustomizations name them.
    """

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self._generated: set[str] = set()

    def add(self, folder: Path) -> None:
        """Add a kustomization or a component, which may change what was added before.

        Args:
            folder: The folder with its file.

        Raises:
            UnsupportedKustomizationError: It has a field that is not known here.
            UnsupportedPatchError: One of its patches has.
        """
        told = _read(folder)
        for name in [*told.get("resources", []), *told.get("components", [])]:
            path = folder / name
            if path.is_dir():
                self.add(path)
            else:
                self.objects += read_manifests(path)
        for generator in told.get("configMapGenerator", []):
            self.merge_config(generator["name"], generator["namespace"], _data_of(folder, generator))
        for patch in told.get("patches", []):
            self._patch(folder, patch)
        for image in told.get("images", []):
            self.set_image(image["name"], f"{image.get('newName', image['name'])}:{image['newTag']}")
        for replica in told.get("replicas", []):
            for one in self._named("Deployment", replica["name"]):
                one["spec"]["replicas"] = replica["count"]
        for replacement in told.get("replacements", []):
            self._replace(replacement)

    def merge_config(self, name: str, namespace: str, data: Mapping[str, str]) -> None:
        """Add entries to a generated ConfigMap; the first call makes it."""
        found = self._named("ConfigMap", name)
        if not found:
            metadata = {"name": name, "namespace": namespace}
            found = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}]
            self.objects += found
            self._generated.add(name)
        found[0]["data"].update(data)

    def set_image(self, name: str, image: str) -> None:
        """Replace an image by name.

        Args:
            name: Of the image, without a tag.
            image: The whole reference.
        """
        for container in self._containers():
            if parse_image(container["image"]).base == name:
                container["image"] = image

    def finished(self) -> list[Object]:
        """Return the objects; names of generated ConfigMaps end with a digest of their content."""
        renamed = {}
        for name in self._generated:
            [config] = self._named("ConfigMap", name)
            renamed[name] = f"{name}-{_digest(config['data'])}"
            config["metadata"]["name"] = renamed[name]
        for container in self._containers():
            for source in container.get("envFrom", []):
                reference = source.get("configMapRef", {})
                if reference.get("name") in renamed:
                    reference["name"] = renamed[reference["name"]]
        self._generated = set()
        return self.objects

    def _named(self, kind: str, name: str) -> list[Object]:
        return [one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]

    def _containers(self) -> Iterator[Object]:
        for one in self.objects:
            if one["kind"] == "Deployment":
                yield from one["spec"]["template"]["spec"]["containers"]

    def _patch(self, folder: Path, told: Mapping[str, Any]) -> None:
        text = told["patch"] if "patch" in told else (folder / told["path"]).read_text(encoding="utf-8")
        patch = yaml.safe_load(text)
        target = told.get("target")
        chosen = [one for one in self.objects if _is_target(one, target or _exactly(patch))]
        if not chosen and target is None:
            raise UnsupportedKustomizationError(f"{folder.name}: there is no {patch['kind']} for {told}")
        if patch.get("$patch") == "delete":
            self.objects = [one for one in self.objects if one not in chosen]
            return
        self.objects = [patched(one, patch) if one in chosen else one for one in self.objects]

    def _replace(self, told: Mapping[str, Any]) -> None:
        source = told["source"]
        [from_object] = self._named(source["kind"], source["name"])
        parent, field = _followed(from_object, source["fieldPath"])
        for target in told["targets"]:
            for one in self._named(target["select"]["kind"], target["select"]["name"]):
                for path in target["fieldPaths"]:
                    holder, name = _followed(one, path)
                    holder[name] = parent[field]


def read_manifests(path: Path) -> list[Object]:
    """Return the objects of a file, for the caller to change."""
    return copy.deepcopy(_documents(path))


@functools.cache
def _documents(path: Path) -> list[Object]:
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def _read(folder: Path) -> dict[str, Any]:
    path = next(folder / name for name in _NAMES if (folder / name).exists())
    told: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = ", ".join(sorted(told.keys() - _FIELDS))
    if unknown:
        raise UnsupportedKustomizationError(f"{folder.name}/{path.name}: {unknown} is not known here")
    return told


def _data_of(folder: Path, generator: Mapping[str, Any]) -> dict[str, str]:
    lines: Iterable[str] = generator.get("literals", [])
    for name in generator.get("envs", []):
        lines = [*lines, *(folder / name).read_text(encoding="utf-8").splitlines()]
    pairs = (line.partition("=") for line in lines if line.strip() and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _exactly(patch: Object) -> dict[str, str]:
    return {"kind": re.escape(patch["kind"]), "name": re.escape(patch["metadata"]["name"])}


def _is_target(one: Object, target: Mapping[str, str]) -> bool:
    """Return whether a target means an object: kustomize anchors the expressions of a target on both sides."""
    facts = {"kind": one["kind"], "name": one["metadata"]["name"]}
    return all(re.fullmatch(expression, facts[name]) for name, expression in target.items())


def _followed(one: Object, path: str) -> tuple[Any, str]:
    """Return what holds the field at a path such as `spec.containers.[name=web].image`, and the field's name."""
    *steps, last = path.split(".")
    place: Any = one
    for step in steps:
        if step.startswith("["):
            key, _, value = step[1:-1].partition("=")
            [place] = [item for item in place if item.get(key) == value]
        else:
            place = place[step]
    return place, last


def _digest(data: Mapping[str, str]) -> str:
    """Return the end of a generated ConfigMap's name, as kustomize makes it: the name itself is not in it."""
    content = {"data": dict(data), "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH].translate(_DIGEST_LETTERS)

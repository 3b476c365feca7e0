"""set-image v0.1: changes names, tags and digests of container images.

Other than in the catalog's v0.1.1, init containers are found, a tag or digest that is not given stays as it was, and
the name of the image is no regular expression.

Source: docs/reference/kpt-functions.md, "set-image".
"""

import re
from typing import NamedTuple

from porchflow.functions.builtin.toolkit.fields import FieldSpec, read_specs, select, spec
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, strings
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value

_TAGGED = re.compile(r"(?::[\w.{}-]*)?(?:@sha256:[\w.{}-]*)?", re.ASCII)
_POD = ("spec",)
_TEMPLATE = ("spec", "template", "spec")
_POD_SPECS = {
    "Pod": _POD,
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "PodTemplate": ("template", "spec"),
}
_FIELDS = [
    spec("/".join((*prefix, containers, "image")), kind=kind)
    for kind, prefix in _POD_SPECS.items()
    for containers in ("initContainers", "containers")
]


class Image(NamedTuple):
    """The image to find, and its replacement; empty parts stay."""

    name: str
    new_name: str
    new_tag: str
    digest: str

    def replaced(self, old: str) -> str:
        """Return the new text of an image, which is the old one if another image is meant."""
        if not old.startswith(self.name):
            return old
        rest = old[len(self.name) :]
        if not _TAGGED.fullmatch(rest):
            return old
        if self.digest:
            rest = f"@{self.digest}"
        elif self.new_tag:
            rest = f":{self.new_tag}"
        return (self.new_name or self.name) + rest


def run(call: Call) -> None:
    """Replace the image of the functionConfig in pods and in pod templates."""
    try:
        image, additional = _read_config(call)
    except FunctionError as error:
        call.say(str(error), "error")
        raise
    count = 0

    def update(old: Value) -> Value:
        nonlocal count
        new = image.replaced(old) if isinstance(old, str) else old
        count += new != old
        return new if new != old else old

    for item in call.items:
        value = item.value
        for field in select([*_FIELDS, *additional], item):
            value = field.change(value, update)
        item.replace(value)
    call.say(f"summary: updated a total of {count} image(s)", "info")


def _read_config(call: Call) -> tuple[Image, list[FieldSpec]]:
    additional: list[FieldSpec] = []
    if call.config_is_config_map:
        data = strings(map_of(call.config).get("data"))
    elif call.config_is("SetImage"):
        data = strings(call.config.get("image"))
        additional = read_specs(call.config.get("additionalImageFields"), "additionalImageFields")
    elif not call.config:
        raise FunctionError("`FunctionConfig` is not given")
    else:
        kind, group = text_of(call.config, "kind"), text_of(call.config, "apiVersion").rpartition("/")[0]
        raise FunctionError(f"unknown FunctionConfig `{kind}.{group}`, expect `SetImage.fn.kpt.dev` or `ConfigMap.v1`")
    return _read_image(data), additional


def _read_image(data: dict[str, str]) -> Image:
    wrong = next((key for key in data if key not in ("name", "newName", "newTag", "digest")), None)
    if wrong is not None:
        raise FunctionError(f"ConfigMap has wrong field name {wrong}")
    image = Image(*(data.get(key, "") for key in ("name", "newName", "newTag", "digest")))
    if not image.name:
        raise FunctionError("must specify `name`")
    if not any(image[1:]):
        raise FunctionError("must specify one of `newName`, `newTag`, or `digest`")
    return image

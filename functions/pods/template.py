"""Objects of functions' pods, made from the PodTemplate.

Source: docs/reference/porch-function-runner.md, "Pods".
"""

import copy
import hashlib
import json
import re
from typing import Any, NamedTuple

from porchflow.api.models.pods import ContainerOverrides, PodTemplateOverrides
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.pods.cluster import ClusterError, Manifest
from porchflow.functions.pods.hardening import DEFAULTS, harden
from porchflow.kpt.format.images import parse_image

TEMPLATE_NAME = "base-pod-template"
PORT = 9446
"""Port of the wrapper server in a pod."""

IMAGE_LABEL = "fn.kpt.dev/image"
OWNED_LABEL = "app.kubernetes.io/managed-by"
OWNER = "porchflow"
SELECTOR = f"{IMAGE_LABEL},{OWNED_LABEL}={OWNER}"
"""Selects our pods; those of a Porch runner in the same namespace lack the second label."""

TEMPLATE_VERSION_ANNOTATION = "fn.kpt.dev/template-version"
FINGERPRINT_ANNOTATION = "porchflow.dev/pod-fingerprint"
"""Hash of all that the pod was made from, except the image; see `fingerprint`."""
DIGEST_ANNOTATION = "porchflow.dev/image-digest"
USED_ANNOTATION = "porchflow.dev/last-used"
"""Time of the last use by any runner, in seconds since 1970; not renewed at every use."""

OWNER_ANNOTATION = "porchflow.dev/owner-namespace"
"""The namespace whose own credentials opened the image; the pod serves calls on its behalf alone."""

FUNCTION_CONTAINER = "function"
WRAPPER_CONTAINER = "copy-wrapper-server"
_TOOLS = "/wrapper-server-tools"
_LONGEST_NAME = 63


def default_template(wrapper_image: str) -> Manifest:
    """Return the PodTemplate that the runner creates where there is none.

    Users may change it. Pods of the former template are then replaced.
    """
    tools = {"name": "wrapper-server-tools", "mountPath": _TOOLS}
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": TEMPLATE_NAME},
        "template": {
            "metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "initContainers": [
                    {
                        "name": WRAPPER_CONTAINER,
                        "image": wrapper_image,
                        "command": ["cp", "-a", "/home/nonroot/wrapper-server/.", _TOOLS],
                        "volumeMounts": [tools],
                    }
                ],
                "containers": [
                    {
                        "name": FUNCTION_CONTAINER,
                        "image": "replaced-by-the-image-of-the-function",
                        "command": [f"{_TOOLS}/wrapper-server"],
                        "env": [
                            {"name": "OTEL_METRICS_EXPORTER", "value": "none"},
                            {"name": "OTEL_TRACES_EXPORTER", "value": "none"},
                        ],
                        "readinessProbe": {"grpc": {"port": PORT}},
                        # What it wrote last stands in the pod's status, and so in the condition of the package.
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "volumeMounts": [tools],
                    }
                ],
                "volumes": [{"name": tools["name"], "emptyDir": {}}],
            },
        },
    }


class Wrapper(NamedTuple):
    """The server that runs a function for each call to its pod.

    Attributes:
        image: Brings the server into the pod.
        max_message_size: Bytes of one call, each way.
    """

    image: str
    max_message_size: int


def fingerprint(template: Manifest, overrides: PodTemplateOverrides | None, wrapper: Wrapper, owner: str = "") -> str:
    """Return a hash of all that pods are made from, except the image; pods with another hash are not used."""
    parts = [template.get("template"), _dump(overrides), wrapper.image, wrapper.max_message_size, DEFAULTS]
    # A runner of an earlier version, which knows no owners, so leaves the pods of owners alone.
    parts += [owner] if owner else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def pod_name(image: str, digest: str, number: int, owner: str = "") -> str:
    """Return the name of the n-th pod of an image: name, tag, number and digest, so that users recognise it.

    Pods of an owner have a hash of digest and owner in place of the digest.
    """
    parsed = parse_image(image)
    digest = f"sha256:{hashlib.sha256(f'{digest} {owner}'.encode()).hexdigest()}" if owner else digest
    tag = re.sub(r"[^a-z0-9-]", "", (parsed.tag or parsed.digest or "latest").lower().replace("_", "-"))
    name = re.sub(r"[^a-z0-9-]", "-", parsed.name.lower())
    tail = f"-{number}-{digest.partition(':')[2][:8]}"
    return f"{name}-{tag}"[: _LONGEST_NAME - len(tail)].strip("-") + tail


def compose(
    template: Manifest,
    overrides: PodTemplateOverrides | None,
    wrapper: Wrapper,
    *,
    image: str,
    info: ImageInfo,
    number: int,
    owner: str = "",
) -> Manifest:
    """Return the object of a pod to create.

    Args:
        template: The PodTemplate, as the API server has it.
        overrides: Fields that the function's FunctionConfig sets; None for none.
        wrapper: The server in the pod.
        image: Full name of the function.
        info: The registry's description of the image.
        number: Number of the pod among those of the image.
        owner: The namespace whose own credentials opened the image; empty for those of the installation.

    Raises:
        ClusterError: The template lacks the function's container, or the init container that copies the wrapper server.
    """
    body = copy.deepcopy(template.get("template") or {})
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    _compose_containers(template, spec, wrapper, image, info)
    if overrides is not None:
        _override(spec, overrides)
    harden(spec)
    name = pod_name(image, info.digest, number, owner)
    annotations = {
        **(metadata.get("annotations") or {}),
        TEMPLATE_VERSION_ANNOTATION: (template.get("metadata") or {}).get("resourceVersion", ""),
        FINGERPRINT_ANNOTATION: fingerprint(template, overrides, wrapper, owner),
        DIGEST_ANNOTATION: info.digest,
        **({OWNER_ANNOTATION: owner} if owner else {}),
    }
    labels = {**(metadata.get("labels") or {}), IMAGE_LABEL: name, OWNED_LABEL: OWNER}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
    }


def _compose_containers(
    template: Manifest, spec: dict[str, Any], wrapper: Wrapper, image: str, info: ImageInfo
) -> None:
    _wrapper_container(template, spec)["image"] = wrapper.image
    function = _function_container(template, spec)
    function["image"] = image
    arguments = ["--port", str(PORT), "--max-request-body-size", str(wrapper.max_message_size)]
    function["args"] = [*(function.get("args") or []), *arguments, "--", *info.command]


def _wrapper_container(template: Manifest, spec: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = spec.get("initContainers") or []
    for container in [*_named(containers, WRAPPER_CONTAINER), *containers]:
        return container
    raise _incomplete(template, f"init container {WRAPPER_CONTAINER!r}")


def _function_container(template: Manifest, spec: dict[str, Any]) -> dict[str, Any]:
    for container in _named(spec.get("containers") or [], FUNCTION_CONTAINER):
        return container
    raise _incomplete(template, f"container {FUNCTION_CONTAINER!r}")


def _named(containers: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [container for container in containers if container.get("name") == name]


def _incomplete(template: Manifest, what: str) -> ClusterError:
    namespace = (template.get("metadata") or {}).get("namespace", "")
    return ClusterError(f"the PodTemplate {namespace}/{TEMPLATE_NAME} has no {what}: add it, or delete the template")


def _override(spec: dict[str, Any], overrides: PodTemplateOverrides) -> None:
    if overrides.service_account_name:
        spec["serviceAccountName"] = overrides.service_account_name
        # A FunctionConfig names an account for the sake of its token.
        spec["automountServiceAccountToken"] = True
    if overrides.security_context is not None:
        spec["securityContext"] = _dump(overrides.security_context)
    if overrides.init_container is not None:
        [container] = _named(spec["initContainers"], WRAPPER_CONTAINER)[:1] or spec["initContainers"][:1]
        _override_container(container, overrides.init_container)
    if overrides.container is not None:
        [container] = _named(spec["containers"], FUNCTION_CONTAINER)[:1]
        _override_container(container, overrides.container)


def _override_container(container: dict[str, Any], overrides: ContainerOverrides) -> None:
    given = _dump(overrides)
    resources = given.pop("resources", {})
    if resources:
        container["resources"] = {**(container.get("resources") or {}), **resources}
    container.update(given)


def _dump(value: PodTemplateOverrides | Any) -> Any:  # noqa: ANN401 - a model, and the JSON of it
    """Return the JSON of a model's given fields; None for None."""
    if value is None:
        return None
    return value.model_dump(by_alias=True, mode="json", exclude_unset=True, exclude_none=True)

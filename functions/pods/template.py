"""Pods of functions: what they are made of.

Source: docs/reference/porch-function-runner.md, "Pods".
"""

import copy
import hashlib
import json
import re
from typing import Any, NamedTuple

from porchflow.api.pods import ContainerOverrides, PodTemplateOverrides
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.images import parse_image
from porchflow.functions.pods.cluster import ClusterError, Manifest
from porchflow.functions.pods.hardening import DEFAULTS, harden

TEMPLATE_NAME = "base-pod-template"
PORT = 9446
"""Where the wrapper server of a pod listens."""

IMAGE_LABEL = "fn.kpt.dev/image"
OWNED_LABEL = "app.kubernetes.io/managed-by"
OWNER = "porchflow"
SELECTOR = f"{IMAGE_LABEL},{OWNED_LABEL}={OWNER}"
"""Finds our pods; those of a Porch runner in the same namespace have no owner."""

TEMPLATE_VERSION_ANNOTATION = "fn.kpt.dev/template-version"
FINGERPRINT_ANNOTATION = "porchflow.dev/pod-fingerprint"
"""What the pod was made of, but for its image: pods of another fingerprint are not used."""
DIGEST_ANNOTATION = "porchflow.dev/image-digest"
USED_ANNOTATION = "porchflow.dev/last-used"
"""When some runner last used the pod, in seconds since 1970; renewed from time to time only."""

FUNCTION_CONTAINER = "function"
WRAPPER_CONTAINER = "copy-wrapper-server"
_TOOLS = "/wrapper-server-tools"
_LONGEST_NAME = 63


def default_template(wrapper_image: str) -> Manifest:
    """The PodTemplate that is created where there is none; its owner may change it, and pods follow."""
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


def fingerprint(template: Manifest, overrides: PodTemplateOverrides | None, wrapper: Wrapper) -> str:
    """Identifies what pods are made of, their image aside."""
    parts = [template.get("template"), _dump(overrides), wrapper.image, wrapper.max_message_size, DEFAULTS]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def pod_name(image: str, digest: str, number: int) -> str:
    """Name of the n-th pod of an image, for people to recognise: name, tag, number, digest."""
    parsed = parse_image(image)
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
) -> Manifest:
    """Make the pod of a function.

    Args:
        template: the PodTemplate, as the API server has it.
        overrides: of the function's FunctionConfig.
        wrapper: the server in the pod.
        image: full name of the function.
        info: what the registry says of it.
        number: which of the function's pods.

    Raises:
        ClusterError: the template lacks the function's container or the one that brings the wrapper server.
    """
    body = copy.deepcopy(template.get("template") or {})
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    _compose_containers(template, spec, wrapper, image, info)
    if overrides is not None:
        _override(spec, overrides)
    harden(spec)
    name = pod_name(image, info.digest, number)
    annotations = {
        **(metadata.get("annotations") or {}),
        TEMPLATE_VERSION_ANNOTATION: (template.get("metadata") or {}).get("resourceVersion", ""),
        FINGERPRINT_ANNOTATION: fingerprint(template, overrides, wrapper),
        DIGEST_ANNOTATION: info.digest,
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
        # Somebody who names an account wants its token.
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
    """The JSON of what was given, and nothing of what was not."""
    if value is None:
        return None
    return value.model_dump(by_alias=True, mode="json", exclude_unset=True, exclude_none=True)

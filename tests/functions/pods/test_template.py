from typing import Any

import pytest

from porchflow.api.models.pods import PodTemplateOverrides
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.pods.cluster import ClusterError
from porchflow.functions.pods.template import Wrapper, compose, default_template, fingerprint, pod_name

INFO = ImageInfo("sha256:0123456789abcdef", ("/usr/local/bin/function", "--flag"))
WRAPPER = Wrapper("r.io/wrapper:v1", 1000)


def composed(template: dict[str, Any], overrides: PodTemplateOverrides | None = None) -> dict[str, Any]:
    return compose(template, overrides, WRAPPER, image="r.io/fn/tool:v1.2", info=INFO, number=3)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("r.io/fn/set-labels:v0.2.1", "set-labels-v021-1-01234567"),
        ("set_labels", "set-labels-latest-1-01234567"),
        ("r.io/Fn/X:V1_2", "x-v1-2-1-01234567"),
        ("r.io/x@sha256:fedcba", "x-sha256fedcba-1-01234567"),
        ("r.io/" + "x" * 80 + ":v1", "x" * 52 + "-1-01234567"),
        ("r.io/x:" + "." * 60, "x-1-01234567"),
    ],
)
def test_a_pods_name_tells_its_image(image: str, name: str) -> None:
    assert pod_name(image, INFO.digest, 1) == name
    assert len(name) <= 63


def test_the_owners_template_is_kept_but_for_what_must_be() -> None:
    template = default_template("old:v1")
    template["metadata"] |= {"resourceVersion": "77", "namespace": "n"}
    template["template"]["metadata"] |= {"labels": {"team": "a"}}
    spec = template["template"]["spec"]
    spec["nodeSelector"] = {"pool": "functions"}
    spec["containers"].insert(0, {"name": "sidecar", "image": "s"})
    spec["containers"][1]["args"] = ["--verbosity", "4"]
    before = repr(template)

    pod = composed(template)
    assert repr(template) == before
    assert pod["metadata"]["name"] == "tool-v12-3-01234567"
    assert pod["metadata"]["labels"]["team"] == "a"
    assert pod["metadata"]["annotations"]["fn.kpt.dev/template-version"] == "77"
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true"
    assert pod["spec"]["nodeSelector"] == {"pool": "functions"}
    sidecar, function = pod["spec"]["containers"]
    assert sidecar.keys() == {"name", "image", "securityContext"}
    assert function["image"] == "r.io/fn/tool:v1.2"
    options = ["--verbosity", "4", "--port", "9446", "--max-request-body-size", "1000"]
    assert function["args"] == [*options, "--", "/usr/local/bin/function", "--flag"]
    assert pod["spec"]["initContainers"][0]["image"] == "r.io/wrapper:v1"


def test_overrides_replace_what_they_give_and_nothing_else() -> None:
    template = default_template("w")
    function = template["template"]["spec"]["containers"][0]
    function["resources"] = {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}
    overrides = PodTemplateOverrides.model_validate(
        {
            "container": {"resources": {"limits": {"memory": "1Gi"}}, "env": [{"name": "A", "value": "b"}]},
            "initContainer": {"envFrom": [{"secretRef": {"name": "s"}}]},
        }
    )
    spec = composed(template, overrides)["spec"]
    [function] = spec["containers"]
    assert function["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert function["env"] == [{"name": "A", "value": "b"}]
    assert spec["initContainers"][0]["envFrom"] == [{"secretRef": {"name": "s"}}]
    assert "serviceAccountName" not in spec
    assert spec["automountServiceAccountToken"] is False


def test_the_fingerprint_is_of_all_that_makes_pods_differ() -> None:
    template = default_template("w")
    robot = PodTemplateOverrides(service_account_name="robot")
    base = fingerprint(template, None, WRAPPER)
    other = default_template("w")
    other["template"]["spec"]["nodeSelector"] = {"a": "b"}
    different = {
        fingerprint(other, None, WRAPPER),
        fingerprint(template, robot, WRAPPER),
        fingerprint(template, None, Wrapper("r.io/wrapper:v2", 1000)),
        fingerprint(template, None, Wrapper("r.io/wrapper:v1", 1001)),
    }
    assert base not in different
    assert len(different) == 4
    # What pods are not made of.
    noted = {**template, "metadata": {"name": "base-pod-template", "resourceVersion": "9"}}
    assert fingerprint(noted, None, WRAPPER) == base


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("containers", [{"name": "main"}], "has no container 'function'"),
        ("initContainers", [], "has no init container 'copy-wrapper-server'"),
    ],
)
def test_an_incomplete_template_is_said(field: str, value: list[Any], message: str) -> None:
    template = default_template("w")
    template["template"]["spec"][field] = value
    with pytest.raises(ClusterError, match=message):
        composed(template)


RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_what_nobody_says_of_security_is_as_restricted_as_can_be() -> None:
    spec = composed(default_template("w"))["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [each["securityContext"] for each in [*spec["initContainers"], *spec["containers"]]] == [RESTRICTED] * 2


def test_a_function_config_relaxes_what_it_names_and_nothing_else() -> None:
    overrides = PodTemplateOverrides.model_validate(
        {"securityContext": {"runAsUser": 1000, "seccompProfile": {"type": "Unconfined"}}}
    )
    spec = composed(default_template("w"), overrides)["spec"]
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    root = PodTemplateOverrides.model_validate({"securityContext": {"runAsUser": 0}})
    assert composed(default_template("w"), root)["spec"]["securityContext"]["runAsNonRoot"] is False
    assert spec["containers"][0]["securityContext"] == RESTRICTED


def test_the_owners_template_relaxes_what_it_names_and_nothing_else() -> None:
    template = default_template("w")
    [function] = template["template"]["spec"]["containers"]
    function["securityContext"] = {"capabilities": {"add": ["NET_BIND_SERVICE"]}, "readOnlyRootFilesystem": True}
    [init] = template["template"]["spec"]["initContainers"]
    init["securityContext"] = {"privileged": True}
    spec = composed(template)["spec"]
    assert spec["containers"][0]["securityContext"] == {**RESTRICTED, **function["securityContext"]}
    # The API server takes no container that is privileged and may gain no privileges.
    assert "allowPrivilegeEscalation" not in spec["initContainers"][0]["securityContext"]

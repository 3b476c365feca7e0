"""Which lists are merged by element, and whether the data for it is fresh."""

import json
from pathlib import Path

import pytest

from porchflow.kpt.merge import generate
from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.shape import Shape
from porchflow.kpt.merge.sides import Sides

UNKNOWN = Schemas(Sides({}, {}, {}))


def shape(kind: str, path: str, schemas: Schemas = UNKNOWN) -> Shape:
    version, _, name = kind.rpartition("/")
    found = schemas.shape_of({"apiVersion": version, "kind": name, "metadata": {"name": "x"}})
    for step in path.split("."):
        found = found.element if step == "*" else found.child(step)
    return found


@pytest.mark.parametrize(
    ("kind", "path", "elements"),
    [
        ("apps/v1/Deployment", "spec.template.spec.containers", [{"name": "a"}, {"name": "b"}]),
        ("batch/v1/CronJob", "spec.jobTemplate.spec.template.spec.initContainers", [{"name": "a"}]),
        ("v1/Pod", "spec.volumes", [{"name": "a"}]),
        ("v1/Pod", "spec.imagePullSecrets", [{"name": "a"}]),
        ("v1/Pod", "spec.hostAliases", [{"ip": "1.1.1.1"}]),
        ("v1/Pod", "spec.topologySpreadConstraints", [{"topologyKey": "a", "whenUnsatisfiable": "x"}]),
        ("v1/Pod", "spec.containers.*.env", [{"name": "a"}]),
        ("v1/Pod", "spec.containers.*.ports", [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]),
        ("v1/Pod", "spec.containers.*.volumeMounts", [{"mountPath": "/a", "name": "x"}, {"mountPath": "/b"}]),
        ("v1/Pod", "spec.containers.*.volumeDevices", [{"devicePath": "/a"}]),
        ("v1/Service", "spec.ports", [{"port": 1}, {"port": 1, "protocol": "UDP"}]),
        ("v1/ServiceAccount", "secrets", [{"name": "a"}]),
        ("apps/v1/Deployment", "status.conditions", [{"type": "a"}]),
        ("v1/Node", "spec.podCIDRs", ["10.0.0.0/8"]),
        ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration", "webhooks", [{"name": "a"}]),
        ("storage.k8s.io/v1/CSINode", "spec.drivers", [{"name": "a"}]),
        ("kustomize.config.k8s.io/v1beta1/Kustomization", "configMapGenerator", [{"name": "a"}]),
        ("example.com/v1/Unknown", "metadata.ownerReferences", [{"uid": "a"}]),
        ("example.com/v1/Unknown", "metadata.finalizers", ["a", "b"]),
    ],
)  # fmt: skip
def test_lists_that_are_merged_by_element(kind: str, path: str, elements: list[object]) -> None:
    keying = shape(kind, path).keying
    assert keying is not None
    key = keying([elements])
    assert key is not None
    assert len({key(element) for element in elements}) == len(elements)
    assert keying([[*elements, elements[0]]]) is None


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("v1/Pod", "spec.containers.*.args"),
        ("v1/Pod", "spec.tolerations"),
        ("networking.k8s.io/v1/Ingress", "spec.rules"),
        ("rbac.authorization.k8s.io/v1/Role", "rules"),
        ("v1/ConfigMap", "data"),
        ("v1/Unknown", "spec.containers"),
        ("example.com/v1/Pod", "spec.containers"),
    ],
)
def test_lists_that_are_not(kind: str, path: str) -> None:
    assert shape(kind, path).keying is None


def test_values_of_a_map_with_free_keys_have_a_shape() -> None:
    crd = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: x.example.com}
spec:
  group: example.com
  names: {kind: X}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          any:
            additionalProperties:
              items: {properties: {tags: {type: array, x-kubernetes-list-type: set}}}
              x-kubernetes-patch-strategy: merge
              x-kubernetes-patch-merge-key: id
"""
    schemas = Schemas(Sides({}, {"crd.yaml": crd.encode()}, {"broken.yaml": b"CustomResourceDefinition: ["}))
    keying = shape("example.com/v1/X", "any.thing", schemas).keying
    assert keying is not None
    assert keying([[{"id": 1}, {"id": 2}]]) is not None
    assert shape("example.com/v1/X", "any.thing.*.tags", schemas).keying is not None
    assert shape("example.com/v1/X", "metadata.finalizers", schemas).keying is not None
    assert shape("example.com/v2/X", "any.thing", schemas).keying is None


def test_the_data_is_what_the_schemas_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generate.main(["--check"]) == 0
    stale = tmp_path / "merge_keys.json"
    stale.write_text("{}")
    monkeypatch.setattr(generate, "TARGET", stale)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert json.loads(stale.read_text())["kinds"]
    assert generate.main(["--check"]) == 0

from tests.functions.lists import run, said

KPTFILE = """
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: k
  annotations: {internal.config.kubernetes.io/path: Kptfile}
pipeline:
  mutators:
  - image: apply-setters:v0.2
    configMap: {n: nginx, l: "[b, a]", unused: "1"}
  - image: example.com/apply-setters
    configPath: setters.yaml
  - image: set-labels:v0.2
    configMap: {other: x}
"""
SETTERS = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: setters
  annotations: {internal.config.kubernetes.io/path: setters.yaml}
data: {n: apache}
"""
USES = """
metadata:
  name: apache-1 # kpt-set: ${n}-${i}
spec:
  replicas: 4 # kpt-set: ${rep}
  same: 5 # kpt-set: ${i}
  on: true # kpt-set: ${b}
  f: 1.5 # kpt-set: ${f}
  nothing: # kpt-set: ${z}
  l: # kpt-set: ${l}
  - b
  - a
  f2: [y, x] # kpt-set: ${m}
"""


def test_setters_are_listed_with_value_type_and_uses() -> None:
    assert said(run("list-setters", KPTFILE, SETTERS, USES)) == [
        ": Name: b, Value: true, Type: bool, Count: 1",
        ": Name: f, Value: 1.5, Type: float, Count: 1",
        ": Name: i, Value: 1, Type: int, Count: 2",
        ": Name: l, Value: [a, b], Type: array, Count: 1",
        ": Name: m, Value: [x, y], Type: array, Count: 1",
        ": Name: n, Value: apache, Type: str, Count: 1",
        ": Name: rep, Value: 4, Type: int, Count: 1",
        ": Name: unused, Value: 1, Type: str, Count: 0",
    ]


def test_a_package_without_setters_is_told() -> None:
    assert said(run("list-setters", "a: b")) == ["warning: no setters found"]

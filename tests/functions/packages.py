"""Resources that tests of functions share, and strategies that make more."""

from typing import Any

import yaml
from hypothesis import strategies as st

from tests.functions.lists import text

DEPLOYMENT = text("""
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
      annotations:
        internal.config.kubernetes.io/path: a.yaml
        internal.config.kubernetes.io/index: '0'
    spec:
      replicas: 3
      template:
        spec:
          serviceAccountName: sa
          initContainers:
          - name: i
            image: nginx:1.0
          containers:
          - name: c
            image: nginx:1.0 # the server
            args: [a, b]
            env:
            - name: X
              valueFrom:
                configMapKeyRef:
                  name: cfg
    """)
CONFIG_MAP = text("""
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: cfg
      annotations:
        internal.config.kubernetes.io/path: d/b.yaml
        internal.config.kubernetes.io/index: '1'
        config.kubernetes.io/depends-on: apps/namespaces/x/Deployment/web
    data:
      a: "1"
      list: nginx-1.0
    """)
CRON_JOB = text("""
    apiVersion: batch/v1
    kind: CronJob
    metadata:
      name: cj
    spec:
      jobTemplate:
        spec:
          template: {}
    """)

_words = st.sampled_from(["a", "b-1", "nginx", "nginx:1.0", "4", "true", "", "x y", "ns/web"])
_values = st.recursive(
    _words | st.integers(0, 9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "image", "name"]), inner),
    max_leaves=8,
)


@st.composite
def resources(draw: st.DrawFn) -> str:
    """Any resource of a few kinds, as text."""
    version, _, kind = draw(
        st.sampled_from(["apps/v1:Deployment", "v1:ConfigMap", "v1:Pod", "batch/v1:CronJob", "x.y/v1:Thing"])
    ).partition(":")
    value: dict[str, Any] = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": draw(st.sampled_from(["web", "cfg", "a-b", "nginx"])),
            "annotations": {"internal.config.kubernetes.io/path": draw(st.sampled_from(["a.yaml", "d/b.yaml"]))},
        },
        draw(st.sampled_from(["spec", "data"])): draw(_values),
    }
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=draw(st.sampled_from([False, None])))

"""The alarms of `deploy/monitoring/rules.yaml`, and objects of the Prometheus Operator and Grafana made from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from porchflow.cli.manifests.shipped import DEPLOY, NAMESPACE
from porchflow.cli.monitoring.dashboard import dashboard

FOLDER: Final = DEPLOY / "monitoring"
COMPONENT: Final = DEPLOY / "components" / "monitoring"
_HEAD: Final = "# Made from deploy/monitoring by `python -m porchflow.cli.reference`. Change that, not this.\n"


@dataclass(frozen=True)
class Alarm:
    """An alarm.

    Attributes:
        name: As Prometheus shows it.
        expression: In PromQL.
        holds_for: How long the expression holds before the alarm fires, such as `5m`; empty for at once.
        severity: `critical`, `warning` or `info`.
        summary: One line; a template with labels in braces.
        description: What follows from it.
        mend: What to do.
    """

    name: str
    expression: str
    holds_for: str
    severity: str
    summary: str
    description: str
    mend: str


def alarms() -> list[Alarm]:
    """Return the alarms, in the order of their file."""
    return [
        Alarm(
            rule["alert"],
            rule["expr"],
            rule.get("for", ""),
            rule["labels"]["severity"],
            rule["annotations"]["summary"],
            rule["annotations"]["description"],
            rule["annotations"]["mend"],
        )
        for group in _rules()["groups"]
        for rule in group["rules"]
    ]


def component_files() -> dict[Path, str]:
    """Return the generated objects of the component `monitoring`, by path."""
    metadata = {"namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "porchflow"}}
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "porchflow", **metadata},
        "spec": _rules(),
    }
    shown = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "porchflow-dashboard",
            "namespace": NAMESPACE,
            # The label by which the sidecar of Grafana's chart finds dashboards.
            "labels": {"app.kubernetes.io/part-of": "porchflow", "grafana_dashboard": "1"},
        },
        "data": {"porchflow.json": dashboard()},
    }
    return {COMPONENT / "prometheus-rule.yaml": _text(rule), COMPONENT / "dashboard.yaml": _text(shown)}


def _rules() -> dict[str, Any]:
    rules: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))
    return rules


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def _text(manifest: dict[str, Any]) -> str:
    return _HEAD + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)

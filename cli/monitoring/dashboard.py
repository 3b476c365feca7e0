"""The Grafana dashboard as JSON, from the table of its panels."""

import json
from collections.abc import Iterator
from typing import Any, Final

from porchflow.cli.monitoring.panels import ROWS, Panel

_WIDTH: Final = 24
"""Columns of Grafana's grid."""
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA: Final = 39
"""Version of Grafana's dashboards, of Grafana 11; later ones read it."""


def dashboard() -> str:
    """Return the dashboard as Grafana imports it."""
    whole = {
        "uid": "porchflow",
        "title": "porchflow",
        "description": "The processes of porchflow: what is under way, what waits, and what fails.",
        "tags": ["porchflow"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": [{**panel, "id": number} for number, panel in enumerate(_panels(), 1)],
    }
    return json.dumps(whole, indent=1) + "\n"


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "label": "Installation",
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": "label_values(porchflow_build_info, job)", "refId": "job"},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def _panels() -> Iterator[dict[str, Any]]:
    y = 0
    for heading, panels in ROWS.items():
        yield {"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": _place(0, y, _WIDTH, 1)}
        y += 1
        across = min(len(panels), 4)
        width = _WIDTH // across
        for place, panel in enumerate(panels):
            line, column = divmod(place, across)
            yield _panel(panel, _place(column * width, y + line * _HEIGHT, width, _HEIGHT))
        y += _HEIGHT * -(-len(panels) // across)


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": query.expression, "legendFormat": query.legend, "datasource": _SOURCE}
            for at, query in enumerate(panel.queries)
        ],
    }

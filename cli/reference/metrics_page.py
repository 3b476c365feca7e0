"""The page of metrics and alarms."""

from typing import Final

from porchflow.cli.monitoring.alarms import Alarm, alarms
from porchflow.cli.monitoring.exported import TEMPORAL, Family, families
from porchflow.cli.reference.tables import code, table

_HEAD: Final = """\
# Metrics and alarms

<!-- Made from the collectors and the rules by `python -m porchflow.cli.reference`. Change those, not this. -->

For operators: every metric that porchflow exports to Prometheus, and every alarm of `deploy/monitoring/rules.yaml`.
[Monitoring](../operate/monitoring.md) says how to collect them.

## Metrics of porchflow

A histogram `NAME` has the samples `NAME_bucket`, `NAME_sum` and `NAME_count`.

"""

_TEMPORAL: Final = """
## Metrics of Temporal's SDK

Workers and the watcher export them at the address of `PORCHFLOW_TEMPORAL_METRICS_ADDRESS`, durations in seconds. The
SDK has more; alarms and the dashboard read these:

"""

_ALARMS: Final = """
## Alarms

`critical`: a part does not work. `warning`: something is slow, or fails again and again. `info`: an author has to act.
Names in braces are labels of the alarm.

"""


def metrics_page() -> str:
    """Return the page, from the metrics and alarms of this version."""
    # Those that every Python process has come last.
    found = sorted(families().values(), key=lambda family: family.name.startswith("process_"))
    rows = [_row(family) for family in found]
    temporal = [(code(name), labels_of(labels)) for name, labels in TEMPORAL.items()]
    return (
        _HEAD
        + table(("metric", "kind", "labels", "exported by", "meaning"), rows)
        + _TEMPORAL
        + table(("metric", "labels"), temporal)
        + _ALARMS
        + "\n".join(map(_section, alarms()))
    )


def _row(family: Family) -> tuple[str, ...]:
    meaning = family.meaning.rstrip(".")
    return code(family.name), family.kind, labels_of(family.labels), ", ".join(family.processes), meaning


def labels_of(labels: tuple[str, ...]) -> str:
    """Return labels as a cell."""
    return ", ".join(map(code, labels))


def _section(alarm: Alarm) -> str:
    holds = f" for {alarm.holds_for}" if alarm.holds_for else ""
    summary = alarm.summary.replace("{{ $labels.", "{").replace("{{ $value | humanizeDuration }}", "{value}")
    summary = summary.replace("{{ $value | humanizePercentage }}", "{value}").replace("{{ $value }}", "{value}")
    mend = alarm.mend.replace("{{ $labels.process }}", "{process}")
    return f"""\
### {alarm.name}

{summary.replace(" }}", "}")}. {alarm.description} **{alarm.severity}**, when this holds{holds}:

```promql
{alarm.expression}
```

{mend}
"""

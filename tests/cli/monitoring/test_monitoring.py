"""Alarms and dashboard read what the processes export, and Prometheus' own tool takes both."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from porchflow.cli.monitoring.alarms import COMPONENT, FOLDER, alarms
from porchflow.cli.monitoring.exported import TEMPORAL, families
from porchflow.cli.monitoring.panels import queries
from porchflow.cli.processes.metrics import ACTIVITIES
from porchflow.cli.reference.__main__ import generated
from tests.promql import Selected, grouping, selectors

RULES, RULE_TESTS = FOLDER / "rules.yaml", FOLDER / "rules.test.yaml"
EXPRESSIONS = {
    **{alarm.name: alarm.expression for alarm in alarms()},
    **{f"{query.expression[:40]} … {at}": query.expression for at, query in enumerate(queries())},
}
OF_A_SCRAPE = {"job", "instance", "namespace", "pod", "le"}
"""Labels that Prometheus or its configuration adds, and that of buckets."""

TOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(TOOL is None, reason="needs promtool: apt-get install prometheus")


def labels_by_sample() -> dict[str, set[str]]:
    """Labels of each sample that may be selected."""
    known = {sample: set(one.labels) for one in families().values() for sample in one.samples}
    for name, labels in TEMPORAL.items():
        ends = ("_bucket", "_sum", "_count") if name.endswith("latency") else ("",)
        known |= {name + end: set(labels) for end in ends}
    return known


KNOWN = labels_by_sample()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_metrics_and_labels_are_exported(name: str) -> None:
    found = selectors(EXPRESSIONS[name])
    assert found, "no expression without a metric"
    assert [each.metric for each in found if each.metric not in KNOWN] == []
    known = set.union(*(KNOWN[each.metric] for each in found)) | OF_A_SCRAPE
    assert {label for each in found for label in each.matchers} | grouping(EXPRESSIONS[name]) <= known


def test_labels_in_texts_of_alarms_are_those_of_their_expression() -> None:
    for alarm in alarms():
        named = set(re.findall(r"\$labels\.(\w+)", f"{alarm.summary} {alarm.description} {alarm.mend}"))
        known = set.union(*(KNOWN[each.metric] for each in selectors(alarm.expression)))
        assert named <= known, alarm.name
        if " by (" in alarm.expression:
            assert named <= grouping(alarm.expression), alarm.name


def test_the_dashboard_shows_every_metric_of_porchflow() -> None:
    shown = {each.metric for query in queries() for each in selectors(query.expression)}
    hidden = {name for name, one in families().items() if name.startswith("porchflow_") and not one.samples & shown}
    assert hidden == set()
    assert {name for name in TEMPORAL if not any(each.startswith(name) for each in shown)} == set()


def test_an_expression_over_a_metric_that_is_not_there_is_seen() -> None:
    [found] = selectors('sum by (job) (rate(porchflow_absent_total{code=~"5.."}[5m]))')
    assert found == Selected("porchflow_absent_total", {"code": "5.."})
    assert found.metric not in KNOWN


def test_failures_are_exported_before_the_first_one() -> None:
    """Prometheus sees no increase in a series that begins at 1, so the alarms would miss a first failure."""
    [seconds] = [one for name, one in families().items() if name == "porchflow_activity_seconds"]
    assert set(seconds.labels) == {"activity", "outcome"}
    assert {"execute_source", "render", "move_lifecycle", "sync_repository"} <= set(ACTIVITIES)


def fires(test: dict[str, list[dict[str, object]]]) -> list[set[str]]:
    """The alarms that a test of rules says fire, for each time that it names."""
    return [
        set(re.findall(r'alertname="(\w+)"', yaml.safe_dump(each.get("exp_samples", []), width=1000)))
        for each in test["promql_expr_test"]
    ]


def test_each_alarm_is_shown_to_fire_and_not_to() -> None:
    tests = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    every = {alarm.name for alarm in alarms()}
    assert set().union(*(names for test in tests for names in fires(test))) == every
    for name in every:
        # In the same scenario it does not fire at another time: before its condition holds long enough, or after.
        assert any(name in set().union(*fires(test)) and any(name not in at for at in fires(test)) for test in tests), (
            name
        )


@with_promtool
@pytest.mark.parametrize("command", [("check", "rules", RULES), ("test", "rules", RULE_TESTS)])
def test_promtool_takes_the_rules(command: tuple[str, str, Path]) -> None:
    assert promtool(*command[:2], str(command[2])) == ""


@with_promtool
def test_promtool_finds_a_rule_that_fires_too_late(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.read_text().replace("for: 5m", "for: 50m"))
    shutil.copy(RULE_TESTS, tmp_path)
    assert "WatchDown" in promtool("test", "rules", str(tmp_path / RULE_TESTS.name))


@with_promtool
def test_queries_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    """Each becomes a recording rule, which promtool parses."""
    shown = json.loads((FOLDER / "dashboard.json").read_text())
    asked = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]
    assert len(asked) == len(queries())
    rules = [{"record": f"q:{at}", "expr": each.replace("$__rate_interval", "5m")} for at, each in enumerate(asked)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert promtool("check", "rules", str(tmp_path / "queries.yaml")) == ""


def promtool(*arguments: str) -> str:
    """What promtool complains about; empty where it does not."""
    assert TOOL is not None
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def test_the_operator_gets_the_same_rules() -> None:
    made = yaml.safe_load((COMPONENT / "prometheus-rule.yaml").read_text())
    assert made["spec"] == yaml.safe_load(RULES.read_text())


def test_grafana_gets_the_same_dashboard() -> None:
    made = yaml.safe_load((COMPONENT / "dashboard.yaml").read_text())
    assert made["data"] == {"porchflow.json": (FOLDER / "dashboard.json").read_text()}


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_generated_files_are_fresh() -> None:
    assert {each.path.name: each.difference() for each in generated() if each.difference()} == {}

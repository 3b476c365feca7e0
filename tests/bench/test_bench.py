"""`python -m bench`, as `make bench` runs it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench.conditions import Conditions
from bench.follow import BenchError, Follower, following, is_ready, is_rendered
from bench.results import PORCH_RATES, Result, print_results
from bench.runs import RunCosts
from bench.usage import Usage
from bench.workloads import Timing
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.e2e.system import PR, ROOT

N = 3
PARTS = {"etcd", "kube-apiserver", "temporal", "git-server", "function-runner", "watcher", "content-api", "worker-1"}


def bench(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


def test_a_small_burst_has_consistent_figures(server_binaries: dict[str, Path]) -> None:
    done = bench("--objects", str(N), "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    init, publish, clone, upgrade, push, render, large, register = report["results"]
    workloads = ["init", "publish", "clone", "upgrade", "push", "render", "large", "register"]
    assert [result["workload"] for result in report["results"]] == workloads
    for result in report["results"]:
        objects = {"register": 2 * N, "large": 10 * N}.get(result["workload"], N)
        assert result["objects"] == objects
        assert result["rate"] == pytest.approx(objects / result["timing"]["seconds"])
        assert sum(result["timing"]["split"].values()) == pytest.approx(result["timing"]["seconds"])
        porch = PORCH_RATES.get(result["workload"])
        assert result["ratio"] == (pytest.approx(result["rate"] / porch) if porch else None)
        assert result["pushes_per_object"] == result["pushes"] / objects
        cpu = sum(part["cpu_seconds"] for part in result["parts"].values())
        assert result["cpu_per_object"] == pytest.approx(cpu / objects)
        assert set(result["parts"]) == PARTS
        assert all(part["cpu_seconds"] >= 0 and part["peak_mib"] > 0 for part in result["parts"].values())
        assert result["parts"]["worker-1"]["cpu_seconds"] > 0
    # Each draft is pushed, each proposal and each merge; how many share a push depends on their timing.
    assert 1 <= init["pushes"] <= 2 * N
    assert 2 <= publish["pushes"] <= 2 * N
    # A signal that arrives when a run has just ended starts another, which finds nothing to do.
    assert 1 <= init["costs"]["runs"] <= 2
    # What goes well at the first attempt needs no activity of its own, but for a rendering.
    assert init["costs"]["activities"] <= 2
    # A run that has not quite ended takes the next step along.
    assert 1 <= publish["costs"]["runs"] <= 2
    assert publish["costs"]["activities"] <= 2
    for result in (clone, upgrade):
        # The drafts may all share one push; a rendering that changes nothing takes none.
        assert 1 <= result["pushes"] <= 2 * N
        assert 1 <= result["costs"]["runs"] <= 2
    assert (register["pushes"], register["costs"]["runs"]) == (0, 0), "what is found in Git needs no workflow"
    assert len(push["timing"]["round_trips"]) == N
    assert sum(push["timing"]["round_trips"]) == pytest.approx(push["timing"]["seconds"], rel=0.1)
    assert min(push["timing"]["round_trips"]) <= push["p50"] <= push["p95"] <= max(push["timing"]["round_trips"])
    assert push["pushes"] >= 2 * N, "what is pushed, and its rendering"
    # Every one has new content, which no other phase renders.
    assert 1 <= render["pushes"] <= N
    assert large["pushes"] == 1
    assert (render["costs"]["activities"], large["costs"]["activities"]) == (1, 1)
    conditions = report["conditions"]
    assert conditions["functions"] == "functions in the function runner"
    assert conditions["workers"] == 1
    assert set(conditions["versions"]) == {"Python", "temporalio", "git", "etcd", "kube-apiserver", "temporal"}
    assert "unknown" not in conditions["versions"].values()


def test_functions_may_run_in_the_workers(server_binaries: dict[str, Path]) -> None:
    done = bench("--objects", "2", "--workers", "1", "--workloads", "large", "--in-process", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    (large,) = report["results"]
    assert large["objects"] == 20
    assert set(large["parts"]) == PARTS - {"function-runner"}
    assert report["conditions"]["functions"] == "functions in the workers"


def test_a_repository_may_hold_packages_before(server_binaries: dict[str, Path]) -> None:
    done = bench("--objects", "2", "--workers", "1", "--workloads", "init", "--held", "0,3", "--in-process", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert [(result["workload"], result["held"], result["objects"]) for result in report["results"]] == [
        ("init", 0, 2),
        ("init", 3, 2),
    ]


def test_repositories_that_stand_still_cost_one_run_together(server_binaries: dict[str, Path]) -> None:
    done = bench("--objects", "4", "--workers", "1", "--workloads", "still", "--in-process", "--json")
    assert done.returncode == 0, done.stderr
    listing, syncs = json.loads(done.stdout.splitlines()[-1])["results"]
    assert [(each["workload"], each["objects"]) for each in (listing, syncs)] == [("listing", 4), ("syncs", 4)]
    assert listing["costs"]["runs"] == pytest.approx(1 / 4)
    assert (syncs["costs"]["runs"], syncs["costs"]["activities"]) == (1, 1)


def test_poison_of_another_namespace_ends_no_process(server_binaries: dict[str, Path]) -> None:
    done = bench("--objects", "2", "--workers", "1", "--workloads", "poison", "--in-process", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    assert [(each["workload"], each["objects"], each["deaths"]) for each in results] == [
        ("alone", 2, 0),
        ("poison", 2, 0),
    ]


@pytest.mark.parametrize(
    "arguments",
    [("--objects", "0"), ("--objects", "x"), ("--workloads", "init,dance"), ("--held", "-1"), ("--held", "1,1")],
)
def test_a_wrong_argument_is_refused_before_anything_starts(arguments: tuple[str, str]) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert "separated by commas" in done.stderr


def test_the_table_shows_each_workload(capsys: pytest.CaptureFixture[str]) -> None:
    timing = Timing(10.0, {"created": 1.0, "rendered": 9.0})
    costs = RunCosts(runs=1.0, workflow_tasks=2.0, activities=1.0)
    result = Result("init", 0, 490, timing, 49, costs, {"temporal": Usage(15.0, 200.4), "worker-1": Usage(5.0, 99.5)})
    print_results(Conditions(4, 0.25, "Linux", 1, 50, "functions in the workers", {"git": "2.39"}), [result])
    printed = capsys.readouterr().out
    assert "4 cores, load 0.2 before, 1 workers, functions in the workers, Git 50 ms away, Linux; git 2.39" in printed
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    shown = dict(line for line in lines if len(line) == 2)
    assert shown["objects"] == "490"
    assert shown["objects/s"] == "49.0"
    assert shown["times Porch"] == "5.0"
    assert shown["pushes per object"] == "0.10"
    assert shown["CPU seconds of all"] == "20.00"
    assert shown["CPU ms per object, all parts"] == "40.8"
    assert shown["cores busy with the stack"] == "2.0"
    assert shown["peak MiB of temporal"] == "200"
    assert shown["until rendered, s"] == "9.00"
    assert shown["one after another, p50 ms"] == ""


def test_the_table_says_what_the_repository_held(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result("push", 5_000, 1, Timing(1.0, {}), 2, RunCosts(runs=1.0, workflow_tasks=2.0, activities=1.0), {})
    print_results(Conditions(4, 0.25, "Linux", 1, 0, "functions in the workers", {"git": "2.39"}), [result])
    assert "push in 5,000" in capsys.readouterr().out


def test_a_table_of_many_columns_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    costs = RunCosts(runs=1.0, workflow_tasks=2.0, activities=1.0)
    workloads, sizes = ("init", "publish", "clone", "push"), (0, 1_000, 5_000)
    results = [Result(each, held, 50, Timing(9.0, {}), 2, costs, {}) for held in sizes for each in workloads]
    print_results(Conditions(2, 0.1, "Linux", 2, 0, "functions in the workers", {"git": "2.39"}), results)
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "publish in 5,000" in printed
    assert "one after another, p95 ms" in printed


@pytest.mark.parametrize(
    ("trips", "percent", "seconds"), [([], 50, None), ([3.0], 95, 3.0), ([4.0, 1.0, 3.0, 2.0], 50, 3.0)]
)
def test_percentiles(trips: list[float], percent: int, seconds: float | None) -> None:
    assert Timing(1.0, {}, trips).percentile(percent) == seconds


@pytest.fixture
async def follower(kube: KubeClient, namespace: str) -> AsyncIterator[Follower]:
    async with following(kube, namespace) as follower:
        yield follower


async def create(kube: KubeClient, namespace: str, name: str) -> None:
    spec = {"packageName": "p", "repository": "r", "workspaceName": "w", "lifecycle": "Draft"}
    metadata = {"name": name, "namespace": namespace}
    manifest = {"apiVersion": PR, "kind": "PackageRevision", "metadata": metadata, "spec": spec}
    await kube.create(PACKAGEREVISIONS, manifest)


async def report(kube: KubeClient, namespace: str, name: str, **statuses: str) -> None:
    conditions = [
        {"type": kind, "status": status, "reason": "Told", "message": "by a test", "observedGeneration": 1}
        | {"lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind, status in statuses.items()
    ]
    status = {"observedGeneration": 1, "conditions": conditions}
    await kube.merge_patch(PACKAGEREVISIONS, namespace, name, {"status": status}, subresource="status")


async def test_following_ends_when_the_last_object_is_done(
    kube: KubeClient, namespace: str, follower: Follower
) -> None:
    names = ["r.p.a", "r.p.b"]
    for name in names:
        await create(kube, namespace, name)
    await report(kube, namespace, "r.p.a", Ready="True", Rendered="True")
    with pytest.raises(BenchError, match=r"1 of 2 objects lost: not done, .* r\.p\.b"):
        await follower.until(names, "done", is_rendered, quiet=0.5)
    await report(kube, namespace, "r.p.b", Ready="True", Rendered="False")
    await follower.until(names, "ready", is_ready)
    await report(kube, namespace, "r.p.b", Ready="True", Rendered="True")
    await follower.until(names, "done", is_rendered)


async def test_following_fails_for_what_is_stalled_or_gone(
    kube: KubeClient, namespace: str, follower: Follower
) -> None:
    await create(kube, namespace, "r.p.a")
    await report(kube, namespace, "r.p.a", Ready="False", Stalled="True")
    with pytest.raises(BenchError, match=r"r\.p\.a is Stalled: Told: by a test"):
        await follower.until(["r.p.a"], "ready", is_ready)
    await create(kube, namespace, "r.p.b")
    await follower.until(["r.p.b"], "there", lambda _: True)
    await kube.delete(PACKAGEREVISIONS, namespace, "r.p.b")
    with pytest.raises(BenchError, match=r"r\.p\.b is gone"):
        await follower.until(["r.p.b"], "ready", is_ready)

"""Measures bursts against a stack of its own, and prints one table."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import click
from temporalio.client import Client

from bench.conditions import Conditions
from bench.follow import BenchError, following
from bench.results import Result, print_results
from bench.runs import run_costs, until_quiet
from bench.upstream import RESOURCES
from bench.usage import forget_peaks, usage_of, used_since
from bench.workloads import NAMESPACE, PUSHED, REPOSITORY, UPGRADED, WORKSPACE, Bench, Timing, large_of, object_name
from porchflow.cli.processes.installation import read_installation
from porchflow.cli.settings import StackSettings
from porchflow.cli.stack_settings import load_stack_settings
from porchflow.cli.stack_state import StackRecord, StateFolder
from porchflow.devstack.demo.demo_repository import GitFailed
from porchflow.devstack.gitserver import STATISTICS_PATH
from porchflow.devstack.logs import Say, console
from porchflow.devstack.run import STACK_ERRORS, running_stack
from porchflow.kube.client import KubeClient
from porchflow.workflows.ids import Installation
from porchflow.workflows.installation_settings import InstallationSettings

WORKLOADS = ("init", "publish", "clone", "upgrade", "push", "render", "large", "register")
_NEEDS = {"publish": "init", "upgrade": "clone"}
"""A workload that works on the objects of another one."""
_KINDS = {"clone": "clone", "upgrade": "clone", "register": "package", "render": "render", "large": "resource"}
"""Base names of the packages of a workload."""

_CLIENT_CONNECTIONS = 20


class Measurement:
    """Runs workloads on a running stack and measures each."""

    def __init__(self, bench: Bench, stack: StackRecord, temporal: Client, installation: Installation) -> None:
        """Create a measurement of a running stack."""
        self._bench = bench
        self._stack = stack
        self._temporal = temporal
        self._installation = installation

    async def run(self, sizes: Sequence[int], workloads: Sequence[str], say: Say) -> list[Result]:
        """Run workloads of each size, on packages of their own.

        Raises:
            BenchError: One of them did not reach 100 %.
        """
        await self._bench.prepare()
        results = []
        for size in sizes:
            for workload in _with_needs(workloads):
                kind = _KINDS.get(workload, "burst")
                packages = [f"{kind}-{size}-{number}" for number in range(1, size + 1)]
                await self._prepare(workload, packages)
                say("bench", f"{workload} of {size} objects")
                result = await self._measure(workload, packages)
                if workload in workloads:
                    results.append(result)
        return results

    async def _prepare(self, workload: str, packages: list[str]) -> None:
        """Make the objects that a workload starts from and does not measure."""
        if workload == "clone":
            await self._bench.prepare_upstream()
        if workload == "register":
            await self._bench.prepare_published(packages)
        if workload in ("render", "large"):
            await (self._bench.prepare_render if workload == "render" else self._bench.prepare_large)(packages)
            await until_quiet(self._temporal)
        if workload == "upgrade":
            await self._bench.publish(packages)
            await until_quiet(self._temporal)

    async def _measure(self, workload: str, packages: list[str]) -> Result:
        since = datetime.now(UTC)
        forget_peaks(self._stack)
        pushes, before = await self._pushes(), usage_of(self._stack)
        run: Callable[[list[str]], Awaitable[Timing]] = getattr(self._bench, workload)
        timing = await run(packages)
        parts, pushed = used_since(before, usage_of(self._stack)), await self._pushes() - pushes
        names = self._worked_on(workload, packages)
        costs = await run_costs(
            self._temporal, self._installation, NAMESPACE, names, since, expected=workload != "register"
        )
        return Result(workload, self._objects(workload, packages, names), timing, pushed, costs, parts)

    @staticmethod
    def _objects(workload: str, packages: list[str], names: list[str]) -> int:
        """Count the unit of the figures: objects, pushes for `push`, resources for `large`."""
        match workload:
            case "push":
                return len(packages)
            case "large":
                return len(packages) * RESOURCES
        return len(names)

    def _worked_on(self, workload: str, packages: list[str]) -> list[str]:
        """Return the objects of a workload; `push` works on the same one each time."""
        match workload:
            case "push":
                return [object_name(PUSHED)]
            case "large":
                return [object_name(large_of(packages))]
            case "register":
                return self._bench.registered(packages)
        return [object_name(package, UPGRADED if workload == "upgrade" else WORKSPACE) for package in packages]

    async def _pushes(self) -> int:
        async with aiohttp.ClientSession(trust_env=False) as session:
            answer = await session.get(self._stack.git + STATISTICS_PATH, raise_for_status=True)
            pushes: dict[str, int] = (await answer.json())["pushes"]
            return pushes.get(f"{REPOSITORY}.git", 0)


def _with_needs(workloads: Sequence[str]) -> list[str]:
    wanted = {*workloads, *(_NEEDS[name] for name in workloads if name in _NEEDS)}
    return [name for name in WORKLOADS if name in wanted]


async def measure(
    settings: StackSettings, sizes: Sequence[int], workloads: Sequence[str], say: Say
) -> tuple[Conditions, list[Result]]:
    """Run workloads against a stack that is started for them and stopped after them.

    Args:
        settings: Of the stack.
        sizes: Objects of each burst.
        workloads: Some of `WORKLOADS`.
        say: Receives events of the stack and log lines of its parts.

    Raises:
        BenchError: A workload did not reach 100 %.
    """
    folder = StateFolder(settings.state_dir)
    async with (
        running_stack(settings, say) as stack,
        await KubeClient.connect(folder.kubeconfig, max_connections=_CLIENT_CONNECTIONS) as client,
        following(client, NAMESPACE) as follower,
    ):
        conditions = await asyncio.to_thread(Conditions.read, stack, settings)
        bench = Bench(client, follower, folder.git, stack.git)
        installation = await read_installation(InstallationSettings(), client)
        measurement = Measurement(bench, stack, await Client.connect(stack.temporal), installation)
        return conditions, await measurement.run(sizes, workloads, say)


def _numbers(_: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        numbers = [int(number) for number in value.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise click.BadParameter("different numbers above zero, separated by commas", param=parameter)
    return numbers


def _names(_: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    names = value.split(",")
    if not set(names) <= set(WORKLOADS):
        raise click.BadParameter(f"some of {', '.join(WORKLOADS)}, separated by commas", param=parameter)
    return names


@click.command()
@click.option("--objects", default="50,200", callback=_numbers, help="Objects of each burst [default 50,200]")
@click.option("--workloads", default=",".join(WORKLOADS), callback=_names, help="What to run [default: all]")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes [default: as porchflow up]")
@click.option(
    "--git-latency",
    type=click.FloatRange(0, 10_000),
    help="Milliseconds that each request to the Git server waits, as if it were far away [default 0]",
)
@click.option("--in-process", is_flag=True, help="No function runner: the workers run the functions.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def main(
    *,
    objects: list[int],
    workloads: list[str],
    workers: int | None,
    git_latency: float | None,
    in_process: bool,
    as_json: bool,
) -> None:
    """Measure bursts of PackageRevisions against a stack of its own; ends with 1 when an object is lost or Stalled."""
    state = Path(tempfile.mkdtemp(prefix="porchflow-bench-"))
    ports = dict.fromkeys((name for name in StackSettings.model_fields if name.endswith("_port")), 0)
    flags = {"workers": workers, "git_latency": git_latency, "function_runner": not in_process}
    settings = load_stack_settings({"state_dir": state, **flags, **ports})
    try:
        conditions, results = asyncio.run(measure(settings, objects, workloads, console(only_stack=True)))
    except (BenchError, GitFailed, *STACK_ERRORS) as error:
        click.echo(f"Error: {error}\nthe logs are in {state / 'logs'}", err=True)
        sys.exit(1)
    shutil.rmtree(state)
    if as_json:
        click.echo(json.dumps({"conditions": asdict(conditions), "results": [result.as_json() for result in results]}))
    else:
        print_results(conditions, results)

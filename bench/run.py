"""Measures bursts against a stack of its own, and prints one table."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import click
from temporalio.client import Client

from bench.conditions import Conditions
from bench.follow import BenchError, following
from bench.results import Result, print_results
from bench.runs import costs_of_all, run_costs, until_quiet
from bench.still import StillRepositories
from bench.upstream import RESOURCES
from bench.usage import ended_parts, forget_peaks, usage_of, used_since
from bench.workloads import NAMESPACE, PUSHED, REPOSITORY, UPGRADED, WORKSPACE, Bench, Timing, large_of, object_name
from porchflow.cli.processes.installation import read_installation
from porchflow.cli.settings import StackSettings
from porchflow.cli.stack_settings import load_stack_settings
from porchflow.cli.stack_state import StackRecord, StateFolder
from porchflow.devstack.demo.demo_repository import GitFailed
from porchflow.devstack.git.gitserver import STATISTICS_PATH
from porchflow.devstack.logs import Say, console
from porchflow.devstack.run import STACK_ERRORS, running_stack
from porchflow.kube.client import KubeClient
from porchflow.workflows.ids import Installation
from porchflow.workflows.installation_settings import InstallationSettings

WORKLOADS = ("init", "publish", "clone", "upgrade", "push", "render", "large", "register")
BESIDE_POISON = ("alone", "poison")
"""What `poison` stands for: two workloads that are compared with one another."""
GROWN = ("init", "publish", "clone", "push")
"""What `grown` stands for: the workloads whose cost must not depend on what the repository holds."""
GROWN_BY = (0, 1_000, 5_000)
"""Published packages that the repository holds, for `grown`; each has a tag and two objects."""
STILL = ("listing", "syncs")
"""What `still` stands for: ways to find out that no ref of N Repositories has moved."""
_NEEDS = {"publish": "init", "upgrade": "clone"}
"""A workload that works on the objects of another one."""
_KINDS = {
    "clone": "clone",
    "upgrade": "clone",
    "register": "package",
    "render": "render",
    "large": "resource",
    "alone": "alone",
    "poison": "beside",
}
"""Base names of the packages of a workload."""

_CLIENT_CONNECTIONS = 20


class Measurement:
    """Runs workloads on a running stack and measures each."""

    def __init__(
        self,
        bench: Bench,
        *,
        still: StillRepositories,
        held: int,
        stack: StackRecord,
        temporal: Client,
        installation: Installation,
    ) -> None:
        """Create a measurement of a running stack, in a repository that holds so many published packages."""
        self._bench = bench
        self._still = still
        self._held = held
        self._stack = stack
        self._temporal = temporal
        self._installation = installation

    async def run(self, sizes: Sequence[int], workloads: Sequence[str], say: Say) -> list[Result]:
        """Run workloads of each size, on packages of their own.

        Raises:
            BenchError: One of them did not reach 100 %.
        """
        await self._bench.prepare(self._held)
        results = []
        for size in sizes:
            for workload in _with_needs(workloads):
                kind = "repository" if workload in STILL else _KINDS.get(workload, "burst")
                packages = [f"{kind}-{size}-{number}" for number in range(1, size + 1)]
                await self._prepare(workload, packages)
                say("bench", f"{workload} of {size} objects")
                result = await self._measure(workload, packages)
                if workload in workloads:
                    results.append(result)
        return results

    async def _prepare(self, workload: str, packages: list[str]) -> None:
        """Make the objects that a workload starts from and does not measure."""
        if workload == STILL[0]:
            await self._still.prepare(packages)
        if workload == "clone":
            await self._bench.prepare_upstream()
        if workload == "poison":
            await self._bench.prepare_poison()
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
        of = self._still if workload in STILL else self._bench
        run: Callable[[list[str]], Awaitable[Timing]] = getattr(of, workload)
        timing = await run(packages)
        parts, pushed = used_since(before, usage_of(self._stack)), await self._pushes() - pushes
        deaths = ended_parts(self._stack)
        if workload in STILL:
            costs = await costs_of_all(
                self._temporal,
                len(packages),
                since,
                least=1 if workload == STILL[0] else len(packages),
                but=self._still.scheduled_listings,
            )
            return Result(workload, self._held, len(packages), timing, pushed, costs, parts, deaths)
        names = self._worked_on(workload, packages)
        costs = await run_costs(
            self._temporal, self._installation, NAMESPACE, names, since, expected=workload != "register"
        )
        return Result(
            workload, self._held, self._objects(workload, packages, names), timing, pushed, costs, parts, deaths
        )

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
    return [name for name in (*WORKLOADS, *BESIDE_POISON, *STILL) if name in wanted]


async def measure(
    settings: StackSettings, held: int, sizes: Sequence[int], workloads: Sequence[str], say: Say
) -> tuple[Conditions, list[Result]]:
    """Run workloads against a stack that is started for them and stopped after them.

    Args:
        settings: Of the stack.
        held: Published packages that the repository holds before.
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
        installation = await read_installation(InstallationSettings(installation=stack.installation), client)
        temporal = await Client.connect(stack.temporal)
        still = StillRepositories(client, temporal, installation, folder.git, stack.git)
        measurement = Measurement(
            bench, still=still, held=held, stack=stack, temporal=temporal, installation=installation
        )
        return conditions, await measurement.run(sizes, workloads, say)


async def _measure_all(
    flags: Mapping[str, Any], helds: Sequence[int], objects: Sequence[int], workloads: Sequence[str]
) -> tuple[Conditions, list[Result]]:
    """Measure with a stack for each size of the repository; a stack that fails keeps its folder."""
    ports = dict.fromkeys((name for name in StackSettings.model_fields if name.endswith("_port")), 0)
    measured = []
    for held in helds:
        state = Path(tempfile.mkdtemp(prefix="porchflow-bench-"))
        settings = load_stack_settings({"state_dir": state, **flags, **ports})
        try:
            measured.append(await measure(settings, held, objects, workloads, console(only_stack=True)))
        except (BenchError, GitFailed, *STACK_ERRORS) as error:
            raise BenchError(f"{error}\nthe logs are in {state / 'logs'}") from error
        shutil.rmtree(state)
    return measured[0][0], [result for _, results in measured for result in results]


def _numbers(least: int) -> Callable[[click.Context, click.Parameter, str | None], list[int] | None]:
    def read(_: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
        if value is None:
            return None
        try:
            numbers = [int(number) for number in value.split(",")]
        except ValueError:
            numbers = []
        if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
            above = "zero or above" if least == 0 else "above zero"
            raise click.BadParameter(f"different numbers {above}, separated by commas", param=parameter)
        return numbers

    return read


def _names(_: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    names = value.split(",")
    known = (*WORKLOADS, "grown", "poison", "still")
    if not set(names) <= {*known}:
        raise click.BadParameter(f"some of {', '.join(known)}, separated by commas", param=parameter)
    return names


@click.command()
@click.option("--objects", default="50,200", callback=_numbers(1), help="Objects of each burst [default 50,200]")
@click.option(
    "--workloads",
    default=",".join(WORKLOADS),
    callback=_names,
    help=f"What to run; grown: {', '.join(GROWN)} in repositories of several sizes; poison: one object after another,"
    f" alone and while another namespace has poison in work; still: {', '.join(STILL)} of so many Repositories that"
    " stand still [default: all but these three]",
)
@click.option(
    "--held",
    callback=_numbers(0),
    help="Published packages that the repository holds before, a stack for each number "
    f"[default 0; with grown {','.join(map(str, GROWN_BY))}]",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes [default: as porchflow up]")
@click.option(
    "--git-latency",
    type=click.FloatRange(0, 10_000),
    help="Milliseconds that each request to the Git server waits, as if it were far away [default 0]",
)
@click.option(
    "--temporal-store",
    type=click.Choice(["sqlite", "postgresql"]),
    help="Where Temporal keeps its runs [default: as porchflow up]",
)
@click.option("--in-process", is_flag=True, help="No function runner: the workers run the functions.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def main(
    *,
    objects: list[int],
    workloads: list[str],
    held: list[int] | None,
    workers: int | None,
    git_latency: float | None,
    temporal_store: str | None,
    in_process: bool,
    as_json: bool,
) -> None:
    """Measure bursts of PackageRevisions against a stack of its own; ends with 1 when an object is lost or Stalled."""
    flags = {
        "workers": workers,
        "git_latency": git_latency,
        "temporal_store": temporal_store,
        "function_runner": not in_process,
    }
    grown = "grown" in workloads
    named = [name for name in WORKLOADS if name in workloads or (grown and name in GROWN)]
    named += STILL if "still" in workloads else ()
    named += BESIDE_POISON if "poison" in workloads else ()
    helds = held or (GROWN_BY if grown else (0,))
    try:
        conditions, results = asyncio.run(_measure_all(flags, helds, objects, named))
    except BenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"conditions": asdict(conditions), "results": [result.as_json() for result in results]}))
    else:
        print_results(conditions, results)

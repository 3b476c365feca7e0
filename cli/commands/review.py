"""`porchflow propose`, `porchflow approve` and `porchflow reject`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble
from porchflow.gitrepo.git_settings import GitSettings

if TYPE_CHECKING:
    from porchflow.cli.diff.sides import Side
    from porchflow.cli.revisions.review import Move
    from porchflow.cli.settings import Settings
    from porchflow.kube.client import KubeClient


_namespace = click.option(
    "--namespace", "-n", help="Namespace of the PackageRevision [default: that of the kubeconfig]."
)
_dry_run = click.option(
    "--dry-run", is_flag=True, help="Let the API server check it, with permissions and policies; change nothing."
)
_quiet = click.option("--quiet", "-q", is_flag=True, help="Show no difference; then Git is not read.")


@click.command()
@click.argument("name")
@_namespace
@_dry_run
@_quiet
@settings_options("kubeconfig", GitSettings)
def propose(*, name: str, namespace: str | None, dry_run: bool, quiet: bool, **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Propose a Draft, after showing what it would change.

    NAME is the name of a PackageRevision as kubectl shows it. The difference is that of `porchflow diff NAME`; where it
    cannot be read, a line says why, and the Draft is proposed all the same: the approver is the one that must see it.

    The exit code is 0 where it was proposed, 2 where it was not.
    """

    async def run(kube: "KubeClient", settings: "Settings", namespace: str) -> str:
        from porchflow.cli.revisions.review import proposing  # noqa: PLC0415 - help must be quick

        move = await proposing(kube, namespace, name)
        if not quiet:
            try:
                await _show(kube, settings, move)
            except Trouble as error:
                click.echo(f"the difference cannot be shown: {error.message}", err=True)
        await move.send(kube, dry_run=dry_run)
        return f"{move.name} proposed"

    _run(run, flags, namespace, dry_run=dry_run)


@click.command()
@click.argument("name")
@_namespace
@click.option(
    "--commit",
    default="",
    help="The commit that was reviewed, or its first 7 or more characters. Nothing is shown or asked then.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@_dry_run
@settings_options("kubeconfig", GitSettings)
def approve(*, name: str, namespace: str | None, commit: str, yes: bool, dry_run: bool, **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Publish what is Proposed, after showing what it changes.

    NAME is the name of a PackageRevision as kubectl shows it. The difference of the proposed commit from the newest
    published revision of the package is shown (as by `porchflow diff NAME`), and a question is asked. The commit goes
    along with the approval: if the content changes before it is published, the revision stalls with CommitNotApproved
    and nothing is published.

    Agree to a deletion that is proposed with `kubectl delete`.

    The exit code is 0 where it was approved, 1 where the answer was no, 2 where it could not be approved.
    """

    async def run(kube: "KubeClient", settings: "Settings", namespace: str) -> str:
        from porchflow.cli.revisions.review import approving  # noqa: PLC0415 - see above

        move = await approving(kube, namespace, name, commit)
        if not commit:
            shown = await _show(kube, settings, move)
            if shown.commit != move.commit:
                raise Trouble(
                    f"{move.name} proposes commit {move.commit}, but Git has {shown.commit}: reject it, and have it"
                    " proposed again"
                )
            if not yes and not dry_run:
                await asyncio.to_thread(_ask, move)
        await move.send(kube, dry_run=dry_run)
        return f"{move.name} approved at commit {move.commit}"

    _run(run, flags, namespace, dry_run=dry_run)


@click.command()
@click.argument("name")
@_namespace
@_dry_run
@settings_options("kubeconfig")
def reject(*, name: str, namespace: str | None, dry_run: bool, **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Reject what is proposed: a Proposed revision is a Draft again, a DeletionProposed one stays Published.

    NAME is the name of a PackageRevision as kubectl shows it.

    The exit code is 0 where it was rejected, 2 where it was not.
    """

    async def run(kube: "KubeClient", settings: "Settings", namespace: str) -> str:  # noqa: ARG001 - as the others
        from porchflow.cli.revisions.review import rejecting  # noqa: PLC0415 - see above

        move = await rejecting(kube, namespace, name)
        await move.send(kube, dry_run=dry_run)
        return f"{move.name} rejected: it is {move.lifecycle} again"

    _run(run, flags, namespace, dry_run=dry_run)


def _run(
    work: "Callable[[KubeClient, Settings, str], Awaitable[str]]",
    flags: dict[str, Any],
    namespace: str | None,
    *,
    dry_run: bool,
) -> None:
    settings = load_settings(flags)
    from porchflow.cli.revisions.named_revision import NoSuchRevisionError  # noqa: PLC0415 - help must be quick
    from porchflow.cli.revisions.review import ReviewError  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import Conflict, KubeError  # noqa: PLC0415 - see above

    async def connected() -> str:
        async with await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-review") as kube:
            return await work(kube, settings, namespace or default_namespace(settings.kubeconfig))

    try:
        done = asyncio.run(connected())
    except Conflict as error:
        raise Trouble(f"it changed in the meantime; look at it again: {error}") from None
    except (KubeError, NoSuchRevisionError, ReviewError) as error:
        raise Trouble(str(error)) from None
    click.echo(f"{done} (dry run)" if dry_run else done)


async def _show(kube: "KubeClient", settings: "Settings", move: "Move") -> "Side":
    """Print what a revision changes; returns the side of the revision itself.

    Raises:
        Trouble: Git or the object is in the way.
    """
    from porchflow.cli.diff.show import is_coloured, lines_of, print_coloured, print_plain  # noqa: PLC0415
    from porchflow.cli.diff.sides import DiffError, Sides  # noqa: PLC0415
    from porchflow.gitrepo.errors import GitError  # noqa: PLC0415
    from porchflow.gitrepo.git_store import GitStore  # noqa: PLC0415
    from porchflow.gitrepo.refs import InvalidName  # noqa: PLC0415
    from porchflow.gitrepo.store.diffs import compare_files  # noqa: PLC0415
    from porchflow.repositories.failures import PhaseError  # noqa: PLC0415 - see above

    try:
        async with GitStore.of(settings.git) as store:
            old, new = await Sides(kube, store, move.namespace).pair(move.name, None, upstream=False)
    except (DiffError, GitError, InvalidName, PhaseError) as error:
        raise Trouble(str(error)) from None
    click.echo(f"{new.title} compared with {old.title}", err=True)
    lines = lines_of(await asyncio.to_thread(compare_files, old.files, new.files), "unified")
    if is_coloured("auto", dict(os.environ)):
        print_coloured(lines, sys.stdout)
    else:
        print_plain(lines, sys.stdout.buffer)
    return new


def _ask(move: "Move") -> None:
    if not sys.stdin.isatty():
        raise Trouble(
            f"there is no terminal to ask on: give --yes, or name what was reviewed with --commit {move.commit}"
        )
    click.confirm(f"Publish {move.name} at commit {move.commit}?", abort=True, err=True)

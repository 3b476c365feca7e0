"""Check that the Git servers of Repositories answer, with the credentials that the Repositories name."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from porchflow.cli.doctor.findings import Check, Finding, all_of, within
from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import HEADS, InvalidName
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import Stalled, Waiting

_MOST_THREADS = 500


async def check_repositories(kube: KubeClient, namespaces: Sequence[str], seconds: float) -> list[Finding]:
    """List the refs of every Repository; nothing is written.

    Args:
        kube: Client of the API server.
        namespaces: Namespaces of the Repositories; none means all.
        seconds: Time limit of one Git server.
    """
    check = Check("repositories", ", ".join(namespaces) or "all namespaces")
    try:
        found = [one for each in namespaces or (None,) async for one in kube.list_all(REPOSITORIES, each)]
    except KubeError as error:
        return [check.failure(str(error), "install the CRDs, or run the check as somebody who may list Repositories")]
    if not found:
        return [check.warning("there are no Repositories", "register one, see docs/guides/repositories.md")]
    # A cache of its own, so that the cache of a running worker stays as it is.
    with tempfile.TemporaryDirectory(prefix="porchflow-doctor-") as folder:
        # A thread for each: a server that hangs must not delay the check of another one.
        threads = min(len(found), _MOST_THREADS)
        async with GitStore(
            Path(folder), network_threads=threads, connect_timeout=seconds, server_timeout=seconds
        ) as git:
            access = Repositories(kube)
            return await all_of(*(_bounded(access, git, raw, seconds) for raw in found))


async def _bounded(access: Repositories, git: GitStore, raw: Object, seconds: float) -> list[Finding]:
    check = Check("repository", f"{raw['metadata']['namespace']}/{raw['metadata']['name']}")
    return await within(seconds, check, _reached(access, git, raw, check))


async def _reached(access: Repositories, git: GitStore, raw: Object, check: Check) -> list[Finding]:
    try:
        opened = await access.opened(raw)
        refs = await git.list_refs(opened.remote)
    except (Stalled, Waiting, InvalidName) as error:
        return [check.failure(str(error), "correct the Repository or its Secret, see docs/guides/credentials.md")]
    except ValidationError as error:
        return [check.failure(f"its spec has {error.error_count()} errors", "correct the Repository's spec")]
    except GitError as error:
        return [check.failure(str(error), "see whether the server is up and the Secret's credentials are good")]
    except KubeError as error:
        return [check.failure(str(error), "run the check as somebody who may read the Repository's Secret")]
    if f"{HEADS}{opened.branch}" not in refs and not opened.create_branch:
        mend = "push the branch, correct spec.git.branch, or set spec.git.createBranch"
        return [check.failure(f"{opened.remote.display} has no branch {opened.branch!r}", mend)]
    return [check.ok(f"{opened.remote.display} answers with {len(refs)} branches and tags")]

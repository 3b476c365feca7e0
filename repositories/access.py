"""From a Repository object and its Secret to a remote with credentials."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from porchflow.api.git_address import BadAddress, parse
from porchflow.api.models.conditions import ConditionType, Reason, raw_condition
from porchflow.api.models.repository import Repository
from porchflow.api.names import SECRETS_POLICY, SUBPACKAGE_SECRETS_POLICY, V1ALPHA2_MIGRATION_ANNOTATION, ca_bundle_name
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commits import Author
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden
from porchflow.kube.kinds import (
    REPOSITORIES,
    SECRETS,
    VALIDATINGADMISSIONPOLICIES,
    VALIDATINGADMISSIONPOLICYBINDINGS,
)
from porchflow.repositories.credentials import SSH_AUTH, GitSecret, read_bundle, read_secret
from porchflow.repositories.enforcement import Enforcement
from porchflow.repositories.failures import Stalled, Waiting
from porchflow.repositories.recipients import check_chosen, check_registered, named_origins, warning_of
from porchflow.repositories.shared_reads import Looks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepositoryAccess:
    """A registered repository, ready to use."""

    name: str
    uid: str
    remote: Remote
    branch: str
    directory: str
    create_branch: bool
    author: Author
    deleting: bool = False
    """Whether the Repository object is being deleted."""
    deployment: bool = False
    warning: str = ""
    """Message of an Event about credentials that are sent unencrypted; empty for none."""


class Repositories:
    """Looks up Repository objects and Secrets. An answer is never older than the call."""

    def __init__(self, kube: KubeClient, *, annotated_only: bool = False) -> None:
        """Create the look-up.

        Args:
            kube: Client of the API server.
            annotated_only: Leave Repositories without the annotation of v1alpha2 to Porch.
        """
        self._annotated_only = annotated_only
        self._looks = Looks(kube, REPOSITORIES)
        self._secrets = Looks(kube, SECRETS)
        self._readers_only = {
            policy: Enforcement(kube, VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS, policy)
            for policy in (SECRETS_POLICY, SUBPACKAGE_SECRETS_POLICY)
        }

    async def raw(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the raw Repository as it is now, or None where there is none.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        return await self._looks.get(namespace, name)

    def is_left_to_porch(self, raw: dict[str, Any]) -> bool:
        """Whether a raw Repository belongs to Porch: porchflow changes neither its objects nor its Git repository."""
        annotations = raw["metadata"].get("annotations") or {}
        return self._annotated_only and annotations.get(V1ALPHA2_MIGRATION_ANNOTATION) != "true"

    async def context(self, raw: dict[str, Any] | None, *secrets: str) -> str:
        """Return a digest that changes when the Repository appears, goes or gets another spec, and with its Secret.

        Args:
            raw: The raw Repository; None where there is none.
            secrets: Names of other Secrets that are needed, in its namespace; empty names are ignored.

        Returns:
            16 hexadecimal digits; empty without a Repository.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        if raw is None:
            return ""
        metadata, git = raw["metadata"], raw["spec"].get("git") or {}
        versions = [f"{metadata['uid']}/{metadata.get('generation', 0)}"]
        if self.is_left_to_porch(raw):
            versions.append("left to Porch")
        for secret in filter(None, ((git.get("secretRef") or {}).get("name"), *secrets)):
            found = await self._secrets.get(metadata["namespace"], secret)
            versions.append(found["metadata"]["resourceVersion"] if found else "")
        return hashlib.sha256("/".join(versions).encode()).hexdigest()[:16]

    async def access(self, namespace: str, name: str, *, seen: dict[str, Any] | None = None) -> RepositoryAccess:
        """Return what is needed to work in the repository's Git.

        Args:
            namespace: Of the Repository and its Secret.
            name: Of the Repository.
            seen: The raw Repository, if the caller has just read it.

        Raises:
            Waiting: The Repository or its Secret does not exist (yet), or the Repository is being deleted, a duplicate
                or left to Porch.
            Stalled: The Repository has no `spec.git`, or its address or Secret cannot be used.
            KubeError: The API server cannot be reached or refuses.
        """
        raw = seen or await self.raw(namespace, name)
        if raw is None:
            raise Waiting(
                Reason.REPOSITORY_NOT_FOUND,
                f"waiting for Repository {name!r}: there is none in namespace {namespace!r}; register it, or"
                " delete this object and create it again with the right spec.repository",
            )
        if self.is_left_to_porch(raw):
            raise Waiting(
                Reason.REPOSITORY_NOT_MIGRATED,
                f"waiting for Repository {name!r} to be migrated: it is left to Porch until it has the annotation"
                f" {V1ALPHA2_MIGRATION_ANNOTATION}: true (porchflow migrate apply sets it)",
            )
        _check_usable(raw)
        return await self.opened(raw)

    async def opened(self, raw: dict[str, Any]) -> RepositoryAccess:
        """Return what is needed to work in the Git repository of a raw Repository, whatever its conditions say.

        Raises:
            Waiting: Its Secret does not exist (yet).
            Stalled: It has no `spec.git`, or its address or Secret cannot be used.
            KubeError: The API server cannot be reached or refuses.
        """
        namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        repository = Repository.model_validate(raw)
        git = repository.spec.git
        if git is None:
            raise Stalled(Reason.INVALID_REPOSITORY, f"Repository {name!r} has no spec.git: packages live in Git")
        named_by = f"spec.git.secretRef of Repository {name!r}"
        secret = await self._secret(namespace, git.secret_ref.name if git.secret_ref else "", named_by)
        try:
            if secret is not None:
                check_registered(secret, git.repo)
            remote = await self._remote(namespace, git.repo, secret, named_by, is_chosen=False)
        except BadAddress as error:
            raise Stalled(Reason.INVALID_REPOSITORY, f"spec.git.repo of Repository {name!r}: {error}") from None
        return RepositoryAccess(
            name=name,
            uid=raw["metadata"]["uid"],
            remote=remote,
            branch=git.branch,
            directory=(git.directory or "").strip("/"),
            create_branch=bool(git.create_branch),
            author=Author.of_repository(git.author, git.email),
            deleting="deletionTimestamp" in raw["metadata"],
            deployment=repository.spec.deployment,
            warning=warning_of(secret, git.repo) if secret is not None else "",
        )

    async def unregistered(
        self, namespace: str, url: str, secret: str, named_by: str, *, policy: str = SECRETS_POLICY
    ) -> Remote:
        """Return a remote that need not be registered: the author of a package revision named it.

        Args:
            namespace: Of the Secret.
            url: Address of the repository.
            secret: Name of the Secret with the credentials; empty for none.
            named_by: The field that names the Secret, for messages.
            policy: Name of the policy that lets this field name only Secrets that the user may read.

        Raises:
            Waiting: The Secret does not exist (yet).
            Stalled: The Secret cannot be used, or not for this address.
            BadAddress: Packages are not fetched from such an address.
            InvalidName: The Secret holds a line break.
            KubeError: The API server cannot be reached or refuses.
        """
        found = await self._secret(namespace, secret, named_by)
        if found is not None:
            # Checked before the data is read: an error about the data would disclose some of it to the author.
            readers_only = named_origins(found) is not None or await self._readers_only[policy].holds()
            check_chosen(found, url, readers_only=readers_only)
        return await self._remote(namespace, url, found, named_by, is_chosen=True)

    async def _remote(
        self, namespace: str, url: str, secret: dict[str, Any] | None, named_by: str, *, is_chosen: bool
    ) -> Remote:
        address = parse(url)
        found = GitSecret(None)
        if secret is not None:
            found = read_secret(secret, url)
        elif address.is_ssh:
            raise Stalled(
                Reason.INVALID_SECRET,
                f"the address {address.display} is one of SSH, and {named_by} names no Secret: name one of type"
                f" {SSH_AUTH} with ssh-privatekey and known_hosts",
            )
        bundle = found.ca_bundle
        if bundle is None and address.scheme == "https":
            bundle = await self._bundle(namespace)
        name = secret["metadata"]["name"] if secret is not None else ""
        return Remote(url, found.credentials, bundle, secret=name, is_chosen=is_chosen)

    async def _secret(self, namespace: str, name: str, named_by: str) -> dict[str, Any] | None:
        if not name:
            return None
        secret = await self._secrets.get(namespace, name)
        if secret is None:
            raise Waiting(
                Reason.SECRET_NOT_FOUND,
                f"waiting for Secret {name!r} in namespace {namespace!r}, which {named_by} names; create it, or correct"
                " the name",
            )
        return secret

    async def _bundle(self, namespace: str) -> str | None:
        name = ca_bundle_name(namespace)
        try:
            secret = await self._secrets.get(namespace, name)
        except Forbidden:
            # A role that is bound to single Secrets may leave this optional one out.
            logger.debug("Secret %s/%s may not be read; the system's authorities are trusted alone", namespace, name)
            return None
        return read_bundle(secret) if secret is not None else None


def _check_usable(raw: dict[str, Any]) -> None:
    """Refuse a raw Repository that is being deleted, or that duplicates another one.

    Raises:
        Waiting: It is one of these.
    """
    name = raw["metadata"]["name"]
    if "deletionTimestamp" in raw["metadata"]:
        raise Waiting(Reason.DELETING, f"Repository {name!r} is being deleted; its package revisions go with it")
    stalled = raw_condition(raw, ConditionType.STALLED)
    if stalled.get("reason") == Reason.DUPLICATE_REPOSITORY:
        raise Waiting(Reason.DUPLICATE_REPOSITORY, f"Repository {name!r} is not used: {stalled['message']}")

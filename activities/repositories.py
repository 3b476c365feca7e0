"""From a Repository object and its Secret to something Git can talk to."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from activities.failures import Stalled, Waiting
from activities.looks import Looks
from api.conditions import Reason
from api.repository import Repository
from gitrepo.commits import Author
from gitrepo.remote import BasicAuth, BearerToken, Credentials, Remote
from kube.client import KubeClient
from kube.errors import NotFound
from kube.resources import REPOSITORIES, SECRETS


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
    """Whether the Repository object is on its way out."""


class Repositories:
    """Looks up Repository objects and Secrets, as they are at the time of the question."""

    def __init__(self, kube: KubeClient) -> None:
        """Take the API client."""
        self._kube = kube
        self._looks = Looks(kube, REPOSITORIES)

    async def raw(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the Repository object as it is now, or None where there is none.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        return await self._looks.get(namespace, name)

    async def context(self, namespace: str, name: str) -> str:
        """Return a digest that changes when the Repository appears, goes or gets another spec."""
        raw = await self.raw(namespace, name)
        if raw is None:
            return ""
        metadata = raw["metadata"]
        return hashlib.sha256(f"{metadata['uid']}/{metadata.get('generation', 0)}".encode()).hexdigest()[:16]

    async def access(self, namespace: str, name: str) -> RepositoryAccess:
        """Return what is needed to work in the repository's Git.

        Raises:
            Waiting: The Repository or its Secret does not exist (yet).
            Stalled: The Repository is of a type that holds no packages in Git, or the Secret cannot be used.
        """
        raw = await self.raw(namespace, name)
        if raw is None:
            raise Waiting(
                Reason.REPOSITORY_NOT_FOUND,
                f"waiting for Repository {name!r}: there is none in namespace {namespace!r}; register it, or correct"
                " spec.repository",
            )
        repository = Repository.model_validate(raw)
        git = repository.spec.git
        if git is None:
            raise Stalled(Reason.INVALID_REPOSITORY, f"Repository {name!r} has no spec.git: packages live in Git")
        secret = git.secret_ref.name if git.secret_ref else ""
        named_by = f"spec.git.secretRef of Repository {name!r}"
        return RepositoryAccess(
            name=name,
            uid=raw["metadata"]["uid"],
            remote=await self.unregistered(namespace, git.repo, secret, named_by),
            branch=git.branch,
            directory=(git.directory or "").strip("/"),
            create_branch=bool(git.create_branch),
            author=Author.of_repository(git.author, git.email),
            deleting="deletionTimestamp" in raw["metadata"],
        )

    async def unregistered(self, namespace: str, url: str, secret: str, named_by: str) -> Remote:
        """Return a Git repository that need not be registered.

        Args:
            namespace: Of the Secret.
            url: Address of the repository.
            secret: Name of the Secret with the credentials; empty for none.
            named_by: The field that names the Secret, for messages.

        Raises:
            Waiting: The Secret does not exist (yet).
            Stalled: The Secret cannot be used.
            InvalidName: The address is none that Git packages are fetched from.
        """
        credentials = await self._credentials(namespace, secret, named_by) if secret else None
        return Remote(url=url, credentials=credentials)

    async def _credentials(self, namespace: str, name: str, named_by: str) -> Credentials:
        try:
            secret = await self._kube.get(SECRETS, namespace, name)
        except NotFound as error:
            raise Waiting(
                Reason.SECRET_NOT_FOUND,
                f"waiting for Secret {name!r} in namespace {namespace!r}, which {named_by} names; create it, or correct"
                " the name",
            ) from error
        return _credentials(name, secret)


def _credentials(name: str, secret: dict[str, Any]) -> Credentials:
    data = secret.get("data") or {}
    match secret.get("type"):
        case "kubernetes.io/basic-auth":
            return BasicAuth(username=_value(name, data, "username"), password=_value(name, data, "password"))
        case "Opaque" if "bearerToken" in data:
            return BearerToken(token=_value(name, data, "bearerToken"))
        case other:
            raise Stalled(
                Reason.INVALID_SECRET,
                f"Secret {name!r} of type {other!r} holds no Git credentials: use type kubernetes.io/basic-auth with"
                " username and password, or type Opaque with bearerToken",
            )


def _value(name: str, data: dict[str, str], key: str) -> str:
    try:
        return base64.b64decode(data[key], validate=True).decode()
    except KeyError as error:
        raise Stalled(Reason.INVALID_SECRET, f"Secret {name!r} has no key {key!r}") from error
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Stalled(Reason.INVALID_SECRET, f"Secret {name!r}: key {key!r} is not base64-encoded UTF-8") from error

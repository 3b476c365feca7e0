"""From a Repository object and its Secret to something Git can talk to."""

import asyncio
import base64
import binascii
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from activities.failures import Stalled, Waiting
from api.conditions import Reason
from api.repository import Repository
from gitrepo.commits import Author
from gitrepo.remote import BasicAuth, BearerToken, Credentials, Remote
from kube.client import KubeClient
from kube.errors import NotFound
from kube.resources import REPOSITORIES, SECRETS

_FRESH_SECONDS = 2.0
"""A burst of objects of one repository shares one look at it; an edit is seen this much later at most."""


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


@dataclass(frozen=True)
class _Seen:
    repository: dict[str, Any] | None
    at: float


class Repositories:
    """Looks up Repository objects, each at most once in two seconds."""

    def __init__(self, kube: KubeClient) -> None:
        """Take the API client."""
        self._kube = kube
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def raw(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the Repository object as it was at most two seconds ago, or None where there is none."""
        key = (namespace, name)
        async with self._locks.setdefault(key, asyncio.Lock()):
            seen = self._seen.get(key)
            if seen is None or time.monotonic() - seen.at > _FRESH_SECONDS:
                seen = _Seen(await self._read(namespace, name), time.monotonic())
                self._seen[key] = seen
            return seen.repository

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
        credentials = None
        if git.secret_ref is not None and git.secret_ref.name:
            credentials = await self._credentials(namespace, git.secret_ref.name)
        return RepositoryAccess(
            name=name,
            uid=raw["metadata"]["uid"],
            remote=Remote(url=git.repo, credentials=credentials),
            branch=git.branch,
            directory=(git.directory or "").strip("/"),
            create_branch=bool(git.create_branch),
            author=Author.of_repository(git.author, git.email),
        )

    async def _read(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._kube.get(REPOSITORIES, namespace, name)
        except NotFound:
            return None

    async def _credentials(self, namespace: str, name: str) -> Credentials:
        try:
            secret = await self._kube.get(SECRETS, namespace, name)
        except NotFound as error:
            raise Waiting(
                Reason.SECRET_NOT_FOUND,
                f"waiting for Secret {name!r} in namespace {namespace!r}, which the Repository names for credentials",
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

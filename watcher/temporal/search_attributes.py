"""Search attributes of runs: registered where that is allowed, and of the type that runs set."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from porchflow.watcher.temporal.temporal_errors import RPC_TIMEOUT, TemporalUnavailable
from porchflow.workflows.ids import Attributes

logger = logging.getLogger(__name__)

_KEYWORD: Final = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
_MAY_NOT: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})
_SQL_KEYWORDS: Final = 10
"""Search attributes of type Keyword that a namespace can have where Temporal keeps its list of runs in SQL."""


class _MayNotLookError(Exception):
    """The client may not list search attributes."""


class SearchAttributes:
    """The search attributes of one namespace of Temporal."""

    def __init__(self, client: Client, attributes: Attributes) -> None:
        self._client = client
        self._attributes = attributes
        self._one_at_a_time = asyncio.Lock()
        self._told: set[str] = set()
        self._has_optional = False

    @property
    def has_optional(self) -> bool:
        """Whether those that runs can do without are registered, as far as the last look showed."""
        return self._has_optional

    async def ensure(self) -> None:
        """Register what is missing. Temporal is read each time: its data may have been lost since the last.

        A client that may not look goes on, and says so once: it may not register either, but somebody else may have.
        Runs can do without the optional ones: where there is no room for them, that is said once, too.

        Raises:
            TemporalUnavailable: They cannot be read or registered, or one has another type; the message says how to
                mend it.
        """
        try:
            await self._register_missing()
        except _MayNotLookError as error:
            self._tell_once(
                f"cannot look whether the search attributes are registered ({error}); where they are not, run:"
                f" {registering_commands(self._client.namespace, self._names())}"
            )

    async def mend(self, refusal: RPCError) -> None:
        """Register what is missing after Temporal has refused a start because of it.

        Args:
            refusal: What Temporal said; `lacks_search_attributes` holds.

        Raises:
            TemporalUnavailable: As `ensure`; also where the client may not look, because then nobody mends it until
                somebody else registers them, and every other start is refused, too.
        """
        try:
            await self._register_missing()
        except _MayNotLookError as error:
            raise TemporalUnavailable(
                f"the search attributes are not all registered ({refusal.message}), and this client may not look which"
                f" are: run: {registering_commands(self._client.namespace, self._names())}",
                for_all=True,
            ) from error

    async def _register_missing(self) -> None:
        async with self._one_at_a_time:
            self._has_optional = False
            try:
                known = dict(await registered_attributes(self._client))
            except RPCError as error:
                if error.status in _MAY_NOT:
                    raise _MayNotLookError(error.message) from error
                raise self._not_registered(self._names(), error.message) from error
            await self._add_missing(self._attributes.required, known)
            try:
                await self._add_missing(self._attributes.optional, known)
            except TemporalUnavailable as error:
                self._tell_once(f"runs cannot be searched by reason and outcome: {error}")
            else:
                self._has_optional = True

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            logger.warning("%s", what)
        self._told.add(what)

    def _names(self) -> list[str]:
        return [key.name for key in self._attributes.all]

    async def _add_missing(self, keys: Sequence[SearchAttributeKey[str]], known: dict[str, int]) -> None:
        """Register those of some attributes that are missing, and add them to what is known."""
        if wrong := wrong_types(keys, known):
            raise TemporalUnavailable(wrong_types_message(self._client.namespace, wrong), for_all=True)
        if missing := [key.name for key in keys if key.name not in known]:
            await self._add(missing, known)
            known.update(dict.fromkeys(missing, _KEYWORD))

    async def _add(self, names: list[str], known: Mapping[str, int]) -> None:
        request = AddSearchAttributesRequest(
            namespace=self._client.namespace, search_attributes=dict.fromkeys(names, _KEYWORD)
        )
        try:
            await self._client.operator_service.add_search_attributes(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.ALREADY_EXISTS:
                return
            keywords = sorted(name for name, kind in known.items() if kind == _KEYWORD)
            if len(keywords) + len(names) > _SQL_KEYWORDS:
                raise TemporalUnavailable(
                    f"{too_many_message(self._client.namespace, names, keywords)} ({error.message})", for_all=True
                ) from error
            raise self._not_registered(names, error.message) from error
        logger.info("registered the search attributes %s", ", ".join(names))

    def _not_registered(self, names: list[str], why: str) -> TemporalUnavailable:
        return TemporalUnavailable(
            f"cannot register search attributes in namespace {self._client.namespace!r}: {why}; where this client may"
            f" not, run: {registering_commands(self._client.namespace, names)}",
            for_all=True,
        )


async def registered_attributes(client: Client) -> Mapping[str, int]:
    """Return the types of the search attributes that a client's namespace has, by name.

    Raises:
        RPCError: They cannot be read.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(request, timeout=RPC_TIMEOUT)
    return dict(answer.custom_attributes)


def wrong_types(keys: Sequence[SearchAttributeKey[str]], known: Mapping[str, int]) -> dict[str, str]:
    """Return the types of those attributes that have another type than runs set, by name."""
    names = [key.name for key in keys]
    return {name: _type_name(known[name]) for name in names if name in known and known[name] != _KEYWORD}


def _type_name(kind: int) -> str:
    name = IndexedValueType.Name(IndexedValueType.ValueType(kind)).removeprefix("INDEXED_VALUE_TYPE_")
    return "".join(part.capitalize() for part in name.split("_"))


def wrong_types_message(namespace: str, wrong: Mapping[str, str]) -> str:
    """Return what is wrong with search attributes of another type, and how to mend it."""
    told = ", ".join(f"{name} is of type {kind}" for name, kind in wrong.items())
    return (
        f"search attributes of namespace {namespace!r} have another type than Keyword: {told}: set"
        " PORCHFLOW_TEMPORAL_SEARCH_ATTRIBUTE_PREFIX to a prefix that nobody uses, or remove them with:"
        f" temporal operator search-attribute remove --namespace {namespace}"
        f" {' '.join(f'--name {name}' for name in wrong)}"
    )


def too_many_message(namespace: str, names: list[str], keywords: list[str]) -> str:
    """Return why attributes do not fit into a namespace, and how to make room."""
    return (
        f"namespace {namespace!r} has no room for the search attributes {', '.join(names)}: on SQL a namespace has at"
        f" most {_SQL_KEYWORDS} of type Keyword, and has {len(keywords)} ({', '.join(keywords)}): remove those that"
        f" nothing uses with: temporal operator search-attribute remove --namespace {namespace} --name NAME; or give"
        " porchflow a Temporal namespace of its own"
    )


def registering_commands(namespace: str, names: list[str]) -> str:
    """Return the commands that register attributes, on a server of one's own and on Temporal Cloud."""
    own = " ".join(f"--name {name} --type Keyword" for name in names)
    cloud = " ".join(f'--sa "{name}=Keyword"' for name in names)
    return (
        f"temporal operator search-attribute create --namespace {namespace} {own}; on Temporal Cloud: tcld namespace"
        f" search-attributes add --namespace {namespace} {cloud}"
    )

"""How porchflow's payloads and failures become what Temporal keeps and shows."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    EncodingPayloadConverter,
    PayloadCodec,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from porchflow.api.error_kinds import ErrorKind

ENCRYPTED: Final = "binary/encrypted"
"""The encoding of a payload that was encrypted."""

_SAID_IN_FULL: Final = frozenset(set(ErrorKind) - {ErrorKind.TRANSIENT})
"""Kinds of error whose message says all; a transient one may have an unknown cause, whose place in the code helps."""
_HIDDEN: Final = "Encoded failure"
"""The message of a failure whose own message is in a payload, in the words of Temporal's libraries."""


class ReadableFailures(DefaultFailureConverter):
    """Leaves the lines of code out of failures that are told in words: Temporal's UI shows them before the message."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """See the base class."""
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in set(ErrorKind):
            failure.stack_trace = ""
            if exception.type in _SAID_IN_FULL:
                # The cause is what the message was made of.
                failure.ClearField("cause")


class HiddenFailures(ReadableFailures):
    """Moves the messages of failures and of their causes into payloads, which a codec encrypts."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """See the base class."""
        super().to_failure(exception, payload_converter, failure)
        for each in _with_causes(failure):
            # One that comes from Temporal may be hidden already, or be of before encryption, with its causes.
            if not each.HasField("encoded_attributes"):
                told = {"message": each.message, "stack_trace": each.stack_trace}
                each.encoded_attributes.CopyFrom(payload_converter.to_payload(told))
            each.message, each.stack_trace = _HIDDEN, ""


def _with_causes(failure: Failure) -> Iterator[Failure]:
    yield failure
    while failure.HasField("cause"):
        failure = failure.cause
        yield failure


class UnreadablePayloadError(Exception):
    """A payload is encrypted, and the key for it is missing or another one; the message says how to mend it.

    It is no RuntimeError, whose message Temporal's library would replace.
    """


class EncryptedPayloads(EncodingPayloadConverter):
    """Refuses encrypted payloads in words, where no key was given that decrypts them before they come here."""

    encoding = ENCRYPTED

    def to_payload(self, value: Any) -> None:  # noqa: ANN401, ARG002 - as in the base class
        """Leave every value to another converter."""
        return

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> NoReturn:  # noqa: ARG002 - see above
        """Refuse a payload.

        Raises:
            UnreadablePayloadError: Always.
        """
        key = payload.metadata.get("encryption-key-id", b"").decode(errors="replace")
        raise UnreadablePayloadError(
            f"the payload is encrypted with the key {key!r}, and this process has no keys: set"
            " PORCHFLOW_TEMPORAL_ENCRYPTION_KEYS_FILE to a file that has it"
        )


class PorchflowPayloads(CompositePayloadConverter):
    """Pydantic models as JSON."""

    def __init__(self) -> None:
        """Add the refusal of encrypted payloads to the converters of models."""
        super().__init__(*PydanticPayloadConverter().converters.values(), EncryptedPayloads())


DATA_CONVERTER: Final[DataConverter] = dataclasses.replace(
    pydantic_data_converter, payload_converter_class=PorchflowPayloads, failure_converter_class=ReadableFailures
)
"""The converter of every client and worker without encryption."""


def encrypting(codec: PayloadCodec) -> DataConverter:
    """Return the converter of clients and workers that encrypt.

    Args:
        codec: Encrypts payloads, and decrypts them; leaves those of before encryption as they are.
    """
    return dataclasses.replace(DATA_CONVERTER, payload_codec=codec, failure_converter_class=HiddenFailures)

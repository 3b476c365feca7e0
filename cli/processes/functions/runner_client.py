"""The connection to a function runner, opened from the settings."""

from porchflow.cli.settings import SettingsError
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.calls.tls import CertificateError, Identity
from porchflow.functions.runner_settings import CallSettings, RunnerClientSettings


def identity_of(settings: RunnerClientSettings) -> Identity:
    """Return the client's certificate and the authorities that it trusts.

    Raises:
        CertificateError: A certificate without its key, or the other way round.
    """
    return Identity(settings.client_cert, settings.client_key, settings.ca)


def open_runner_client(settings: RunnerClientSettings, calls: CallSettings) -> GrpcEvaluator:
    """Return a client of the function runner. It connects when first needed.

    Raises:
        SettingsError: A certificate cannot be used.
    """
    try:
        return GrpcEvaluator(
            settings.address,
            max_message_size=calls.max_grpc_message_size,
            deadline=calls.function_timeout,
            identity=identity_of(settings),
        )
    except CertificateError as error:
        raise SettingsError(f"the connection to the function runner: {error}") from None

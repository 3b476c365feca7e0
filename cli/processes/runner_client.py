"""The connection to a function runner, as the settings say."""

from porchflow.cli.settings import Settings, SettingsError
from porchflow.functions.client import GrpcEvaluator
from porchflow.functions.tls import CertificateError, Identity


def open_runner_client(settings: Settings) -> GrpcEvaluator:
    """Return a client of the function runner; it connects when first needed.

    Raises:
        SettingsError: a certificate cannot be used.
    """
    try:
        identity = Identity(
            settings.function_runner_client_cert, settings.function_runner_client_key, settings.function_runner_ca
        )
        return GrpcEvaluator(
            settings.function_runner_address,
            max_message_size=settings.max_grpc_message_size,
            deadline=settings.function_timeout,
            identity=identity,
        )
    except CertificateError as error:
        raise SettingsError(f"the connection to the function runner: {error}") from None

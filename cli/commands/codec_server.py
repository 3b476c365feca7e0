"""`porchflow codec-server`."""

import asyncio
import re
from typing import Any

import click

from porchflow.cli.settings import SettingsError, load_settings, settings_options, told_name

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


@click.command("codec-server")
@settings_options("temporal_encryption_keys_file", "log_level")
@click.option("--origin", required=True, help="Address of the Temporal UI without a path, such as https://HOST:PORT.")
@click.option("--port", default=8234, show_default=True, type=click.IntRange(1, 65535), help="Port on this machine.")
def codec_server(*, origin: str, port: int, **flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Decrypt for the Temporal UI in a browser on this machine, with the keys that workers encrypt with.

    It listens on 127.0.0.1 alone and answers pages of the named address alone. In the UI, set the codec server
    to http://127.0.0.1:PORT. The temporal command takes it as --codec-endpoint.
    """
    origin = origin.rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise click.BadParameter(
            f"{origin!r} is no address of a page without a path, such as https://temporal.example.com",
            param_hint="--origin",
        )
    settings = load_settings(flags)
    path = settings.temporal.encryption_keys_file
    if path is None:
        raise SettingsError(f"{told_name('temporal_encryption_keys_file')}: name the file with the keys")
    from porchflow.cli.processes.process import run_process  # noqa: PLC0415
    from porchflow.cli.processes.temporal.codec_server import serve_codec  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.cli.processes.temporal.encryption_keys import KeyRing  # noqa: PLC0415
    from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec  # noqa: PLC0415

    codec = EncryptionCodec(KeyRing(path))

    async def serve() -> None:
        try:
            runner = await serve_codec(codec, origin, port)
        except OSError as error:
            raise SettingsError(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    run_process(serve(), log_level=settings.log_level)

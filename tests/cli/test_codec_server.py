"""`porchflow codec-server`: the remote codec of the Temporal UI."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads

from porchflow.cli.main import main
from porchflow.cli.processes.temporal.codec_server import serve_codec
from porchflow.cli.processes.temporal.encryption_keys import KeyRing
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.devstack.processes import HOST, free_port
from tests.cli.encryption import new_key, write_keys
from tests.servers.waiting import eventually

UI = "https://temporal.example.com"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"web"')


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys", {"first": new_key()})


@pytest.fixture
def codec(keys: Path) -> EncryptionCodec:
    return EncryptionCodec(KeyRing(keys))


@pytest.fixture
async def url(codec: EncryptionCodec) -> AsyncIterator[str]:
    port = free_port()
    runner = await serve_codec(codec, UI, port)
    yield f"http://{HOST}:{port}"
    await runner.cleanup()


async def body(codec: EncryptionCodec, *payloads: Payload) -> dict[str, Any]:
    return MessageToDict(Payloads(payloads=await codec.encode(payloads)))


class Answer:
    def __init__(self, status: int, headers: Any, text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def ask(url: str, method: str = "POST", path: str = "/decode", **request: Any) -> Answer:
    async with aiohttp.ClientSession() as session, session.request(method, url + path, **request) as answer:
        return Answer(answer.status, answer.headers, await answer.text())


async def test_a_page_of_the_ui_reads_what_was_encrypted(url: str, codec: EncryptionCodec) -> None:
    asks = {"Access-Control-Request-Headers": "content-type,x-namespace", "Access-Control-Request-Method": "POST"}
    far = {"Access-Control-Request-Private-Network": "true"}
    preflight = await ask(url, "OPTIONS", headers={"Origin": UI, **asks, **far})
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == UI
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type,x-namespace"
    assert preflight.headers["Access-Control-Allow-Private-Network"] == "true"

    answer = await ask(url, json=await body(codec, PLAIN, PLAIN), headers={"Origin": UI, "X-Namespace": "default"})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == UI
    assert answer.headers["Cache-Control"] == "no-store"
    assert [base64.b64decode(each["data"]) for each in answer.json["payloads"]] == [b'"web"', b'"web"']


async def test_plain_payloads_come_back_as_they_are(url: str) -> None:
    plain = MessageToDict(Payloads(payloads=[PLAIN]))
    assert (await ask(url, json=plain)).json == plain


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example.com"},
        {"Origin": "null"},
        {"Origin": f"{UI}.elsewhere.com"},
        {"Origin": "http://temporal.example.com"},
        # A page whose name leads to this machine.
        {"Origin": UI, "Host": "elsewhere.example.com"},
        {"Host": "elsewhere.example.com:8234"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_other_pages_get_nothing(url: str, codec: EncryptionCodec, headers: dict[str, str], method: str) -> None:
    answer = await ask(url, method, json=await body(codec, PLAIN), headers=headers)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "payloads" not in answer.json


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"null", b"1", b"{", b"[" * 100_000, b"\xff\xfe", b'{"payloads": 1}', b'{"payloads": [1]}'),
        *(b'{"other": []}', b'{"payloads": [{"data": 1}]}', b'{"payloads": [{"metadata": {"encoding": 3}}]}'),
    ],
)
async def test_a_body_that_is_none(url: str, data: bytes) -> None:
    answer = await ask(url, data=data, headers={"Origin": UI})
    assert (answer.status, "must be JSON" in answer.json["message"]) == (400, True)
    assert answer.headers["Access-Control-Allow-Origin"] == UI


async def test_a_body_without_end(url: str) -> None:
    answer = await ask(url, data=b" " * (9 * 1024 * 1024), headers={"Origin": UI})
    assert answer.status == 413


async def test_a_missing_key_is_named(url: str, tmp_path: Path) -> None:
    other = EncryptionCodec(KeyRing(write_keys(tmp_path / "other", {"second": new_key()})))
    answer = await ask(url, json=await body(other, PLAIN), headers={"Origin": UI})
    assert answer.status == 400
    assert "encrypted with the key 'second'" in answer.json["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/encode", 404), ("GET", "/decode", 405)])
async def test_nothing_else_is_served(url: str, method: str, path: str, status: int) -> None:
    assert (await ask(url, method, path, headers={"Origin": UI})).status == status


@pytest.mark.parametrize("origin", ["", "temporal.example.com", "*", "https://ui/path", "null", "https://a b"])
def test_an_address_that_is_none(origin: str, keys: Path) -> None:
    done = CliRunner().invoke(main, ["codec-server", "--origin", origin, "--temporal-encryption-keys-file", str(keys)])
    assert done.exit_code == 2
    assert "is no address of a page without a path" in done.output


def test_keys_are_needed() -> None:
    done = CliRunner().invoke(main, ["codec-server", "--origin", UI])
    assert done.exit_code == 2
    assert "PORCHFLOW_TEMPORAL_ENCRYPTION_KEYS_FILE (--temporal-encryption-keys-file): name the file" in done.output


async def test_the_command_serves_until_it_is_ended(keys: Path, codec: EncryptionCodec) -> None:
    port = free_port()
    with started(keys, port) as process:

        async def decoded() -> bool:
            try:
                return (await ask(f"http://{HOST}:{port}", json=await body(codec, PLAIN))).status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(decoded, timeout=60, what="it decodes")
        process.terminate()
    assert process.returncode == 0


def started(keys: Path, port: int) -> "subprocess.Popen[bytes]":
    arguments = ["--origin", UI, "--port", str(port), "--temporal-encryption-keys-file", str(keys)]
    return subprocess.Popen([sys.executable, "-m", "porchflow.cli.main", "codec-server", *arguments])

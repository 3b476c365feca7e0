"""The server's certificate changes while it serves."""

import asyncio
import ssl
from pathlib import Path

import pytest

from porchflow.content.access.tls import ServingTls
from tests.content.direct import Direct
from tests.servers.authority import Authority


def test_only_a_pair_is_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one", "localhost"), authority.issue("other", "localhost")
    with pytest.raises(ssl.SSLError):
        ServingTls(one.certificate, other.key)
    tls = ServingTls(one.certificate, one.key)
    assert not tls.refresh(), "nothing changed"
    one.certificate.write_bytes(other.certificate.read_bytes())
    assert not tls.refresh(), "half of a pair is written"
    one.key.write_bytes(other.key.read_bytes())
    assert tls.refresh()
    one.key.unlink()
    assert not tls.refresh()


async def test_new_connections_get_the_new_certificate(direct: Direct) -> None:
    assert (await direct.ask("GET", "/apis")).status == 200
    pair = direct.serving.issue("content-api", "localhost")
    assert direct.tls.refresh()
    assert (await direct.ask("GET", "/apis")).status == 200, "it still knows its front proxy"
    context = ssl.create_default_context(cadata=direct.serving.pem)
    _, writer = await asyncio.open_connection("localhost", direct.port, ssl=context)
    served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert served == ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())

"""Many readers of much content: one reading, bounded memory, and room for others meanwhile."""

import asyncio
import hashlib
import json
import ssl
from pathlib import Path

import aiohttp
import psutil

from porchflow.devstack.processes import Process
from tests.content.world import KPTFILE, Packages
from tests.servers.control_plane import ControlPlane

MIB = 1024 * 1024
READERS = 50
HEADERS = {"X-Remote-User": "ada", "X-Remote-Group": "system:masters"}


def _peak(pid: int) -> int:
    """Bytes that a process had in memory at most."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def test_fifty_readers_of_five_megabytes(
    content_api: Process, control_plane: ControlPlane, packages: Packages
) -> None:
    files = {"Kptfile": KPTFILE, **{f"f{n}.yaml": f"a: {n}\n" * 18_000 for n in range(50)}}
    assert sum(map(len, files.values())) > 4.5 * MIB
    name, _ = await packages.draft(files)
    certificates = control_plane.etcd.log.parent / "certs"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificates / "front-proxy-client.crt", certificates / "front-proxy-client.key")
    url = f"{content_api.address}/apis/porch.kpt.dev/v1alpha1/namespaces/{packages.namespace}/packagerevisionresources"

    assert content_api.pid is not None
    before = _peak(content_api.pid)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0), headers=HEADERS) as session:

        async def read() -> str:
            digest = hashlib.sha256()
            async with session.get(f"{url}/{name}") as answer:
                assert answer.status == 200, await answer.text()
                async for chunk in answer.content.iter_any():
                    digest.update(chunk)
            return digest.hexdigest()

        digests = await asyncio.gather(*(read() for _ in range(READERS)))
        async with session.get(f"{url}/{name}") as answer:
            assert json.loads(await answer.read())["spec"]["resources"] == files
    assert len(set(digests)) == 1
    grown = _peak(content_api.pid) - before
    assert grown < READERS * 5 * MIB / 2, f"{grown / MIB:.0f} MiB for {READERS} readers of 5 MiB"

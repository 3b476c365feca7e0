"""A server that gives out tokens for a registry, as Docker Hub and ghcr.io have one."""

import base64
import json
import time
from pathlib import Path
from typing import Any

from aiohttp import BasicAuth, web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.servers.registry import PASSWORD, USER

ISSUER, SERVICE = "test-issuer", "test-service"


class TokenServer:
    """Gives tokens for what is asked to whom it knows.

    Attributes:
        asked: scopes that were asked for, each with the user who did.
        url: address of the server.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._keys = folder / "keys.json"
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/token", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        self._keys.write_text(json.dumps({"keys": [self._public_key()]}))

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def auth(self) -> dict[str, Any]:
        """The configuration of a registry that wants its tokens."""
        return {"token": {"realm": self.url, "service": SERVICE, "issuer": ISSUER, "jwks": str(self._keys)}}

    def token(self, repository: str, *actions: str) -> str:
        """A token for a repository."""
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": list(actions)}]
        head = {"typ": "JWT", "alg": "ES256", "kid": "k"}
        claims = {"iss": ISSUER, "aud": SERVICE, "sub": "", "iat": now, "nbf": now - 10, "exp": now + 300}
        signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps({**claims, 'access': access}).encode())}"
        first, second = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"

    async def _answer(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization")
        user = BasicAuth.decode(shown) if shown else None
        scope = request.query["scope"]
        self.asked.append((scope, user.login if user else ""))
        assert request.query["service"] == SERVICE
        if user is None or user.password != PASSWORD or user.login != USER:
            return web.json_response({"errors": [{"code": "DENIED", "message": "who are you?"}]}, status=401)
        kind, repository, actions = scope.split(":")
        assert kind == "repository"
        return web.json_response({"token": self.token(repository, *actions.split(",")), "expires_in": 300})

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k", "x": x, "y": y}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

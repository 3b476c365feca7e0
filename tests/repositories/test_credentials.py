import base64
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken, SshKey
from porchflow.repositories.credentials import BASIC_AUTH, OPAQUE, SSH_AUTH, read_secret
from porchflow.repositories.failures import Stalled
from tests.servers.authority import Authority

HTTPS, SSH = "https://git.example.com/x.git", "git@git.example.com:x.git"
KNOWN = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
LOCKED = asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", "s3cret").decode()


def secret(kind: str | None, **data: str) -> dict[str, Any]:
    named = {name.replace("__", "-"): base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return {"metadata": {"name": "git-auth"}, "data": named, **({"type": kind} if kind else {})}


@pytest.mark.parametrize(
    ("found", "url", "credentials"),
    [
        (secret(BASIC_AUTH, username="ada", password="p"), HTTPS, BasicAuth("ada", "p")),
        (secret(OPAQUE, bearerToken="t0ken"), HTTPS, BearerToken("t0ken")),
        (secret(None, bearerToken="t0ken"), HTTPS, BearerToken("t0ken")),
        (secret(SSH_AUTH, ssh__privatekey=KEY, known_hosts=KNOWN), SSH, SshKey(KEY, KNOWN)),
        (
            secret(SSH_AUTH, ssh__privatekey=LOCKED, known_hosts=KNOWN, passphrase="s3cret\n"),
            "ssh://git.example.com/x",
            SshKey(LOCKED, KNOWN, "s3cret"),
        ),
    ],
    ids=["basic", "bearer", "no type", "ssh", "passphrase"],
)
def test_credentials(found: dict[str, Any], url: str, credentials: object) -> None:
    assert read_secret(found, url).credentials == credentials


def test_a_bundle_with_and_without_credentials(tmp_path: Path) -> None:
    bundle = Authority(tmp_path).pem
    alone = secret(OPAQUE)
    alone["data"]["ca.crt"] = base64.b64encode(bundle.encode()).decode()
    assert (read_secret(alone, HTTPS).credentials, read_secret(alone, HTTPS).ca_bundle) == (None, bundle)
    both = secret(BASIC_AUTH, username="ada", password="p")
    both["data"] |= alone["data"]
    assert (read_secret(both, HTTPS).credentials, read_secret(both, HTTPS).ca_bundle) == (BasicAuth("ada", "p"), bundle)


def with_bundle(text: str) -> dict[str, Any]:
    found = secret(OPAQUE, bearerToken="s3cret")
    found["data"]["ca.crt"] = base64.b64encode(text.encode()).decode()
    return found


@pytest.mark.parametrize(
    ("found", "url", "told"),
    [
        (secret(OPAQUE, token="s3cret"), HTTPS, "of type 'Opaque' holds no Git credentials"),
        (secret(OPAQUE), HTTPS, "of type 'Opaque' holds no Git credentials"),
        (secret("example.com/x", bearerToken="s3cret"), HTTPS, "of type 'example.com/x' holds no Git credentials"),
        (secret(BASIC_AUTH, username="s3cret"), HTTPS, "has no key 'password'"),
        ({**secret(OPAQUE), "data": {"bearerToken": "/w=="}}, HTTPS, "key 'bearerToken' is not base64-encoded UTF-8"),
        (with_bundle("s3cret"), HTTPS, "key 'ca.crt': the CA bundle holds no usable PEM certificates"),
        (secret(OPAQUE, bearerToken="s3cret"), SSH, "address is one of SSH: use type kubernetes.io/ssh-auth"),
        (secret(SSH_AUTH, ssh__privatekey=KEY, known_hosts=KNOWN), HTTPS, "address is not one of SSH"),
        (secret(SSH_AUTH, ssh__privatekey=KEY), SSH, "has no key 'known_hosts'"),
        (secret(SSH_AUTH, ssh__privatekey=KEY, known_hosts="s3cret"), SSH, "'known_hosts' has no line that can be"),
        (secret(SSH_AUTH, known_hosts=KNOWN), SSH, "has no key 'ssh-privatekey'"),
        (secret(SSH_AUTH, ssh__privatekey="s3cret", known_hosts=KNOWN), SSH, "'ssh-privatekey' is no private key"),
        (secret(SSH_AUTH, ssh__privatekey=LOCKED, known_hosts=KNOWN), SSH, "is encrypted: give its passphrase"),
        (
            secret(SSH_AUTH, ssh__privatekey=LOCKED, known_hosts=KNOWN, passphrase="another-s3cret"),
            SSH,
            "cannot be decrypted: the passphrase is wrong",
        ),
    ],
)
def test_what_cannot_be_used_is_named_without_its_words(found: dict[str, Any], url: str, told: str) -> None:
    with pytest.raises(Stalled) as raised:
        read_secret(found, url)
    assert (raised.value.reason, "Secret 'git-auth'" in raised.value.message) == ("InvalidSecret", True)
    assert told in raised.value.message
    assert "s3cret" not in raised.value.message
    assert raised.value.__cause__ is None, "a chained error would show it in a log"

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from porchflow.gitrepo.remote.ssh.ssh_keys import UnusableKey, key_pair

# Made for this test with ssh-keygen; its passphrase is `open sesame`.
ENCRYPTED = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBq3JW4h6
tuqv0o3DE/BuLJAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIKRD3MTfe1krLvr9
mK8fPbXXByYtRfPDo8YuLqCH+Vh8AAAAkGc8h4nGoPuDBROSjxHTqcsCcElMHUBK3XDNPQ
7ooSeXM4IqI78kWmErxgUfL8LqsFDSmpir4brTZgz3UpALT40C7ZrNcTVVp4anczioz2yU
7njv+xVDepil13dJUghFj9fHFScplvw4VvxFP1H7ILH5nmyNSki3HZ8w/p8jzCCspe6Dzb
OTxewDdY8j951HBQ==
-----END OPENSSH PRIVATE KEY-----
"""
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRD3MTfe1krLvr9mK8fPbXXByYtRfPDo8YuLqCH+Vh8"


def test_openssh_s_own_encryption_is_left_to_ssh() -> None:
    pair = key_pair(ENCRYPTED, "open sesame")
    assert (pair.public, pair.private, pair.passphrase) == (PUBLIC, ENCRYPTED, "open sesame")
    assert pair.fingerprint.startswith("SHA256:")
    with pytest.raises(UnusableKey, match="encrypted"):
        key_pair(ENCRYPTED)


def test_line_ends_and_blanks_do_not_matter() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()
    wanted = key_pair(text).public
    assert key_pair("\n" + text.strip().replace("\n", "\r\n")).public == wanted
    assert key_pair(text, "not needed").public == wanted


def _pem(key: x25519.X25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no private key"),
        ("ssh-ed25519 AAAA public", "no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----", "no private key"),
        ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "no private key"),
        (_pem(x25519.X25519PrivateKey.generate()), "type that is not supported"),
    ],
)
def test_what_is_no_key_is_said_without_its_words(text: str, told: str) -> None:
    with pytest.raises(UnusableKey, match=told) as caught:
        key_pair(text)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_pair_shows_no_secret() -> None:
    assert "sesame" not in repr(key_pair(ENCRYPTED, "open sesame"))
    assert "BEGIN" not in repr(key_pair(ENCRYPTED, "open sesame"))

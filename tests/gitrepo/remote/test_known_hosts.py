import base64
import hmac

import pytest

from porchflow.gitrepo.errors import GitHostKeyError
from porchflow.gitrepo.remote.ssh.known_hosts import HostKey, KnownHosts
from tests.servers.ssh import known_hosts_line


def key(kind: str = "ssh-ed25519", body: bytes = b"1") -> HostKey:
    return HostKey(len(kind).to_bytes(4, "big") + kind.encode() + body)


ONE, TWO, RSA = key(), key(body=b"2"), key("ssh-rsa")


def text(hosts: str, of: HostKey = ONE) -> str:
    return f"{hosts} {of.kind} {base64.b64encode(of.blob).decode()}"


def hashed(place: str) -> str:
    salt = b"salt" * 5
    digest = hmac.digest(salt, place.encode(), "sha1")
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in (salt, digest))


@pytest.mark.parametrize(
    ("hosts", "host", "port"),
    [
        ("git.example.com", "git.example.com", 22),
        ("git.example.com", "GIT.example.com", 22),
        ("other,git.example.com,10.0.0.1", "10.0.0.1", 22),
        ("[git.example.com]:2222", "git.example.com", 2222),
        ("*.example.com", "git.example.com", 22),
        ("git?.example.com", "git1.example.com", 22),
        ("[*.example.com]:2222", "git.example.com", 2222),
        (hashed("git.example.com"), "git.example.com", 22),
        (hashed("[git.example.com]:2222"), "git.example.com", 2222),
        ("2001:db8::1", "2001:db8::1", 22),
    ],
)
def test_a_line_for_the_host(hosts: str, host: str, port: int) -> None:
    lines = f"# a comment\n\nnonsense\n{text(hosts)} a comment\n"
    KnownHosts(lines).check(host, port, ONE)
    with pytest.raises(GitHostKeyError, match="new key, or the connection is intercepted"):
        KnownHosts(lines).check(host, port, TWO)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "no key for it"),
        (text("other.example.com"), "no key for it"),
        (text("[git.example.com]:2222"), "no key for it"),
        (text("*.example.com,!git.example.com"), "no key for it"),
        (text(hashed("other")), "no key for it"),
        (text("|1|not-base64|x"), "no key for it"),
        (text("git.example.com").replace("ssh-ed25519", "ssh-rsa", 1), "no key for it"),
        ("git.example.com ssh-ed25519 ???", "no key for it"),
        (text("git.example.com", RSA), "only keys of other types (ssh-rsa)"),
        ("@cert-authority " + text("*.example.com"), "no key for it"),
        ("@revoked " + text("git.example.com") + "\n" + text("git.example.com"), "as revoked"),
    ],
)
def test_no_line_for_the_host(lines: str, told: str) -> None:
    with pytest.raises(GitHostKeyError) as caught:
        KnownHosts(lines).check("git.example.com", 22, ONE)
    assert told in str(caught.value)
    assert ONE.fingerprint in str(caught.value)


def test_what_is_written_is_read() -> None:
    for host, port in (("git.example.com", 22), ("git.example.com", 2222), ("2001:db8::1", 22)):
        known = KnownHosts(known_hosts_line(host, port, ONE) + "\n" + known_hosts_line("other", port, TWO))
        assert known.keys(host, port) == [ONE]


def test_a_fingerprint_is_that_of_ssh_keygen() -> None:
    """The example is github.com's published ed25519 key."""
    blob = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert str(HostKey(base64.b64decode(blob))) == "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"

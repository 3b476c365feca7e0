"""Whom a Secret may be sent to, by its annotation."""

from typing import Any

import pytest

from porchflow.repositories.failures import Stalled
from porchflow.repositories.recipients import check_chosen, check_registered, named_origins, origin_of, warning_of


def a_secret(hosts: str | None) -> dict[str, Any]:
    annotations = {} if hosts is None else {"porchflow.dev/hosts": hosts}
    return {"metadata": {"name": "git-auth", "annotations": annotations}}


SENT = [
    ("git.example.com", "https://git.example.com/x.git"),
    ("git.example.com", "https://GIT.example.com:443/x.git"),
    ("git.example.com", "git@git.example.com:x.git"),
    ("git.example.com", "ssh://git.example.com/x.git"),
    ("git.example.com:8443", "https://git.example.com:8443/x.git"),
    ("a.example.com, git.example.com\nb.example.com", "https://git.example.com/x.git"),
    ("https://git.example.com/", "https://git.example.com/x.git"),
    ("http://git.example.com", "http://git.example.com/x.git"),
    ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/x.git"),
]
KEPT = [
    ("", "https://git.example.com/x.git"),
    ("git.example.com", "http://git.example.com/x.git"),
    ("git.example.com", "https://git.example.com:8443/x.git"),
    ("git.example.com:8443", "https://git.example.com/x.git"),
    ("git.example.com", "https://git.example.com.evil.example/x.git"),
    ("git.example.com", "https://git.example.com@evil.example/x.git"),
    ("git.example.com", "https://evil.example/git.example.com"),
    ("git.example.com", "https://sub.git.example.com/x.git"),
    ("https://git.example.com", "ssh://git.example.com/x.git"),
    ("http://git.example.com:8080", "http://git.example.com/x.git"),
]


@pytest.mark.parametrize(("hosts", "url"), SENT)
def test_it_is_sent_to_whom_it_names(hosts: str, url: str) -> None:
    check_registered(a_secret(hosts), url)
    check_chosen(a_secret(hosts), url, readers_only=False)


@pytest.mark.parametrize(("hosts", "url"), KEPT)
def test_it_is_sent_to_nobody_else(hosts: str, url: str) -> None:
    with pytest.raises(Stalled, match="names other servers"):
        check_registered(a_secret(hosts), url)
    with pytest.raises(Stalled, match="names other servers"):
        check_chosen(a_secret(hosts), url, readers_only=True)


@pytest.mark.parametrize(
    "entry", ["https://git.example.com/team", "ada@git.example.com", "git.example.com:x", "ftp://x", ":80", "[::1"]
)
def test_an_entry_that_is_no_server_is_told(entry: str) -> None:
    with pytest.raises(Stalled, match=r"has an entry that is no server: write git\.example\.com") as raised:
        named_origins(a_secret(f"git.example.com,{entry}"))
    assert entry not in raised.value.message.partition("write")[0]


def test_without_a_word_of_its_own_an_author_has_it_sent_encrypted_where_its_readers_name_it() -> None:
    secret = a_secret(None)
    check_registered(secret, "http://git.example.com/x.git")
    check_chosen(secret, "https://git.example.com/x.git", readers_only=True)
    check_chosen(secret, "git@git.example.com:x.git", readers_only=True)
    with pytest.raises(Stalled, match="unencrypted"):
        check_chosen(secret, "http://git.example.com/x.git", readers_only=True)
    with pytest.raises(Stalled, match=r"name https://git\.example\.com"):
        check_chosen(secret, "https://git.example.com/x.git", readers_only=False)


@pytest.mark.parametrize(
    ("hosts", "url", "warns"),
    [
        (None, "http://git.example.com/x.git", True),
        (None, "HTTP://git.example.com/x.git", True),
        (None, "https://git.example.com/x.git", False),
        (None, "http://127.0.0.1:3000/x.git", False),
        (None, "http://localhost/x.git", False),
        ("http://git.example.com", "http://git.example.com/x.git", False),
    ],
)
def test_what_is_sent_unencrypted_is_warned_of(hosts: str | None, url: str, warns: bool) -> None:
    assert bool(warning_of(a_secret(hosts), url)) is warns


def test_an_origin_reads_as_an_address() -> None:
    for text in ("https://git.example.com", "https://git.example.com:8443", "ssh://[2001:db8::1]"):
        assert str(origin_of(f"{text}/x.git")) == text

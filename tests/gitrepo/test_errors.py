import pytest

from porchflow.api.git_address import without_secrets
from porchflow.gitrepo.errors import (
    GitAuthError,
    GitError,
    GitNotFound,
    GitQuotaExceeded,
    GitUnavailable,
    from_status,
    from_words,
)
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken, Remote, SshKey

URL = "https://user:p%40ss@git.example.com/repo.git?token=abc"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (URL, "https://git.example.com/repo.git"),
        ("at https://u:p@ss@h/x, then", "at https://h/x, then"),
        ("'http://tok@h:80/x?a=b#c'", "'http://h:80/x'"),
        ("ssh://git@h/x http://h/y", "ssh://h/x http://h/y"),
        ("nothing here", "nothing here"),
        ("mail a@b.example", "mail a@b.example"),
    ],
)
def test_urls_lose_their_secrets(text: str, clean: str) -> None:
    assert without_secrets(text) == clean


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, GitAuthError),
        (403, GitAuthError),
        (404, GitNotFound),
        (410, GitNotFound),
        (413, GitQuotaExceeded),
        (429, GitUnavailable),
        (503, GitUnavailable),
        (799, GitUnavailable),
    ],
)
def test_refusals_over_http_are_sorted(status: int, kind: type[GitError]) -> None:
    ours = from_status(status, "words of the server")
    assert type(ours) is kind
    assert str(status) in str(ours)
    assert "words of the server" in str(ours)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("unpacker error: No space left on device", GitQuotaExceeded),
        ("Repository not found.", GitNotFound),
        ("'x' does not appear to be a git repository", GitNotFound),
        ("upload-pack: not our ref 0123", GitNotFound),
        ("Permission denied to this user", GitAuthError),
        ("something else", GitUnavailable),
    ],
)
def test_refusals_in_words_are_sorted(words: str, kind: type[GitError]) -> None:
    assert type(from_words(words)) is kind


def test_a_remote_shows_no_secret() -> None:
    remotes = [
        Remote(URL),
        Remote("https://h/x", BasicAuth("me", "hidden-word")),
        Remote("https://h/x", BearerToken("hidden-word")),
    ]
    for remote in remotes:
        assert "hidden-word" not in repr(remote) + str(remote)
        assert "p%40ss" not in repr(remote) + str(remote)
    assert Remote(URL).address == "https://git.example.com/repo.git?token=abc"
    assert Remote(URL).authorization == BasicAuth("user", "p@ss").header


def test_remotes_with_other_credentials_are_others() -> None:
    one, two = (Remote("https://h/x", BasicAuth("me", word)) for word in ("a", "b"))
    assert one.identity != two.identity
    assert one.identity == Remote("https://h/x", BasicAuth("me", "a")).identity


@pytest.mark.parametrize("url", ["", "/some/where", "file:///some/where", "git://h/x", "ssh:///x", "https://"])
def test_only_http_and_ssh_urls_are_taken(url: str) -> None:
    with pytest.raises(InvalidName, match="http"):
        Remote(url)


def test_a_line_break_in_credentials_cannot_add_a_header() -> None:
    with pytest.raises(InvalidName, match="line break"):
        Remote("https://h/x", BearerToken("a\r\nX-Evil: 1"))


@pytest.mark.parametrize(
    ("url", "address", "host", "port", "user"),
    [
        ("ssh://git.example.com/a.git", "ssh://git@git.example.com/a.git", "git.example.com", 22, "git"),
        ("ssh://me:secret@h:2222/a", "ssh://me@h:2222/a", "h", 2222, "me"),
        ("git@git.example.com:team/a.git", "git@git.example.com:team/a.git", "git.example.com", 22, "git"),
        ("git.example.com:a.git", "git.example.com:a.git", "git.example.com", 22, "git"),
        ("me@h:~/a", "me@h:~/a", "h", 22, "me"),
        ("ssh://[2001:db8::1]:2222/a", "ssh://git@[2001:db8::1]:2222/a", "2001:db8::1", 2222, "git"),
    ],
)
def test_ssh_addresses(url: str, address: str, host: str, port: int, user: str) -> None:
    remote = Remote(url, SshKey("hidden-word", "hidden-word", "hidden-word"))
    assert (remote.is_ssh, remote.address, remote.host, remote.port) == (True, address, host, port)
    assert (remote.user, remote.authorization) == (user, None)
    assert "hidden-word" not in repr(remote)
    assert "secret" not in repr(remote) + remote.display


def test_ports_of_http_addresses() -> None:
    assert [Remote(url).port for url in ("http://h/x", "https://h/x", "https://h:8443/x")] == [80, 443, 8443]

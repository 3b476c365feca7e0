"""Addresses of Git repositories: one parser, one idea of "the same repository", nothing secret shown."""

import re
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from porchflow.api.git_address import LONGEST_ADDRESS, BadAddress, parse, place_of, without_secrets

SAME = [
    ["https://git.example.com/a/b", "https://git.example.com/a/b.git", "https://git.example.com/a/b/"],
    ["https://git.example.com/a/b", "HTTPS://GIT.Example.com:443/a/b.git/", "https://git.example.com:/a//b"],
    ["https://git.example.com/a/b", "https://me:word@git.example.com/a/b", "https://git.example.com./a/b?token=x"],
    ["https://git.example.com/a%20b/c", "https://git.example.com/%61%20b/c"],
    ["http://git.example.com/a", "http://git.example.com:80/a", "http://git.example.com:0080/a"],
    ["https://bücher.example/a", "https://xn--bcher-kva.example/a", "https://BÜCHER.example/a"],
    ["https://[2001:db8::1]/a", "https://[2001:DB8:0:0::1]:443/a"],
    [
        "git@git.example.com:acme/x.git",
        "git.example.com:acme/x",
        "git@git.example.com:/acme/x",
        "ssh://git@git.example.com/acme/x",
        "ssh://git.example.com:22/acme/x.git/",
        "SSH://GIT.example.com/acme/x",
        "ssh://git.example.com/~/acme/x",
        "ssh://alice@git.example.com/acme/x",
        "ssh://git:word@git.example.com/acme/x",
    ],
    ["alice@git.example.com:x", "ssh://alice@git.example.com/~/x", "ssh://bob@git.example.com/~alice/x.git"],
    ["git@[2001:db8::1]:x", "ssh://[2001:db8:0::1]/x"],
    ["git@h:a%20b", "ssh://h/a%2520b"],
    ["git@h:bücher", "ssh://h/b%C3%BCcher", "ssh://h/bücher"],
    ["https://h/x/.git", "https://h/x"],
]

OTHER = [
    ("https://git.example.com/a/b", "https://git.example.com/a/B"),
    ("https://git.example.com/a/b", "https://git.example.com/a/c"),
    ("https://git.example.com/a/b", "https://git.example.com/a%2Fb"),
    ("https://git.example.com/a/b", "https://git.example.com:8443/a/b"),
    ("https://git.example.com/a/b", "http://git.example.com/a/b"),
    ("https://git.example.com/a/b", "ssh://git.example.com/a/b"),
    ("https://git.example.com/a/b", "https://other.example.com/a/b"),
    ("https://git.example.com/a/b", "https://git.example.com/a/b.github"),
    ("ssh://git.example.com/x", "ssh://git.example.com:2222/x"),
    ("alice@git.example.com:x", "bob@git.example.com:x"),
    ("alice@git.example.com:x", "alice@git.example.com:/x"),
    ("git.example.com:22/x", "ssh://git.example.com:22/x"),
]

BAD = {
    "": "empty",
    "nothing": "ssh://[USER@]HOST/PATH",
    "/some/where": "https://HOST/PATH",
    "./a:b": "HOST:PATH",
    "file:///some/where": "scheme 'file'",
    "git://h/x": "scheme 'git'",
    "https://": "no host",
    "https:///x": "no host",
    "https://:8080/x": "no host",
    "ssh://h": "no repository",
    "ssh://h/": "no repository",
    "git@h:~": "no repository",
    "h:": "HOST:PATH",
    "@h:x": "HOST:PATH",
    "https://h:port/x": "port",
    "https://h:0/x": "port",
    "https://h:65536/x": "port",
    "https://h:²/x": "port",
    "http://[::/x": "brackets",
    "http://[::1]x/y": "brackets",
    "http://[nothing]/x": "host that cannot",
    "https://a b/x": "' '",
    "https://h/a b": "%20",
    "https://h/a\n": "%0A",
    "https://h/\x00": "%00",
    "https://h/a%00b": "control character",
    "https://h\\@evil/x": "%5C",
    "https://h/a/../b": "'..'",
    "https://h/a/%2e%2E/b": "'..'",
    "git@h:../b": "'..'",
    "https://h/x#y": "%23",
    "https://h?x": "%3F",
    "https://h!/x": "host that cannot",
    "ssh://-oProxyCommand=x/y": "host that cannot",
    "-oProxyCommand:y": "host that cannot",
    f"https://{'h' * 254}/x": "253",
    "https://h/" + "x" * LONGEST_ADDRESS: "longer",
}

SECRETS = [
    "https://me:hush@h/x",
    "https://hush@h/x",
    "https://me:a@hush@h/x",
    "https://me:12/hush@h/x",
    "https://to/hush@h/x",
    "https://me:p@ss/hush@h/x",
    "https://me:hush@h:port/x",
    "https://me:hush@/x",
    "https://me:a?hush@h/x",
    "https://me:a#hush@h/x",
    "https://me:hush and more@h/x",
    "https://h/x?token=hush",
    "https://h/x?token=hush#hush",
    "ssh://me:hush@h/x",
    "git:hush@h:x",
    "ftp://me:hush@h/x",
    "hush@",
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_place(spellings: list[str]) -> None:
    assert len({place_of(spelling) for spelling in spellings}) == 1
    assert None not in {place_of(spelling) for spelling in spellings}


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_two_places(one: str, other: str) -> None:
    assert place_of(one) != place_of(other)
    assert None not in {place_of(one), place_of(other)}


@pytest.mark.parametrize(("text", "told"), BAD.items(), ids=lambda text: ascii(text[:40]))
def test_what_is_no_address_is_told(text: str, told: str) -> None:
    with pytest.raises(BadAddress, match=re.escape(told)) as raised:
        parse(text)
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_shown(text: str) -> None:
    try:
        address = parse(text)
    except BadAddress as error:
        shown = str(error)
    else:
        shown = f"{address.display} {address!r} {address.place} {address.place_for_hints} {address.written}"
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("https://git.example.com/x", "https://git.example.com/x"),
        ("https://me:word@Git.example.com:443//x.git/?a=/b", "https://Git.example.com:443//x.git/?a=/b"),
        ("ssh://Git.example.com/x.git", "ssh://git@Git.example.com/x.git"),
        ("ssh://a%40b:word@h:22/x", "ssh://a%40b@h:22/x"),
        ("git@h:acme/x.git", "git@h:acme/x.git"),
        ("h:/acme/x", "h:/acme/x"),
    ],
)
def test_what_is_sent_is_what_was_written(text: str, wire: str) -> None:
    assert parse(text).wire == wire


def test_the_parts() -> None:
    address = parse("https://me%40home:p%3Aw@[2001:DB8::1]:8443/a/b?c")
    assert (address.user, address.password, address.host, address.port) == ("me@home", "p:w", "2001:db8::1", 8443)
    assert (address.path, address.is_ssh, address.written) == ("/a/b", False, "https://[2001:DB8::1]:8443/a/b")
    assert address.origin == ("https", "2001:db8::1", 8443)
    short = parse("me@h:x")
    assert (short.user, short.port, short.path, short.is_ssh) == ("me", 22, "x", True)


def test_hints_know_no_case_and_no_homes() -> None:
    one, other = parse("gitea@h:Acme/X"), parse("ssh://gitea@h/acme/x.git")
    assert one.place != other.place
    assert one.place_for_hints == other.place_for_hints


def test_secrets_go_from_the_middle_of_a_text() -> None:
    text = "cannot list https://me:hush@h/x?token=hush, nor https://a/ssh://b:hush@c; mail me@home"
    assert without_secrets(text) == "cannot list https://h/x nor https://a/ssh://c; mail me@home"


signs = st.sampled_from([*"abAB09:/@.?#[]~%-_+\\ \t\n\0é☃", "://", "https://", "ssh://", "git@", ".git", "%2e", "::1"])
texts = st.one_of(st.text(max_size=60), st.lists(signs, max_size=30).map("".join))


@given(texts)
@example("ssh://h/~git/.git")
@example("https://h/.git.git")
def test_any_text_is_an_address_or_a_bad_one(text: str) -> None:
    try:
        address = parse(text)
    except BadAddress as error:
        assert str(error).isprintable()  # noqa: PT017 - any text may raise
        return
    again = parse(address.place)
    assert again.place == address.place
    assert again.place_for_hints == address.place_for_hints
    assert parse(address.wire).place == address.place
    assert parse(address.written).place == address.place
    assert address.place.isascii()


@given(scheme=st.sampled_from(["http", "https", "ssh"]), user=st.text(max_size=10), tail=texts)
def test_no_password_is_ever_shown(scheme: str, user: str, tail: str) -> None:
    text = f"{scheme}://{quote(user, safe='', errors='replace')}:hu5h@host/{tail}?hu5h"
    try:
        address = parse(text)
    except BadAddress as error:
        assert "hu5h" not in str(error)  # noqa: PT017 - any text may raise
        return
    assert "hu5h" not in address.display + address.place + repr(address) + address.written


@pytest.mark.parametrize("piece", ["://", "a", "@", "://@", "?", "a@", "https://a", "://a?", " ", "/"])
def test_long_texts_take_time_by_their_length_alone(piece: str) -> None:
    def seconds(length: int) -> float:
        text, best = piece * (length // len(piece)), float("inf")
        for _ in range(3):
            began = time.process_time()
            without_secrets(text)
            place_of(text)
            best = min(best, time.process_time() - began)
        return best

    short = max(seconds(50_000), 0.001)
    assert seconds(400_000) < 30 * short, "eight times the length; a quadratic scan takes 64 times as long"

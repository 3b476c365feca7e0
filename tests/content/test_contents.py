"""What a push makes of the files, and how they are shown."""

import json

from hypothesis import given
from hypothesis import strategies as st

from porchflow.content.packages.encoding import encode_files
from porchflow.content.packages.pushed_files import new_files, problems
from porchflow.gitrepo.store.trees import File, Mode

KPTFILE = "Kptfile"


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(), max_size=5))
async def test_text_is_shown_as_it_is(texts: dict[str, str]) -> None:
    encodable = {path: text for path, text in texts.items() if _encodable(path + text)}
    encoded = await encode_files({path: File(text.encode()) for path, text in encodable.items()})
    assert json.loads(b"".join(encoded.resources)) == encodable
    assert (encoded.count, encoded.hidden) == (len(encodable), ())
    assert encoded.size == sum(map(len, encoded.resources))


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


async def test_much_is_written_in_pieces() -> None:
    files = {f"f{n}": File(b"x" * 100_000) for n in range(20)}
    encoded = await encode_files(files)
    assert len(encoded.resources) > 5
    assert len(json.loads(b"".join(encoded.resources))) == 20


async def test_what_text_cannot_say_is_hidden() -> None:
    files = {
        "z-latin": File("ü".encode("latin-1")),
        "link": File(b"Kptfile", Mode.SYMLINK),
        "nul": File(b"a\0b"),
        "bom": File(b"\xef\xbb\xbfa: 1\r\n"),
        "run": File(b"#!/bin/sh\n", Mode.EXECUTABLE),
    }
    encoded = await encode_files(files)
    assert encoded.hidden == ("link", "z-latin")
    shown = json.loads(b"".join(encoded.resources))
    assert new_files(files, shown) == files, "what was read and is sent back changes nothing"


def test_a_push_replaces_what_is_shown_and_keeps_what_is_not() -> None:
    before = {
        "Kptfile": File(b"old"),
        "gone": File(b""),
        "run": File(b"old", Mode.EXECUTABLE),
        "link": File(b"x", Mode.SYMLINK),
        "logo": File(b"\xff"),
        "other-link": File(b"x", Mode.SYMLINK),
    }
    assert new_files(before, {"Kptfile": "new", "run": "new", "logo": "text", "other-link": "text"}) == {
        "Kptfile": File(b"new"),
        "run": File(b"new", Mode.EXECUTABLE),
        "link": File(b"x", Mode.SYMLINK),
        "logo": File(b"text"),
        "other-link": File(b"text"),
    }


def test_problems_are_named_but_not_without_end() -> None:
    assert problems({KPTFILE: "", "a/b.yaml": "\0"}) == []
    many = problems({f"../{n}": "" for n in range(100)})
    assert len(many) == 10
    assert "Kptfile" in many[0].message
    assert {each.field for each in many[1:]} == {f"spec.resources[../{n}]" for n in range(9)}
    assert [each.field for each in problems({KPTFILE: "", "\ud800": ""})] == ["spec.resources[?]"]

"""Git's protocol as bytes: what is said to a server, and what its answers mean. Knows no network.

Version 2 where a server offers it, else versions 0 and 1. Source: docs/reference/git-protocol.md, "Versions".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from porchflow.api.limits import GIT_PACK_BYTES, GIT_PACKETS, GIT_REFS
from porchflow.gitrepo.errors import GitError, GitQuotaExceeded, GitUnavailable, GitUnsupported, from_words
from porchflow.gitrepo.remote.protocol.pkt_lines import DELIMITER, FLUSH, LONGEST_DATA, Mark, PktReader, pkt_line
from porchflow.gitrepo.remote.protocol.server_words import Words, clean

UPLOAD_PACK: Final = "git-upload-pack"
RECEIVE_PACK: Final = "git-receive-pack"
ZERO: Final = "0" * 40

_AGENT = "porchflow/1"
_SERVICE = b"# service="
_REF = re.compile(rb"([0-9a-f]{40}) ([^ \n]*)")
_NO_REFS = "capabilities^{}"
_V2 = 2
_CAPABILITIES_BYTES = 1 << 16
_REPORT_BYTES = 1 << 20
"""Of a server's answer to a push, without its hooks' output."""
_DATA, _PROGRESS, _FAILURE = 1, 2, 3
"""The bands of a side-band."""

# Servers may refuse a client that requests less than git does (one was seen to), so this is what git requests.
_FETCH_CAPABILITIES = ("multi_ack_detailed", "side-band-64k", "thin-pack", "no-progress", "ofs-delta")


@dataclass(frozen=True)
class Advertisement:
    """A server's first words."""

    version: int
    capabilities: Mapping[str, str]
    refs: Mapping[str, str] = field(default_factory=dict)
    """Ids by full name; in version 2 they are listed by a request of its own."""

    def offers(self, capability: str) -> bool:
        """Return whether the server offers a capability."""
        return capability in self.capabilities


def read_advertisement(reader: PktReader) -> Advertisement:
    """Read a server's first words.

    Raises:
        GitError: They are not those of a Git server, or of a repository that is not supported.
    """
    first = reader.line()
    if isinstance(first, bytes) and first.startswith(_SERVICE):
        reader.line()
        first = reader.line()
    said = _text(first)
    if said == "version 2":
        reader.allow(_CAPABILITIES_BYTES)
        capabilities = dict(_capability(_text(line)) for line in reader.section())
        return _of_sha1(Advertisement(_V2, capabilities))
    if said == "version 1":
        first = reader.line()
    return _of_sha1(_read_refs(first, reader))


def _read_refs(first: bytes | Mark, reader: PktReader) -> Advertisement:
    if isinstance(first, Mark):
        return Advertisement(0, {})
    line, _, offered = first.partition(b"\0")
    capabilities = dict(_capability(each) for each in _text(offered).split())

    def lines() -> Iterator[bytes]:
        yield line
        yield from reader.section()

    return Advertisement(0, capabilities, _refs(lines()))


def _of_sha1(advertisement: Advertisement) -> Advertisement:
    kind = advertisement.capabilities.get("object-format", "sha1")
    if kind != "sha1":
        raise GitUnsupported(
            f"it stores its objects in another format than SHA-1, the only one that is supported: {clean(kind)[:100]!r}"
        )
    return advertisement


def ls_refs(server: Advertisement, prefixes: Iterable[str]) -> bytes:
    """Return the request of version 2 for the refs that begin with one of the prefixes."""
    arguments = [f"ref-prefix {prefix}" for prefix in prefixes]
    return _command("ls-refs", server, arguments)


def read_listing(reader: PktReader) -> dict[str, str]:
    """Read the answer to `ls_refs`: ids by full name."""
    return _refs(reader.section())


def _refs(lines: Iterable[bytes]) -> dict[str, str]:
    refs: dict[str, str] = {}
    for line in lines:
        if (found := _REF.match(line)) is None:
            _check_other(_text(line))
            continue
        oid, name = found.groups()
        if not name.endswith(b"^{}"):
            refs[name.decode(errors="replace")] = oid.decode()
            if len(refs) > GIT_REFS:
                raise GitQuotaExceeded(f"there are more than {GIT_REFS:,} refs (the limit)")
    refs.pop(_NO_REFS, None)
    return refs


def _check_other(text: str) -> None:
    """Refuse a line that names no ref, but for a branch that does not exist yet.

    Raises:
        GitError: The line says something else.
    """
    word = text.partition(" ")[0]
    if word == "shallow":
        raise _shallow()
    if word != "unborn":
        raise _refusal(text)


def fetch(server: Advertisement, wants: Sequence[str], haves: Sequence[str]) -> bytes:
    """Return the request for a pack with some objects, and everything that they need beyond what is present.

    Args:
        server: Its first words.
        wants: Ids; at least one.
        haves: Ids of commits that are present with everything that they need.
    """
    if server.version == _V2:
        arguments = ["thin-pack", "no-progress", "ofs-delta"]
        arguments += [f"want {oid}" for oid in wants] + [f"have {oid}" for oid in haves] + ["done"]
        return _command("fetch", server, arguments)
    if not server.offers("side-band-64k"):
        raise GitUnsupported("the server does not offer side-band-64k, which every Git server since 2006 does")
    asked = " ".join([each for each in _FETCH_CAPABILITIES if server.offers(each)] + _agent(server))
    lines = [f"want {oid}" for oid in wants]
    lines[0] += f" {asked}"
    ends = [*(f"have {oid}" for oid in haves), "done"]
    return _lines(lines) + FLUSH + _lines(ends)


def read_pack(server: Advertisement, reader: PktReader, write: Callable[[bytes], object]) -> None:
    """Read the answer to `fetch`.

    Args:
        server: Its first words.
        reader: The answer.
        write: Takes the pack, piece by piece.

    Raises:
        GitError: The server refuses.
    """
    reader.allow(GIT_PACK_BYTES)
    if server.version == _V2:
        while (section := _text(reader.line())) != "packfile":
            if section not in {"acknowledgments", "shallow-info", "wanted-refs"}:
                raise _refusal(section)
            for line in reader.section():
                if line.startswith(b"shallow "):
                    raise _shallow()
    words = Words()
    for number, line in enumerate(reader.section()):
        if number >= GIT_PACKETS:
            raise GitQuotaExceeded(f"the server sends the pack in more than {GIT_PACKETS:,} packets (the limit)")
        if line.startswith((b"ACK ", b"NAK")):
            continue
        if line[:4] == b"ERR ":
            raise _refusal(_text(line))
        _band(line, write, words)


@dataclass
class Report:
    """A server's answer to a push."""

    unpacked: str = ""
    """`ok`, or why the server could not store the pack; empty where it said nothing."""
    answers: dict[str, str | None] = field(default_factory=dict)
    """For each ref why it was not updated; None where it was."""
    words: Words = field(default_factory=Words)


def push(server: Advertisement, commands: Iterable[tuple[str, str, str]], *, whole: bool) -> bytes:
    """Return the beginning of a push, which the pack follows.

    Args:
        server: Its first words.
        commands: Old id, new id and ref; `ZERO` for no id.
        whole: Request that all refs are updated or none; only where the server offers that.
    """
    wanted = ["report-status", "side-band-64k", "quiet", *(["atomic"] if whole else [])]
    asked = " ".join([each for each in wanted if server.offers(each)] + _agent(server))
    lines = [f"{old} {new} {ref}" for old, new, ref in commands]
    first, *others = (line.encode() for line in lines)
    return pkt_line(first + b"\0 " + asked.encode()) + b"".join(map(pkt_line, others)) + FLUSH


def read_report(server: Advertisement, reader: PktReader) -> Report:
    """Read the answer to a push, to its very end: hooks that run after the push belong to it."""
    report = Report()
    if not server.offers("report-status"):
        return report
    if not server.offers("side-band-64k"):
        reader.allow(_REPORT_BYTES)
        _sort(reader.section(), report)
        return report
    said = bytearray()
    for line in reader.section():
        _band(line, said.extend, report.words)
        if len(said) > _REPORT_BYTES:
            raise GitQuotaExceeded(f"the server's report of the push is longer than {_REPORT_BYTES} bytes (the limit)")
    pieces = iter((bytes(said),))

    def read() -> bytes:
        if (piece := next(pieces, b"")) == b"":
            raise GitUnavailable("the server's report of the push is cut off")
        return piece

    _sort(PktReader(read, len(said)).section(), report)
    return report


def _sort(lines: Iterable[bytes], report: Report) -> None:
    for line in lines:
        kind, _, rest = _text(line).partition(" ")
        match kind:
            case "unpack":
                report.unpacked = clean(rest)
            case "ok":
                report.answers[rest] = None
            case "ng":
                ref, _, reason = rest.partition(" ")
                report.answers[ref] = clean(reason) or "the server does not say why"
            case _:
                pass


def _band(line: bytes, write: Callable[[bytes], object], words: Words) -> None:
    band = line[0] if line else 0
    if band == _DATA:
        write(line[1:])
    elif band == _PROGRESS:
        words.add(line[1:])
    elif band == _FAILURE:
        words.add(line[1:])
        raise from_words(str(words))
    else:
        raise _refusal(_text(line))


def _command(name: str, server: Advertisement, arguments: Sequence[str]) -> bytes:
    formats = ["object-format=sha1"] if server.offers("object-format") else []
    return _lines([f"command={name}", *_agent(server), *formats]) + DELIMITER + _lines(arguments) + FLUSH


def _agent(server: Advertisement) -> list[str]:
    return [f"agent={_AGENT}"] if server.offers("agent") else []


def _lines(lines: Iterable[str]) -> bytes:
    return b"".join(pkt_line(f"{line}\n".encode()[:LONGEST_DATA]) for line in lines)


def _capability(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _text(line: bytes | Mark) -> str:
    if isinstance(line, Mark):
        return ""
    return line.decode(errors="replace").removesuffix("\n")


def _shallow() -> GitError:
    return GitUnsupported(
        "it is a shallow repository, whose history is cut off; complete it there with `git fetch --unshallow`"
    )


def _refusal(text: str) -> GitError:
    if text.startswith("ERR "):
        return from_words(clean(text.removeprefix("ERR ")))
    return GitUnavailable(f"the server does not speak Git's protocol: it says {clean(text)[:200]!r}")

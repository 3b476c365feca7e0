"""Targets: what Git servers and commits say, and addresses and names of users."""

from porchflow.api.git_address import BadAddress, parse, without_secrets
from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.refs import InvalidName, PackageLocation, branch_ref, branch_workspace, parse_tag_ref
from porchflow.gitrepo.remote.protocol import wire
from porchflow.gitrepo.remote.protocol.pkt_lines import PktReader
from porchflow.gitrepo.remote.ssh.known_hosts import KnownHosts
from porchflow.gitrepo.remote.ssh.ssh_keys import UnusableKey, key_pair
from porchflow.gitrepo.store.commit_messages import parse_annotations
from porchflow.watcher.indexes.places import heard_place
from tests.fuzz.targets import Target, text_of

_OLD_SERVER = wire.Advertisement(0, {"report-status": "", "side-band-64k": ""})


def _reader(data: bytes) -> PktReader:
    pieces = iter((data,))

    def read() -> bytes:
        if (piece := next(pieces, b"")) == b"":
            raise GitError("the end")
        return piece

    return PktReader(read, 1 << 20)


def _advertisement(data: bytes) -> None:
    reader = _reader(data)
    server = wire.read_advertisement(reader)
    wire.read_pack(server, reader, bytearray().extend)


def _address(data: bytes) -> None:
    text = text_of(data)
    without_secrets(text)
    heard_place(text)
    address = parse(text)
    assert parse(address.written).place == address.place, "an address is the same one when it is read again"


def _names(data: bytes) -> None:
    text = text_of(data)
    parse_tag_ref(f"refs/tags/{text}")
    branch_workspace(text)
    branch_ref(text)
    PackageLocation("", text, "v1").check_new()


TARGETS = {
    "git-advertisement": Target(_advertisement, (GitError,)),
    "git-listing": Target(lambda data: wire.read_listing(_reader(data)), (GitError,)),
    "git-report": Target(lambda data: wire.read_report(_OLD_SERVER, _reader(data)), (GitError,)),
    "git-address": Target(_address, (BadAddress,)),
    "git-names": Target(_names, (InvalidName,)),
    "commit-annotations": Target(lambda data: [each.number for each in parse_annotations(text_of(data))]),
    "known-hosts": Target(lambda data: KnownHosts(text_of(data)).keys("git.example.com"), (GitError,)),
    "ssh-key": Target(lambda data: key_pair(text_of(data), ""), (UnusableKey,)),
}

"""What Temporal keeps is encrypted: keys, their file and its changes, payloads, failures."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.limits import ENCRYPTION_KEYS_BYTES
from porchflow.cli.processes.temporal.encryption_keys import KeyRing
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import SettingsError, load_settings
from porchflow.workflows.converter import DATA_CONVERTER, UnreadablePayloadError, encrypting
from porchflow.workflows.ids import RepositorySyncInput
from tests.cli.encryption import new_key, write_keys

SECRET = "a-name-that-nobody-else-says"
FIRST, SECOND = new_key(), new_key()

METADATA = st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=50), max_size=4)
PAYLOADS = st.builds(Payload, metadata=METADATA, data=st.binary(max_size=2000)).filter(
    lambda payload: payload.metadata.get("encoding") != b"binary/encrypted"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys", {"first": FIRST})


@pytest.fixture
def codec(path: Path) -> EncryptionCodec:
    return EncryptionCodec(KeyRing(path))


@pytest.fixture(scope="module")
def shared_codec(tmp_path_factory: pytest.TempPathFactory) -> EncryptionCodec:
    return EncryptionCodec(KeyRing(write_keys(tmp_path_factory.mktemp("keys") / "keys", {"first": FIRST})))


class TestPayloads:
    @given(payloads=st.lists(PAYLOADS, min_size=1, max_size=5))
    async def test_they_come_back_as_they_were(self, shared_codec: EncryptionCodec, payloads: list[Payload]) -> None:
        encrypted = await shared_codec.encode(payloads)
        assert len(encrypted) == len(payloads)
        assert await shared_codec.decode(encrypted) == payloads
        for plain, hidden in zip(payloads, encrypted, strict=True):
            assert hidden.metadata["encoding"] == b"binary/encrypted"
            assert hidden.metadata["encryption-key-id"] == b"first"
            assert set(hidden.metadata) == {"encoding", "encryption-cipher", "encryption-key-id"}
            assert len(plain.data) < 8 or plain.data not in hidden.data

    @given(payloads=st.lists(PAYLOADS, min_size=1, max_size=5))
    async def test_those_of_before_encryption_are_left_as_they_are(
        self, shared_codec: EncryptionCodec, payloads: list[Payload]
    ) -> None:
        assert await shared_codec.decode(payloads) == payloads

    @given(data=st.data())
    async def test_a_byte_that_is_changed_is_noticed(self, shared_codec: EncryptionCodec, data: st.DataObject) -> None:
        [payload] = await shared_codec.encode([Payload(metadata={"encoding": b"json/plain"}, data=b'"web"')])
        place = data.draw(st.integers(0, len(payload.data) - 1))
        changed = bytearray(payload.data)
        changed[place] ^= data.draw(st.integers(1, 255))
        payload.data = bytes(changed)
        with pytest.raises(UnreadablePayloadError, match="cannot be decrypted with the key 'first'"):
            await shared_codec.decode([payload])

    @pytest.mark.parametrize("data", [b"", b"short", b"x" * 12, b"x" * 27])
    async def test_data_that_is_no_encrypted_payload(self, codec: EncryptionCodec, data: bytes) -> None:
        metadata = {"encoding": b"binary/encrypted", "encryption-key-id": b"first"}
        with pytest.raises(UnreadablePayloadError, match="cannot be decrypted"):
            await codec.decode([Payload(metadata=metadata, data=data)])

    async def test_the_same_payload_looks_different_each_time(self, codec: EncryptionCodec) -> None:
        payload = Payload(data=b"the same")
        assert len({each.data for each in await codec.encode([payload] * 100)}) == 100


class TestRotation:
    async def test_a_new_key_encrypts_and_the_old_one_still_decrypts(self, path: Path, codec: EncryptionCodec) -> None:
        old = await codec.encode([Payload(data=b"before")])
        write_keys(path, {"second": SECOND, "first": FIRST})
        new = await codec.encode([Payload(data=b"after")])
        assert new[0].metadata["encryption-key-id"] == b"second"
        assert [each.data for each in await codec.decode([*old, *new])] == [b"before", b"after"]

    async def test_a_key_that_comes_later_is_read_at_once(self, path: Path, codec: EncryptionCodec) -> None:
        other = EncryptionCodec(KeyRing(write_keys(path.with_name("other"), {"second": SECOND})))
        payloads = await other.encode([Payload(data=b"of another worker")])
        with pytest.raises(
            UnreadablePayloadError, match=rf"the key 'second', which {path} does not have: add it there"
        ):
            await codec.decode(payloads)
        assert "'second'" in codec.problem
        write_keys(path, {"first": FIRST, "second": SECOND})
        assert [each.data for each in await codec.decode(payloads)] == [b"of another worker"]
        assert codec.problem == ""

    async def test_a_missing_key_is_forgotten_when_nothing_needs_it_any_more(self, path: Path) -> None:
        now = 1000.0
        codec = EncryptionCodec(KeyRing(path), clock=lambda: now)
        metadata = {"encoding": b"binary/encrypted", "encryption-key-id": b"gone"}
        with pytest.raises(UnreadablePayloadError):
            await codec.decode([Payload(metadata=metadata)])
        now += 299
        assert "'gone'" in codec.problem
        now += 2
        assert codec.problem == ""

    async def test_another_key_under_the_same_id_is_told(self, path: Path, codec: EncryptionCodec) -> None:
        payloads = await codec.encode([Payload(data=b"before")])
        write_keys(path, {"first": SECOND})
        with pytest.raises(UnreadablePayloadError, match="or that id had another key when it was encrypted"):
            await codec.decode(payloads)

    @pytest.mark.parametrize("becomes", ["", "nonsense\n", None], ids=["empty", "nonsense", "gone"])
    async def test_a_file_that_is_broken_meanwhile_leaves_the_keys_of_before(
        self, path: Path, codec: EncryptionCodec, becomes: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        become(path, becomes)
        for _ in range(3):
            assert await codec.decode(await codec.encode([Payload(data=b"it")])) == [Payload(data=b"it")]
        assert str(path) in codec.problem
        assert caplog.text.count("going on with the encryption keys from before") == 1
        caplog.set_level(logging.INFO)
        write_keys(path, {"second": SECOND, "first": FIRST})
        assert codec.problem == ""
        assert "took the encryption keys second, first" in caplog.text


def become(path: Path, content: str | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


class TestFile:
    def test_comments_and_empty_lines(self, path: Path) -> None:
        path.write_text(f"# newest first\n\n second  {SECOND} \n#old\nfirst {FIRST}\r\n")
        assert KeyRing(path).newest()[0] == "second"
        assert KeyRing(path).get("first")

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", "has no key: a line must be 'ID ' and what `openssl rand -base64 32` prints"),
            ("# nothing\n", "has no key"),
            (f"{FIRST}\n", "line 1 is no key"),
            (f"first {FIRST} more\n", "line 1 is no key"),
            (f"a {FIRST}\na/b {FIRST}\n", "line 2 is no key"),
            ("first nonsense!\n", "line 1 is no key"),
            ("first c2hvcnQ=\n", "line 1: the key 'first' has 5 bytes and must have 32"),
            (f"first {FIRST}\nfirst {SECOND}\n", "line 2: there is another key 'first'"),
            ("x" * (ENCRYPTION_KEYS_BYTES + 1), f"is larger than {ENCRYPTION_KEYS_BYTES} bytes"),
            ("\xff\xfe first", "line 1 is no key"),
        ],
        ids=[
            "empty",
            "comment",
            "key alone",
            "more words",
            "bad id",
            "no base64",
            "short",
            "twice",
            "large",
            "no text",
        ],
    )
    def test_one_that_cannot_be_used_is_told_without_its_keys(self, path: Path, content: str, told: str) -> None:
        path.write_text(content, encoding="latin-1")
        with pytest.raises(SettingsError) as caught:
            KeyRing(path)
        assert caught.value.message.startswith(
            f"PORCHFLOW_TEMPORAL_ENCRYPTION_KEYS_FILE (--temporal-encryption-keys-file): {path}"
        )
        assert told in caught.value.message
        for word in (FIRST, SECOND, "nonsense", "c2hvcnQ"):
            assert word not in caught.value.message

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"cannot read .*: No such file or directory"):
            KeyRing(tmp_path / "none")

    def test_it_does_not_ask_for_tls(self, path: Path) -> None:
        settings = load_settings({"temporal_encryption_keys_file": path, "temporal_tls": False})
        connection = read_connection(settings.temporal)
        assert connection.tls is None
        assert connection.codec is not None


def failed(converter: DataConverter, error: BaseException) -> Failure:
    failure = Failure()
    converter.failure_converter.to_failure(error, converter.payload_converter, failure)
    return failure


def nested(kind: str) -> ApplicationError:
    """Make an error whose message and whose causes name a secret."""
    why, error = RuntimeError(f"why: {SECRET}"), ApplicationError(f"it failed: {SECRET}", {"detail": SECRET}, type=kind)
    why.__cause__ = ValueError(f"deep: {SECRET}")
    error.__cause__ = why
    return error


class TestFailures:
    @pytest.mark.parametrize("kind", [*ErrorKind, "other"])
    async def test_neither_message_nor_cause_is_plain(self, codec: EncryptionCodec, kind: str) -> None:
        converter = encrypting(codec)
        failure = failed(converter, nested(kind))
        await codec.encode_failure(failure)
        assert SECRET.encode() not in failure.SerializeToString()
        assert failure.application_failure_info.type == kind

        await codec.decode_failure(failure)
        back = converter.failure_converter.from_failure(failure, converter.payload_converter)
        assert str(back).endswith(f"it failed: {SECRET}")

    async def test_one_of_before_encryption_is_read_and_not_sent_on_plain(self, codec: EncryptionCodec) -> None:
        plain, converter = failed(DATA_CONVERTER, nested("other")), encrypting(codec)
        assert plain.HasField("cause")
        await codec.decode_failure(plain)
        back = converter.failure_converter.from_failure(plain, converter.payload_converter)
        assert str(back).endswith(f"it failed: {SECRET}")
        again = failed(converter, back)
        await codec.encode_failure(again)
        assert SECRET.encode() not in again.SerializeToString()

    async def test_one_that_is_sent_on_keeps_its_message(self, codec: EncryptionCodec) -> None:
        converter = encrypting(codec)
        once = failed(converter, nested("other"))
        back = converter.failure_converter.from_failure(once, converter.payload_converter)
        twice = failed(converter, back)
        again = converter.failure_converter.from_failure(twice, converter.payload_converter)
        assert str(again).endswith(f"it failed: {SECRET}")


async def test_a_process_without_keys_says_what_it_lacks(codec: EncryptionCodec) -> None:
    payloads = await encrypting(codec).encode([RepositorySyncInput(namespace="team", name="blueprints")])
    with pytest.raises(
        UnreadablePayloadError, match=r"encrypted with the key 'first'.*PORCHFLOW_TEMPORAL_ENCRYPTION_KEYS_FILE"
    ):
        await DATA_CONVERTER.decode(payloads, [RepositorySyncInput])


async def test_models_go_through(codec: EncryptionCodec) -> None:
    given, converter = RepositorySyncInput(namespace="team", name=SECRET), encrypting(codec)
    payloads = await converter.encode([given])
    assert SECRET.encode() not in payloads[0].SerializeToString()
    assert await converter.decode(payloads, [RepositorySyncInput]) == [given]

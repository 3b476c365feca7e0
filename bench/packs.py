"""Pieces of packs that no honest writer makes."""

import hashlib


def entry(kind: int, size: int, body: bytes) -> bytes:
    """Return one object of a pack.

    Args:
        kind: Of the object, as the pack format numbers them.
        size: Bytes that it claims to have.
        body: What follows its head.
    """
    first, size = (kind << 4) | (size & 15), size >> 4
    head = bytearray()
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    head.append(first)
    return bytes(head) + body


def varint(number: int) -> bytes:
    """Return a number as deltas hold it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def pack_with(*entries: bytes) -> bytes:
    """Return a pack of objects, each as `entry` makes it."""
    data = b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big") + b"".join(entries)
    return data + hashlib.sha1(data, usedforsecurity=False).digest()

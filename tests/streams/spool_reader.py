"""Reads a spool from its description (docs/SPOOL.md) alone: which flows are in it, unacknowledged.

Checksums are left to weir: what a killed process leaves is cut, not damaged.
"""
import glob
import os
import struct

import cbor
import transports

HEADER, HEAD, ACK = 42, 31, 28


def acknowledged(folder):
    path = os.path.join(folder, "ack")
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        data = file.read()
    return cbor.sequence(data)[0][1] if len(data) == ACK else 0


def _address(record, key):
    return ".".join(map(str, record.get(key, b"").ljust(4, b"\0")[:4]))


def _frames(data):
    """(first, records) of the whole frames of a segment."""
    at = HEADER
    while at + HEAD <= len(data):
        first, count = struct.unpack_from("!xxQxI", data, at)
        length = struct.unpack_from("!I", data, at + HEAD - 4)[0]
        if at + HEAD + length > len(data):
            return
        items = cbor.sequence(data[at + HEAD:at + HEAD + length])
        assert len(items) == count, "frame of %d at %d holds %d" % (count, at, len(items))
        yield first, items
        at += HEAD + length


def flows(folder):
    """The flows on disk that were not acknowledged, in order."""
    found, done = [], acknowledged(folder)
    for path in sorted(glob.glob(folder + "/*.seg")):
        with open(path, "rb") as file:
            data = file.read()
        for first, items in _frames(data):
            found += [transports.number_of(_address(r, 18), _address(r, 19)) for n, r in enumerate(items) if first + n >= done]
    return found

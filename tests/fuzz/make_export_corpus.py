#!/usr/bin/env python3
"""Writes the seeds of fuzz_filter and fuzz_spool: an expression for each thing the grammar has and
each way to be wrong; segments whole, torn, damaged. Checksums are made by xxhsum (package xxhash),
whose absence leaves the segments as they are."""
import os
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))

FILTERS = {
    "address": "sourceIPv4Address in 10.0.0.0/8 and packetDeltaCount > 1",
    "address6": "destinationIPv6Address in {2001:db8::/32, ::1, fe80::-fe80::ffff} or ipVersion != 6",
    "ports": "destinationTransportPort in 80, 443, 8000-8100",
    "flags": "tcpControlBits & syn|ack == syn and not tcpControlBits & 0x04",
    "times": "flowStartSeconds >= 2023-11-14T22:13Z and flowEndNanoseconds < 2023-11-15T00:00:00.5Z",
    "durations": "flowDurationMilliseconds in 1s-5min or reverseFlowDurationMicroseconds > 10us",
    "mac": "sourceMacAddress not in {00:00:5e:00:53:01, 00:00:5e:00:53:02-00:00:5e:00:53:ff}",
    "nested": "not (not (ipVersion == 4) or (vlanId >= 0 and (flowId != 3)))",
    "sizes": "octetDeltaCount > 10MiB || reverseOctetDeltaCount <= 1k && !(packetDeltaCount = 3)",
    "deep": "(" * 40 + "ipVersion == 4" + ")" * 40,
    "unknown": "sourceIP in 10.0.0.0/8",
    "host_bits": "sourceIPv4Address in 10.0.0.1/8",
    "open": "(ipVersion == 4 and",
    "list": "flowId in {1, 2, 5-9, 0x10 - 0x20, 3,4}",
    "long": " or ".join("ipVersion == %d" % n for n in range(200)),
    "whole_range": "octetDeltaCount not in {0-18446744073709551615}",
}

TIME = 1700000000 * 10**9


def number(value, major=0):
    for width, (limit, code) in enumerate(((24, 0), (1 << 8, 24), (1 << 16, 25), (1 << 32, 26), (1 << 64, 27))):
        if value < limit:
            head = bytes([major | (code or value)])
            return head if code == 0 else head + value.to_bytes(1 << (width - 1), "big")
    raise ValueError(value)


def record(flow_id, more=()):
    pairs = [(1, 3), (-1, 1), (2, 180), (3, TIME), (4, TIME + 5), (11, 4), (12, 17), (16, 1025), (17, 53),
             (18, b"\xc0\0\2\1"), (20, flow_id), (21, TIME)] + list(more)
    out = number(len(pairs), 0xa0)
    for key, value in pairs:
        out += number(key) if key >= 0 else number(-key - 1, 0x20)
        out += number(len(value), 0x40) + value if isinstance(value, bytes) else number(value)
    return out


def checksum(data):
    text = subprocess.run(["xxhsum", "-H3"], input=data, capture_output=True, check=True).stdout.decode().split()
    return b"\x1b" + bytes.fromhex(next(word for word in text if len(word) == 16))


def u64(value):
    return b"\x1b" + struct.pack(">Q", value)


def header(schema=1, first=0):
    start = b"\x85\x6aweir spool\x19" + struct.pack(">H", schema) + u64(first) + u64(TIME)
    return start + checksum(start)


def frame(first, records, count=None):
    count = len(records) if count is None else count
    body = b"".join(records)
    told = struct.pack(">QII", first, count, len(body))
    return (b"\x84" + u64(first) + b"\x1a" + struct.pack(">I", count) + checksum(told + body) + b"\xd8\x3f\x5a" +
            struct.pack(">I", len(body)) + body)


def segments():
    one, two, three = frame(0, [record(0), record(1)]), frame(2, [record(2)]), frame(3, [record(3), record(4)])
    damaged = bytearray(two)
    damaged[40] ^= 1
    whole = header() + one + two + three
    yield "whole", whole
    yield "followed", b"\1" + whole
    yield "empty", b""
    yield "header_only", header()
    yield "later_schema", header(schema=9) + one
    yield "torn", whole[:-7]
    yield "torn_head", whole[:-len(three) + 20]
    yield "damaged_middle", b"\1" + header() + one + bytes(damaged) + three
    yield "damaged_end", header() + one + bytes(damaged)
    yield "no_header", bytes(42) + one
    yield "numbers_back", header() + three + one
    yield "numbers_ahead", header() + one + frame(1 << 60, [record(9)])
    yield "numbers_overflow", header() + frame((1 << 64) - 1, [record(9)])
    yield "more_than_there_are", header() + frame(0, [record(0)], count=30) + frame(30, [record(30)])
    yield "none", header() + frame(0, [], count=0) + one
    yield "no_record", header() + frame(0, [b"\xa1\x0b\x05" * 3]) + frame(1, [record(1)])
    yield "new_keys", header() + frame(0, [record(0, [(200, 1), (-99, b"abc")])])
    yield "frame_in_frame", header() + frame(0, [b"\x81" + one]) + frame(1, [record(1)])


def write(folder, name, data):
    os.makedirs(os.path.join(HERE, "corpus", folder), exist_ok=True)
    with open(os.path.join(HERE, "corpus", folder, name), "wb") as file:
        file.write(data)


for name, text in FILTERS.items():
    write("filter", name, b"\1" + text.encode())
write("filter", "one_way", b"\0reversePacketDeltaCount > 0")
write("filter", "bytes", b"\1ipVersion == \xff\x80\x01(((")
if shutil.which("xxhsum"):
    for name, data in segments():
        write("spool", name, data)

"""Bytes of capture files. A packet is (nanoseconds after T0, bytes) or (…, bytes, wire length)."""
import struct

T0 = 1_700_000_000          # 2023-11-14T22:13:20Z
SECOND = 1_000_000_000
ETHERNET, RAW = 1, 101


def at(seconds, nanoseconds=0):
    return seconds * SECOND + nanoseconds


def burst(*frames):
    """Packets a millisecond apart, the first at T0."""
    return [(number * 1_000_000, frame) for number, frame in enumerate(frames)]


def wire_length(packet):
    return packet[2] if len(packet) > 2 else len(packet[1])


def pcap(packets, link=ETHERNET, order="<", nano=True, modified=False):
    magic = 0xa1b2cd34 if modified else 0xa1b23c4d if nano else 0xa1b2c3d4
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    unit = 1 if nano and not modified else 1000
    for packet in packets:
        when, frame = packet[:2]
        data += struct.pack(order + "IIII", T0 + when // SECOND, when % SECOND // unit,
                            len(frame), wire_length(packet))
        if modified:
            data += struct.pack(order + "IHBB", 2, 0x0800, 0, 0)
        data += frame
    return data


class Pcapng:
    """Blocks of one section; sections are joined with +."""

    def __init__(self, order="<", options=b"", section_length=-1):
        self.order = order
        self.data = b""
        self.block(0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, section_length)
                   + options)

    def block(self, kind, body):
        body += b"\0" * (-len(body) % 4)
        length = struct.pack(self.order + "I", len(body) + 12)
        self.data += struct.pack(self.order + "I", kind) + length + body + length
        return self

    def option(self, code, value):
        return struct.pack(self.order + "HH", code, len(value)) + value \
            + b"\0" * (-len(value) % 4)

    def end(self):
        return self.option(0, b"")

    def interface(self, link=ETHERNET, options=b"", snaplen=0):
        return self.block(1, struct.pack(self.order + "HHI", link, 0, snaplen) + options)

    def enhanced(self, number, ticks, frame, wire=None, options=b""):
        padded = frame + b"\0" * (-len(frame) % 4)
        return self.block(6, struct.pack(
            self.order + "IIIII", number, ticks >> 32, ticks & 0xffffffff, len(frame),
            len(frame) if wire is None else wire) + padded + options)

    def simple(self, frame, wire=None):
        return self.block(3, struct.pack(self.order + "I", len(frame) if wire is None else wire)
                          + frame)

    def obsolete(self, number, ticks, frame):
        return self.block(2, struct.pack(self.order + "HHIIII", number, 0, ticks >> 32,
                                         ticks & 0xffffffff, len(frame), len(frame)) + frame)

    def __add__(self, other):
        joined = Pcapng()
        joined.data = self.data + other.data
        return joined


def crc32(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
    return crc ^ 0xffffffff


def gzipped(data):
    """One deflate block of literals in the fixed code: the same bytes with any zlib (RFC 1951)."""
    bits, count = 3, 3          # final block, fixed code

    def put(code, width):
        nonlocal bits, count
        for position in reversed(range(width)):     # codes are sent highest bit first
            bits |= (code >> position & 1) << count
            count += 1
    for byte in data:
        if byte < 144:
            put(0x30 + byte, 8)
        else:
            put(0x190 + byte - 144, 9)
    put(0, 7)                   # end of block
    deflated = bits.to_bytes((count + 7) // 8, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated \
        + struct.pack("<II", crc32(data), len(data) & 0xffffffff)


def zstandard(data):
    """One frame of one raw block, its size in the frame header (RFC 8878)."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)) \
        + (len(data) << 3 | 1).to_bytes(3, "little") + data

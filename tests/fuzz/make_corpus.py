#!/usr/bin/env python3
"""make_corpus.py: writes the seeds of the capture file fuzzers to corpus/pcap and corpus/pcapng.

Every seed is made here by hand, a few packets each, one for each feature of the format or kind of
damage. Run it after a change; its output is the same every time.
"""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

# Ethernet, IPv4, UDP 192.0.2.1:1000 -> 192.0.2.2:53 with 4 bytes.
PACKET = bytes.fromhex(
    "020000000002020000000001080045000020000100004011f6c8c0000201c0000202"
    "03e80035000c000001020304"
)


def save(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as out:
        out.write(data)


# ---- pcap -------------------------------------------------------------------------------------

def pcap_header(order, magic=0xA1B2C3D4, version=(2, 4), network=1):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 262144, network)


def record(order, seconds, fraction, data=PACKET, caplen=None, wirelen=None, extra=b""):
    caplen = len(data) if caplen is None else caplen
    wirelen = caplen if wirelen is None else wirelen
    return struct.pack(order + "IIII", seconds, fraction, caplen, wirelen) + extra + data


def make_pcap():
    for order, ends in (("<", "le"), (">", "be")):
        for magic, unit in ((0xA1B2C3D4, "us"), (0xA1B23C4D, "ns")):
            save("pcap", f"{ends}-{unit}.pcap", pcap_header(order, magic)
                 + record(order, 1700000000, 1) + record(order, 1700000001, 999999))
    le = pcap_header("<")
    save("pcap", "empty.pcap", le)
    save("pcap", "header-cut.pcap", le[:20])
    save("pcap", "record-cut.pcap", le + record("<", 1, 0) + record("<", 2, 0)[:-7])
    save("pcap", "record-header-cut.pcap", le + record("<", 1, 0) + record("<", 2, 0)[:9])
    save("pcap", "length-absurd.pcap", le + record("<", 1, 0) + record("<", 2, 0, caplen=0x7FFFFFFF))
    save("pcap", "length-large-cut.pcap", le + record("<", 1, 0, caplen=300000))
    save("pcap", "wirelen-zero.pcap", le + record("<", 1, 0, wirelen=0))
    save("pcap", "caplen-zero.pcap", le + record("<", 1, 0, data=b"", wirelen=1500))
    save("pcap", "fraction-large.pcap", le + record("<", 0xFFFFFFFF, 0xFFFFFFFF))
    save("pcap", "null-be.pcap", pcap_header(">", network=0)
         + record(">", 1, 0, data=b"\0\0\0\2" + PACKET[14:]))
    save("pcap", "raw-alias-fcs.pcap", pcap_header("<", network=0x2400000C)
         + record("<", 1, 0, data=PACKET[14:]))
    save("pcap", "version-2.2.pcap", pcap_header("<", version=(2, 2)) + record("<", 1, 0))
    save("pcap", "modified.pcap", pcap_header("<", 0xA1B2CD34)
         + record("<", 1, 0, extra=b"\1\0\0\0\0\x08\0\0"))


# ---- pcapng -----------------------------------------------------------------------------------

def pad(data):
    return data + b"\0" * (-len(data) % 4)


def block(order, kind, body, length=None, trailer=None):
    body = pad(body)
    length = len(body) + 12 if length is None else length
    trailer = length if trailer is None else trailer
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", trailer)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def section(order, length=-1):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length))


def interface(order, linktype=1, snaplen=0, options=b""):
    return block(order, 1, struct.pack(order + "HHI", linktype, 0, snaplen) + options)


def enhanced(order, iface, units, data=PACKET, caplen=None, options=b"", **frame):
    caplen = len(data) if caplen is None else caplen
    return block(order, 6, struct.pack(order + "IIIII", iface, units >> 32, units & 0xFFFFFFFF,
                                       caplen, len(data)) + pad(data) + options, **frame)


def simple(order, wirelen=len(PACKET), data=PACKET):
    return block(order, 3, struct.pack(order + "I", wirelen) + data)


def obsolete(order, iface, units, data=PACKET):
    return block(order, 2, struct.pack(order + "HHIIII", iface, 0, units >> 32, units & 0xFFFFFFFF,
                                       len(data), len(data)) + data)


def make_pcapng():
    units = 1700000000123456
    for order, ends in (("<", "le"), (">", "be")):
        begin = section(order) + interface(order)
        save("pcapng", f"{ends}-enhanced.pcapng", begin + 2 * enhanced(order, 0, units))
        save("pcapng", f"{ends}-simple.pcapng", begin + simple(order) + simple(order, 9))
        save("pcapng", f"{ends}-obsolete.pcapng", begin + obsolete(order, 0, units))
        resolutions = b"".join(
            interface(order, options=option(order, 9, bytes([r])) + option(order, 0, b""))
            for r in (0, 3, 9, 12, 30, 127, 0x80, 0x8A, 0xA0, 0xFF))
        save("pcapng", f"{ends}-resolutions.pcapng", section(order) + resolutions
             + b"".join(enhanced(order, i, units) for i in range(10)))
        save("pcapng", f"{ends}-offset.pcapng", section(order) + b"".join(
            interface(order, options=option(order, 14, struct.pack(order + "q", offset)))
            for offset in (1000, -1000, -1 << 63, (1 << 63) - 1))
            + b"".join(enhanced(order, i, units) for i in range(4)))
    le = section("<") + interface("<")
    one = enhanced("<", 0, units)
    save("pcapng", "two-sections.pcapng", le + one + section(">") + interface(">", 101)
         + enhanced(">", 0, units, PACKET[14:]))
    save("pcapng", "interfaces.pcapng", le + interface("<", 113) + interface("<", 65000)
         + enhanced("<", 2, units) + enhanced("<", 1, units) + enhanced("<", 3, units))
    save("pcapng", "options.pcapng", section("<") + interface("<", options=option("<", 2, b"eth0")
         + option("<", 12, b"Linux") + option("<", 9, b"\x06") + option("<", 0, b""))
         + enhanced("<", 0, units, options=option("<", 2, b"\1\0\0\0") + option("<", 0, b"")))
    save("pcapng", "unknown-blocks.pcapng", le + block("<", 0xBAD, b"abcdefg") + one
         + block("<", 5, b"\0" * 12) + block("<", 0x80000001, b"") + one)
    save("pcapng", "option-past-end.pcapng", section("<")
         + interface("<", options=struct.pack("<HH", 9, 60000)) + one)
    save("pcapng", "trailer-differs.pcapng", le + enhanced("<", 0, units, trailer=0) + one)
    save("pcapng", "length-odd.pcapng", le + one + enhanced("<", 0, units, length=77) + one)
    save("pcapng", "length-small.pcapng", le + one + enhanced("<", 0, units, length=4) + one)
    save("pcapng", "length-huge.pcapng", le + one + enhanced("<", 0, units, length=0xFFFFFFFC))
    save("pcapng", "caplen-past-block.pcapng", le + enhanced("<", 0, units, caplen=4000) + one)
    save("pcapng", "cut.pcapng", le + one + one[:-5])
    save("pcapng", "no-interface.pcapng", section("<") + one + simple("<"))
    save("pcapng", "section-only.pcapng", section("<"))
    save("pcapng", "interface-short.pcapng", section("<") + block("<", 1, b"\1\0\0\0") + one)
    save("pcapng", "order-magic-bad.pcapng", le + one
         + block("<", 0x0A0D0D0A, b"\1\2\3\4" + b"\0" * 12) + one)
    save("pcapng", "version-2.pcapng", block("<", 0x0A0D0D0A, struct.pack(
        "<IHHq", 0x1A2B3C4D, 2, 0, -1)) + interface("<") + one)


if __name__ == "__main__":
    make_pcap()
    make_pcapng()

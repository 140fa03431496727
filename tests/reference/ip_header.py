"""Reads one IP header from raw bytes, as METERING.md sections 2 to 4 describe it.

The caller says where the header starts; nothing here knows link layers.
"""

from collections import namedtuple

ICMP, TCP, UDP, DCCP, SCTP, UDPLITE, ICMP6 = 1, 6, 17, 33, 132, 136, 58
HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, NO_NEXT, DEST_OPTIONS = 0, 43, 44, 51, 59, 60
JUMBO_OPTION = 0xC2
PORT_PROTOCOLS = (TCP, UDP, DCCP, SCTP, UDPLITE)
WIRE_LENGTH_IF_OVER = 46

# fragment_role is None, "first" or "later"; fragment_key identifies the train.
# icmp_known tells an ICMP packet whose type and code were read.
# tcp_flags is None when no flags were captured.
Ip = namedtuple(
    "Ip",
    "version source destination protocol source_port destination_port icmp_known"
    " tcp_flags tos ttl octets fragment_role fragment_key",
)


def u16(data, offset):
    return int.from_bytes(data[offset:offset + 2], "big")


def u32(data, offset):
    return int.from_bytes(data[offset:offset + 4], "big")


def parse(data, wire_length, claimed_version):
    """The header at the start of data, or None where METERING.md calls it malformed.

    data: captured bytes from the header on; wire_length: how many there were on the wire.
    """
    if not data or data[0] >> 4 != claimed_version:
        return None
    return parse4(data, wire_length) if claimed_version == 4 else parse6(data, wire_length)


def parse4(data, wire_length):
    if len(data) < 20:
        return None
    header = (data[0] & 15) * 4
    total = u16(data, 2)
    if header < 20 or 0 < total < header:
        return None
    octets = total or wire_length
    protocol = data[9]
    source, destination = data[12:16], data[16:20]
    offset, more = u16(data, 6) & 0x1FFF, data[6] & 0x20
    role = "later" if offset else "first" if more else None
    key = (4, source, destination, protocol, u16(data, 4)) if role else None
    upper = b"" if offset else data[header:octets]
    return Ip(4, source, destination, protocol, *transport(4, protocol, upper),
              tos=data[1], ttl=data[8], octets=octets, fragment_role=role, fragment_key=key)


def parse6(data, wire_length):
    if len(data) < 40:
        return None
    source, destination = data[8:24], data[24:40]
    octets = octets6(data, wire_length)
    protocol, offset, role, ident = walk6(data[:octets])
    key = (6, source, destination, ident) if role else None
    upper = b"" if offset is None else data[offset:octets]
    return Ip(6, source, destination, protocol, *transport(6, protocol, upper),
              tos=u16(data, 0) >> 4 & 255, ttl=data[7], octets=octets,
              fragment_role=role, fragment_key=key)


def octets6(data, wire_length):
    payload, next_header = u16(data, 4), data[6]
    if payload:
        return 40 + payload
    jumbo = jumbo_length(data) if next_header == HOP_BY_HOP else None
    if jumbo is not None:
        return 40 + jumbo
    if next_header != NO_NEXT and wire_length > WIRE_LENGTH_IF_OVER:
        return wire_length
    return 40


def jumbo_length(data):
    """The jumbo payload length in the hop-by-hop header after the fixed one, else None."""
    if len(data) < 42:
        return None
    end = min(40 + (data[41] + 1) * 8, len(data))
    at = 42
    while at < end:
        if data[at] == 0:  # Pad1 has no length byte
            at += 1
            continue
        if data[at] == JUMBO_OPTION and at + 6 <= end and data[at + 1] == 4:
            return u32(data, at + 2)
        if at + 1 >= end:
            return None
        at += 2 + data[at + 1]
    return None


def walk6(data):
    """Protocol, offset of its header (None when not there), fragment role and identification."""
    protocol, at, role, ident = data[6], 40, None, None
    while protocol in (HOP_BY_HOP, ROUTING, FRAGMENT, DEST_OPTIONS, AUTH):
        if protocol == FRAGMENT:
            if at + 8 > len(data):
                return protocol, None, role, ident
            bits = u16(data, at + 2)
            if bits & 0xFFF8:
                return data[at], None, "later", u32(data, at + 4)
            if bits & 1:
                role, ident = "first", u32(data, at + 4)
            protocol, at = data[at], at + 8
            continue
        if at + 2 > len(data):
            return protocol, None, role, ident
        size = (data[at + 1] + 2) * 4 if protocol == AUTH else (data[at + 1] + 1) * 8
        protocol, at = data[at], at + size
    return protocol, at, role, ident


def is_icmp(version, protocol):
    return (version, protocol) in ((4, ICMP), (6, ICMP6))


def transport(version, protocol, upper):
    """Source port, destination port, icmp_known, tcp_flags from the upper-layer header."""
    if is_icmp(version, protocol):
        return (0, u16(upper, 0), True, None) if len(upper) >= 2 else (0, 0, False, None)
    if protocol not in PORT_PROTOCOLS or len(upper) < 4:
        return 0, 0, False, None
    flags = None
    if protocol == TCP and len(upper) >= 14:
        flags = u16(upper, 12) & 0x1FF  # NS is the ninth bit
    return u16(upper, 0), u16(upper, 2), False, flags

"""Bytes of packets, from the inside out: each function wraps what it is given in one header.

Checksums are right, so that a dissector has nothing to complain about. Nothing here knows weir.
"""
import socket
import struct

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, NS = 1, 2, 4, 8, 16, 32, 64, 128, 256

A4, B4, C4 = "10.0.0.1", "10.0.0.2", "10.0.0.3"
A6, B6, C6 = "2001:db8::1", "2001:db8::2", "2001:db8::3"
OUT_A4, OUT_B4 = "192.0.2.1", "192.0.2.2"
OUT_A6, OUT_B6 = "2001:db8:ffff::1", "2001:db8:ffff::2"
MAC_A, MAC_B, MAC_C, MAC_D = (bytes.fromhex("02000000000" + n) for n in "abcd")


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def transport_checksum(src, dst, protocol, data):
    pseudo = address(src) + address(dst) + struct.pack(">II", len(data), protocol)
    return checksum(pseudo + data) or 0xffff


def patch16(data, offset, value):
    return data[:offset] + struct.pack(">H", value) + data[offset + 2:]


# IP

def ip4(src, dst, protocol, payload=b"", tos=0, ttl=64, ident=1, more=False, offset=0,
        options=b"", length=None, ihl=None, version=4):
    header_length = 20 + len(options)
    if length is None:
        length = header_length + len(payload)
    if ihl is None:
        ihl = header_length // 4
    header = struct.pack(">BBHHHBBH", version << 4 | ihl, tos, length, ident,
                         (0x2000 if more else 0) | offset // 8, ttl, protocol, 0)
    header += address(src) + address(dst) + options
    return patch16(header, 10, checksum(header)) + payload


def ip6(src, dst, next_header, payload=b"", tos=0, ttl=64, length=None, version=6):
    if length is None:
        length = len(payload)
    return struct.pack(">IHBB", version << 28 | tos << 20, length, next_header, ttl) \
        + address(src) + address(dst) + payload


def ip(src, dst, protocol, payload=b"", **fields):
    return (ip6 if ":" in src else ip4)(src, dst, protocol, payload, **fields)


# IPv6 extension headers: each takes the number of what follows, and what follows

def options6(next_header, payload, options=b"\x01\x04\0\0\0\0"):
    """Hop-by-hop or destination options; the default is six bytes of padding."""
    return bytes([next_header, (len(options) + 2) // 8 - 1]) + options + payload


def routing6(next_header, payload, via):
    return struct.pack(">BBBBI", next_header, 2, 0, 0, 0) + address(via) + payload


def fragment6(next_header, payload, ident=1, more=False, offset=0):
    return struct.pack(">BBHI", next_header, 0, offset | more, ident) + payload


def auth(next_header, payload):
    """AH with a 12-byte ICV: 24 bytes, told as 4 (4-byte units minus 2)."""
    return struct.pack(">BBHII", next_header, 4, 0, 0x100, 1) + b"\xa5" * 12 + payload


# Transport

def udp_segment(src, dst, sport, dport, payload=b"12345678", length=None):
    segment = struct.pack(">HHHH", sport, dport, length or 8 + len(payload), 0) + payload
    return patch16(segment, 6, transport_checksum(src, dst, UDP, segment))


def tcp_segment(src, dst, sport, dport, flags, payload=b"", seq=1000, ack=0):
    segment = struct.pack(">HHIIHHHH", sport, dport, seq, ack, 5 << 12 | flags, 65535, 0, 0)
    segment += payload
    return patch16(segment, 16, transport_checksum(src, dst, TCP, segment))


def summed(src, dst, protocol, data, offset):
    """Any header whose checksum covers the pseudo-header, put in at the offset."""
    return patch16(data, offset, transport_checksum(src, dst, protocol, data))


def icmp_message(kind, code=0, rest=b"\0\x07\0\x01" + b"12345678"):
    message = struct.pack(">BBH", kind, code, 0) + rest
    return patch16(message, 2, checksum(message))


def icmp6_message(src, dst, kind, code=0, rest=b"\0\x07\0\x01" + b"12345678"):
    message = struct.pack(">BBH", kind, code, 0) + rest
    return patch16(message, 2, transport_checksum(src, dst, ICMP6, message))


# Whole IP packets

def udp(src=A4, dst=B4, sport=1000, dport=2000, payload=b"12345678", **fields):
    """36 octets over IPv4, 56 over IPv6, with the default payload."""
    return ip(src, dst, UDP, udp_segment(src, dst, sport, dport, payload), **fields)


def tcp(src=A4, dst=B4, sport=1000, dport=80, flags=ACK, payload=b"", **fields):
    """40 octets over IPv4, 60 over IPv6, without payload."""
    return ip(src, dst, TCP, tcp_segment(src, dst, sport, dport, flags, payload), **fields)


def icmp(src=A4, dst=B4, kind=8, code=0):
    """Echo has 36 octets; unreachable, with the header it is about, 56; timestamp 40; mask 32; information 28."""
    ident = b"\0\x07\0\x01"
    rest = {3: b"\0\0\0\0" + udp(dst, src)[:28], 13: ident + b"\0" * 12, 14: ident + b"\0" * 12,
            15: ident, 16: ident, 17: ident + b"\0" * 4, 18: ident + b"\0" * 4}
    return ip4(src, dst, ICMP, icmp_message(kind, code, rest.get(kind, ident + b"12345678")))


def icmp6(src=A6, dst=B6, kind=128, code=0):
    """Echo has 56 octets, neighbour discovery 64."""
    rest = {135: b"\0\0\0\0" + address(dst), 136: b"\x40\0\0\0" + address(src)}
    return ip6(src, dst, ICMP6, icmp6_message(
        src, dst, kind, code, rest.get(kind, b"\0\x07\0\x01" + b"12345678")),
        ttl=255 if kind in rest else 64)


U4 = udp()
U6 = udp(A6, B6)


# Link layers and shims

def ethertype_of(packet):
    return 0x86dd if packet[0] >> 4 == 6 else 0x0800


def eth(payload, ethertype=None, src=MAC_A, dst=MAC_B, pad=True):
    """Ethernet II; padded to 60 bytes as a sender does."""
    if ethertype is None:
        ethertype = ethertype_of(payload)
    frame = dst + src + struct.pack(">H", ethertype) + payload
    return frame.ljust(60, b"\0") if pad else frame


def vlan(tags, payload, ethertype=None):
    """Tags are (tpid, vlan id), outermost first. Gives the first TPID and what is behind it."""
    if ethertype is None:
        ethertype = ethertype_of(payload)
    for tpid, ident in reversed(tags):
        payload = struct.pack(">HH", ident, ethertype) + payload
        ethertype = tpid
    return payload, ethertype


def tagged(tags, payload, ethertype=None, **fields):
    return eth(*vlan(tags, payload, ethertype), **fields)


def ieee8023(payload, src=MAC_A, dst=MAC_B):
    frame = dst + src + struct.pack(">H", len(payload)) + payload
    return frame.ljust(60, b"\0")


def snap(payload, ethertype=None):
    if ethertype is None:
        ethertype = ethertype_of(payload)
    return b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", ethertype) + payload


def mpls(labels, payload):
    for position, label in enumerate(reversed(labels)):
        payload = struct.pack(">I", label << 12 | (position == 0) << 8 | 64) + payload
    return payload


def pppoe(ppp_protocol, payload, code=0):
    inside = struct.pack(">H", ppp_protocol) + payload
    return struct.pack(">BBHH", 0x11, code, 7, len(inside)) + inside


def sll(payload, ethertype=None):
    if ethertype is None:
        ethertype = ethertype_of(payload)
    return struct.pack(">HHH", 0, 1, 6) + MAC_A + b"\0\0" + struct.pack(">H", ethertype) + payload


def sll2(payload, ethertype=None):
    if ethertype is None:
        ethertype = ethertype_of(payload)
    return struct.pack(">HHIHBB", ethertype, 0, 3, 1, 0, 6) + MAC_A + b"\0\0" + payload


def wlan(payload, to_ds=True, from_ds=False, subtype=0, protected=False, order=False,
         behind_header=b""):
    """An 802.11 data frame; subtype 8 is QoS data, 4 is null function."""
    flags = to_ds | from_ds << 1 | protected << 6 | order << 7
    header = bytes([subtype << 4 | 0x08, flags]) + b"\0\0" + MAC_B + MAC_A + MAC_C + b"\x10\0"
    if to_ds and from_ds:
        header += MAC_D
    if subtype & 8:
        header += b"\0\0"
        if order:
            header += b"\0\0\0\0"
    return header + behind_header + payload


def radiotap(frame, flags=None):
    """Without flags: the eight-byte header that tells nothing."""
    if flags is None:
        return struct.pack("<BBHI", 0, 0, 8, 0) + frame
    return struct.pack("<BBHIBB", 0, 0, 10, 1 << 1 | 1 << 2, flags, 2) + frame


def ppi(frame, dlt=105):
    return struct.pack("<BBHI", 0, 0, 8, dlt) + frame


def nflog(packet, order="<"):
    def tlv(kind, value):
        return struct.pack(order + "HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
    family = 10 if packet[0] >> 4 == 6 else 2
    return bytes([family, 0]) + struct.pack(">H", 5) \
        + tlv(1, struct.pack(">HBB", ethertype_of(packet), 3, 0)) + tlv(10, b"weir\0") \
        + tlv(9, packet)


def frame_relay(behind_address, dlci=100):
    return bytes([(dlci >> 4) << 2, (dlci & 15) << 4 | 1]) + behind_address


def hdlc(payload, ethertype=None, address_byte=0x0f):
    if ethertype is None:
        ethertype = ethertype_of(payload)
    return bytes([address_byte, 0]) + struct.pack(">H", ethertype) + payload


# Wrappers

def gre(ethertype, payload, check=False, key=None, sequence=None):
    flags = check << 15 | (key is not None) << 13 | (sequence is not None) << 12
    header = struct.pack(">HH", flags, ethertype)
    rest = b""
    if key is not None:
        rest += struct.pack(">I", key)
    if sequence is not None:
        rest += struct.pack(">I", sequence)
    if check:
        value = checksum(header + b"\0\0\0\0" + rest + payload)
        rest = struct.pack(">HH", value, 0) + rest
    return header + rest + payload


def erspan1(frame):
    return gre(0x88be, frame)


def erspan2(frame):
    return gre(0x88be, struct.pack(">HHI", 1 << 12 | 100, 0x0005, 0) + frame, sequence=1)


def erspan3(frame, platform=False):
    header = struct.pack(">HHIHH", 2 << 12 | 100, 0x0005, 1000, 0, platform)
    if platform:
        header += bytes([1 << 2]) + b"\0" * 7
    return gre(0x22eb, header + frame, sequence=1)


def vxlan(frame, vni=42):
    return struct.pack(">BBHI", 8, 0, 0, vni << 8) + frame


def geneve(ethertype, payload, options=b"", vni=42):
    return struct.pack(">BBHI", len(options) // 4, 0, ethertype, vni << 8) + options + payload


def gtpu(payload, kind=255, extensions=(), sequence=None):
    """Extensions are (type, content); content and its two length bytes fill units of four."""
    optional = b""
    if extensions or sequence is not None:
        types = [kind_ for kind_, _ in extensions] + [0]
        optional = struct.pack(">HBB", sequence or 0, 0, types[0])
        for (_, content), following in zip(extensions, types[1:]):
            optional += bytes([(len(content) + 2) // 4]) + content + bytes([following])
    flags = 0x30 | bool(extensions) << 2 | (sequence is not None) << 1
    return struct.pack(">BBHI", flags, kind, len(optional) + len(payload), 0x1234) \
        + optional + payload


def tzsp(frame, tags=b"", protocol=1):
    return struct.pack(">BBH", 1, 0, protocol) + tags + b"\x01" + frame


def l2tp(ppp_frame, optional=False):
    """A version 2 data message; the optional form has length, Ns/Nr, offset and priority."""
    if not optional:
        return struct.pack(">HHH", 0x0002, 7, 8) + ppp_frame
    rest = struct.pack(">HHHHH", 7, 8, 1, 0, 2) + b"\0\0" + ppp_frame
    return struct.pack(">HH", 0x4b02, 4 + len(rest)) + rest


def outer_udp(port, payload, sport=5000):
    return udp(OUT_A4, OUT_B4, sport, port, payload)

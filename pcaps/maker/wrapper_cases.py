"""Tunnels: metered by their outer header unless `decapsulate` lists them."""
import struct

from .case import case, expect, flow
from .files import burst, pcap
from .packets import *

V4 = flow(A4, B4, UDP, 1000, 2000, (1, 36))
V6 = flow(A6, B6, UDP, 1000, 2000, (1, 56))
GRE, IPIP, IN6 = 47, 4, 41


def outer(packets, octets, protocol=GRE, sport=0, dport=0, **more):
    return flow(OUT_A4, OUT_B4, protocol, sport, dport, (packets, octets), **more)


def wrapped(name, shows, wrapper, frames, outside, inside):
    """One file, metered without and with `decapsulate`."""
    case(name, shows, pcap(burst(*frames)), expect(outside),
         expect(inside, cmd=["--decapsulate", wrapper], variant="inside"))


def in_gre(payload, **fields):
    return eth(ip4(OUT_A4, OUT_B4, GRE, payload, **fields))


# Inside each: Ethernet without padding (14) + IPv4 (36) = 50, IPv6 (56) = 70.
FRAME4 = eth(U4, pad=False)
FRAME6 = eth(U6, pad=False)

wrapped("wrap-erspan1.pcap", "ERSPAN type I: no sequence number, no ERSPAN header", "erspan",
        [in_gre(erspan1(FRAME4))], [outer(1, 20 + 4 + 50)], [V4])
wrapped("wrap-erspan2.pcap", "ERSPAN type II", "erspan",
        [in_gre(erspan2(FRAME4))], [outer(1, 20 + 8 + 8 + 50)], [V4])
wrapped("wrap-erspan3.pcap", "ERSPAN type III, without and with the platform subheader", "erspan",
        [in_gre(erspan3(FRAME4)), in_gre(erspan3(FRAME6, platform=True))],
        [outer(2, (20 + 8 + 12 + 50) + (20 + 8 + 12 + 8 + 70))], [V4, V6])
wrapped("wrap-erspan-vlan.pcap", "ERSPAN type II around a tagged frame: the mirrored frame's VLAN counts",
        "erspan", [in_gre(erspan2(tagged([(0x8100, 100)], U4, pad=False)))],
        [outer(1, 20 + 8 + 8 + 54)], [V4])

wrapped("wrap-gre.pcap", "GRE: bare; with checksum, key and sequence number; IPv6; Ethernet inside", "gre",
        [in_gre(gre(0x0800, U4)),
         in_gre(gre(0x0800, U4, check=True, key=7, sequence=1)),
         in_gre(gre(0x86dd, U6, key=7)),
         in_gre(gre(0x6558, FRAME4))],
        [outer(4, (24 + 36) + (36 + 36) + (28 + 56) + (24 + 50))],
        [flow(A4, B4, UDP, 1000, 2000, (3, 108)), V6])
wrapped("wrap-gre-no-ip.pcap", "GRE whose inside cannot be decoded: a version nibble of 15; an unknown "
        "protocol; nothing", "gre",
        [in_gre(gre(0x0800, b"\xff" * 36)), in_gre(gre(0x88b5, U4)), in_gre(b"\0\0\x08\0")],
        [outer(3, 60 + 60 + 24)], [outer(3, 60 + 60 + 24)])

wrapped("wrap-vxlan.pcap", "VXLAN", "vxlan",
        [eth(outer_udp(4789, vxlan(FRAME4))), eth(outer_udp(4789, vxlan(FRAME6)))],
        [outer(2, 36 + 50 + 36 + 70, UDP, 5000, 4789)], [V4, V6])
wrapped("wrap-geneve.pcap", "Geneve: Ethernet inside, bare IP inside, with options", "geneve",
        [eth(outer_udp(6081, geneve(0x6558, FRAME4))),
         eth(outer_udp(6081, geneve(0x0800, U4))),
         eth(outer_udp(6081, geneve(0x6558, FRAME6, b"\x01\x02\x03\x01abcd")))],
        [outer(3, 36 + 50 + 36 + 36 + 44 + 70, UDP, 5000, 6081)],
        [flow(A4, B4, UDP, 1000, 2000, (2, 72)), V6])

wrapped("wrap-4in4.pcap", "IPv4 in IPv4", "ipip",
        [eth(ip4(OUT_A4, OUT_B4, IPIP, U4))], [outer(1, 56, IPIP)], [V4])
wrapped("wrap-6in4.pcap", "IPv6 in IPv4", "ipip",
        [eth(ip4(OUT_A4, OUT_B4, IN6, U6))], [outer(1, 76, IN6)], [V6])
wrapped("wrap-4in6.pcap", "IPv4 in IPv6", "ipip",
        [eth(ip6(OUT_A6, OUT_B6, IPIP, U4))], [flow(OUT_A6, OUT_B6, IPIP, 0, 0, (1, 76))], [V4])
wrapped("wrap-6in6.pcap", "IPv6 in IPv6, behind a destination options header", "ipip",
        [eth(ip6(OUT_A6, OUT_B6, 60, options6(IN6, U6)))],
        [flow(OUT_A6, OUT_B6, IN6, 0, 0, (1, 104))], [V6])

wrapped("wrap-gtpu.pcap", "GTP-U: bare, with sequence number, with one and two extension headers", "gtpu",
        [eth(outer_udp(2152, gtpu(U4))),
         eth(outer_udp(2152, gtpu(U4, sequence=9))),
         eth(outer_udp(2152, gtpu(U6, extensions=[(0x85, b"\x10\x05")]))),
         eth(outer_udp(2152, gtpu(U6, extensions=[(0x85, b"\x10\x05"), (0x40, b"\x08\x68")])))],
        [outer(4, (36 + 36) + (40 + 36) + (44 + 56) + (48 + 56), UDP, 5000, 2152)],
        [flow(A4, B4, UDP, 1000, 2000, (2, 72)), flow(A6, B6, UDP, 1000, 2000, (2, 112))])
wrapped("wrap-gtpu-echo.pcap", "a GTP-U echo request carries nothing: metered by its outer header", "gtpu",
        [eth(outer_udp(2152, gtpu(b"", kind=1, sequence=1)))],
        [outer(1, 28 + 12, UDP, 5000, 2152)], [outer(1, 28 + 12, UDP, 5000, 2152)])

wrapped("wrap-tzsp.pcap", "TZSP: no tags; a padding tag and one with a value", "tzsp",
        [eth(outer_udp(37008, tzsp(FRAME4))),
         eth(outer_udp(37008, tzsp(FRAME6, b"\x00\x0a\x01\x30")))],
        [outer(2, 28 + 5 + 50 + 28 + 9 + 70, UDP, 5000, 37008)], [V4, V6])

wrapped("wrap-l2tp.pcap", "L2TP data: bare; with length, sequence, offset and priority", "l2tp",
        [eth(udp(OUT_A4, OUT_B4, 1701, 1701, l2tp(b"\xff\x03\0\x21" + U4))),
         eth(udp(OUT_A4, OUT_B4, 1701, 1701, l2tp(b"\xff\x03\0\x57" + U6, optional=True)))],
        [outer(2, 28 + 6 + 4 + 36 + 28 + 16 + 4 + 56, UDP, 1701, 1701)], [V4, V6])
L2TP_HELLO = struct.pack(">HHHHHH", 0xc802, 20, 7, 0, 1, 1) \
    + struct.pack(">HHHH", 0x8008, 0, 0, 6)
wrapped("wrap-l2tp-control.pcap", "an L2TP control message carries nothing", "l2tp",
        [eth(udp(OUT_A4, OUT_B4, 1701, 1701, L2TP_HELLO))],
        [outer(1, 28 + 20, UDP, 1701, 1701)], [outer(1, 28 + 20, UDP, 1701, 1701)])

TEREDO_A, TEREDO_B = "2001:0:c000:201:0:f000:3f57:fefe", B6
IN_TEREDO = udp(TEREDO_A, TEREDO_B)
TEREDO_AUTH = b"\0\x01\x02\x03" + b"id" + b"key" + b"\x01\x02\x03\x04\x05\x06\x07\x08" + b"\0"
TEREDO_ORIGIN = b"\0\0" + struct.pack(">H", 1000 ^ 0xffff) \
    + bytes(byte ^ 0xff for byte in address(OUT_A4))
wrapped("wrap-teredo.pcap", "Teredo: bare, behind an origin, behind an authentication, behind both", "teredo",
        [eth(outer_udp(3544, indication + IN_TEREDO)) for indication in
         (b"", TEREDO_ORIGIN, TEREDO_AUTH, TEREDO_AUTH + TEREDO_ORIGIN)],
        [outer(4, 84 + (84 + 8) + (84 + 18) + (84 + 26), UDP, 5000, 3544)],
        [flow(TEREDO_A, TEREDO_B, UDP, 1000, 2000, (4, 224))])
wrapped("wrap-teredo-bubble.pcap", "a Teredo bubble: an IPv6 header with no next header (59)", "teredo",
        [eth(outer_udp(3544, ip6(TEREDO_A, TEREDO_B, 59)))],
        [outer(1, 28 + 40, UDP, 5000, 3544)], [flow(TEREDO_A, TEREDO_B, 59, 0, 0, (1, 40))])

NESTED = in_gre(gre(0x0800, udp(C4, B4, 5000, 4789, vxlan(FRAME4))))
case("wrap-nested.pcap", "VXLAN in GRE: what is looked through is what is listed, from the outside in",
     pcap(burst(NESTED)),
     expect([outer(1, 24 + 36 + 50)]),
     expect([flow(C4, B4, UDP, 5000, 4789, (1, 86))], cmd=["--decapsulate", "gre"],
            variant="gre"),
     expect([outer(1, 24 + 36 + 50)], cmd=["--decapsulate", "vxlan"], variant="vxlan"),
     expect([V4], cmd=["--decapsulate", "gre,vxlan"], variant="both"))
case("wrap-in-tags.pcap", "a wrapper behind an 802.1Q tag, and tags and MPLS inside the wrapper",
     pcap(burst(tagged([(0x8100, 5)], outer_udp(
         4789, vxlan(tagged([(0x8100, 6)], mpls([16], U4), 0x8847, pad=False)))))),
     expect([outer(1, 36 + 18 + 4 + 36, UDP, 5000, 4789, vlanId=5)]),
     expect([V4], cmd=["--decapsulate", "vxlan"], variant="inside"))

"""Extension headers, lengths, and IP headers that are cut or cannot be believed."""
import struct

from .case import case, expect, flow
from .files import burst, pcap
from .packets import *

AH, ESP, HIP, SHIM6, MOBILITY, NO_NEXT = 51, 50, 139, 140, 135, 59
HOP, ROUTING, FRAGMENT, OPTIONS = 0, 43, 44, 60
SEGMENT = udp_segment(A6, B6, 1000, 2000)          # 16 octets


def one6(name, shows, packet, protocol, octets, ports=(0, 0)):
    case(name, shows, pcap(burst(eth(packet))),
         expect([flow(A6, B6, protocol, *ports, (1, octets))]))


PORTS = (1000, 2000)
one6("ip6-hop-by-hop.pcap", "hop-by-hop options are walked",
     ip6(A6, B6, HOP, options6(UDP, SEGMENT)), UDP, 64, PORTS)
one6("ip6-routing.pcap", "a routing header is walked; the address is the header's",
     ip6(A6, B6, ROUTING, routing6(UDP, SEGMENT, C6)), UDP, 80, PORTS)
one6("ip6-atomic-fragment.pcap", "a fragment header of a packet that is whole",
     ip6(A6, B6, FRAGMENT, fragment6(UDP, SEGMENT)), UDP, 64, PORTS)
one6("ip6-destination-options.pcap", "destination options are walked, here 16 bytes of them",
     ip6(A6, B6, OPTIONS, options6(UDP, SEGMENT, b"\x01\x0c" + b"\0" * 12)), UDP, 72, PORTS)
one6("ip6-ah.pcap", "AH is walked: its length counts four-byte units, minus two",
     ip6(A6, B6, AH, auth(UDP, SEGMENT)), UDP, 80, PORTS)
one6("ip6-all-extensions.pcap", "hop-by-hop, destination options, routing, fragment, AH, destination options",
     ip6(A6, B6, HOP, options6(OPTIONS, options6(ROUTING, routing6(FRAGMENT, fragment6(
         AH, auth(OPTIONS, options6(UDP, SEGMENT))), C6)))), UDP, 40 + 8 + 8 + 24 + 8 + 24 + 8 + 16,
     PORTS)
one6("ip6-ah-esp.pcap", "AH, then ESP, which ends the walk",
     ip6(A6, B6, AH, auth(ESP, b"\0\0\x01\0\0\0\0\x01" + b"\x5a" * 24)), ESP, 96)
one6("ip6-mobility.pcap", "a mobility header ends the walk and is the protocol",
     ip6(A6, B6, MOBILITY, b"\x3b\0\0\0\0\0\0\0"), MOBILITY, 48)
one6("ip6-hip.pcap", "HIP ends the walk and is the protocol",
     ip6(A6, B6, HIP, summed(A6, B6, HIP, b"\x3b\x04\x01\x11\0\0\0\0" + b"\x11" * 32, 4)), HIP, 80)
one6("ip6-shim6.pcap", "shim6 ends the walk and is the protocol",
     ip6(A6, B6, SHIM6, b"\x3b\0\x80\0\0\0\0\x01"), SHIM6, 48)
one6("ip6-esp.pcap", "ESP ends the walk and is the protocol",
     ip6(A6, B6, ESP, b"\0\0\x01\0\0\0\0\x01" + b"\x5a" * 24), ESP, 72)
one6("ip6-no-next-header.pcap", "no next header (59) is the protocol",
     ip6(A6, B6, OPTIONS, options6(NO_NEXT, b"")), NO_NEXT, 48)
one6("ip6-unknown-header.pcap", "a next header nobody knows (253) is the protocol",
     ip6(A6, B6, 253, b"\x3b\0\0\0\0\0\0\0" + SEGMENT), 253, 64)

case("ip4-ah.pcap", "in IPv4, AH is the protocol",
     pcap(burst(eth(ip4(A4, B4, AH, auth(UDP, udp_segment(A4, B4, 1000, 2000)))))),
     expect([flow(A4, B4, AH, 0, 0, (1, 60))]))
case("ip4-options.pcap", "IPv4 options are stepped over",
     pcap(burst(eth(udp(options=b"\x94\x04\0\0")), eth(udp(options=b"\x01" * 40)))),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 40 + 76))]))

# Lengths

case("bytes-padding.pcap", "Ethernet padding and a trailer are no octets",
     pcap(burst(eth(udp(payload=b"1")), eth(udp(payload=b"1")) + b"\xde\xad\xbe\xef",
                eth(udp(A6, B6, payload=b"1")) + b"\0" * 9)),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 58)), flow(A6, B6, UDP, 1000, 2000, (1, 49))]))
case("bytes-snapshot.pcap", "60 bytes captured of 1514: octets are the IP header's",
     pcap([(0, eth(udp(payload=b"x" * 1472))[:60], 1514)]),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 1500))]))
case("bytes-longer-than-frame.pcap", "an IP length greater than the frame's is believed",
     pcap(burst(eth(udp(length=1000)), eth(udp(A6, B6, length=1000)))),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 1000)), flow(A6, B6, UDP, 1000, 2000, (1, 1040))]))

TSO4 = eth(tcp(payload=b"x" * 3000, length=0))
case("bytes-ip4-length-0.pcap", "IPv4 total length 0 (segmentation offload): wire length minus what is "
     "before the IP header, tagged and not",
     pcap([(0, TSO4[:100], len(TSO4)),
           (1, tagged([(0x8100, 5)], tcp(C4, B4, payload=b"x" * 2000, length=0))[:100],
            14 + 4 + 2040)]),
     expect([flow(A4, B4, TCP, 1000, 80, (1, 3040)), flow(C4, B4, TCP, 1000, 80, (1, 2040))]))
TSO6 = eth(tcp(A6, B6, payload=b"x" * 3000, length=0))
case("bytes-ip6-length-0.pcap", "IPv6 payload length 0 with much behind: segmentation offload",
     pcap([(0, TSO6[:100], len(TSO6))]),
     expect([flow(A6, B6, TCP, 1000, 80, (1, 3060))]))
case("bytes-ip6-length-0-padding.pcap", "IPv6 payload length 0 and 46 bytes from the IP header on: padding",
     pcap(burst(eth(ip6(A6, B6, UDP)))),
     expect([flow(A6, B6, UDP, 0, 0, (1, 40))]))
case("bytes-ip6-length-0-47.pcap", "IPv6 payload length 0 and 47 bytes from the IP header on: offload",
     pcap(burst(eth(ip6(A6, B6, UDP, SEGMENT[:7], length=0), pad=False))),
     expect([flow(A6, B6, UDP, 1000, 2000, (1, 47))]))
case("bytes-ip6-length-0-no-next.pcap", "IPv6 payload length 0 with no next header: 40, whatever follows",
     pcap(burst(eth(ip6(A6, B6, NO_NEXT, b"\0" * 100, length=0)))),
     expect([flow(A6, B6, NO_NEXT, 0, 0, (1, 40))]))
case("bytes-ip6-jumbo.pcap", "a jumbo payload option counts, though 200 bytes of it were captured",
     pcap([(0, eth(ip6(A6, B6, HOP, options6(UDP, udp_segment(A6, B6, 1000, 2000, b"x" * 200),
                                             b"\xc2\x04" + struct.pack(">I", 70000)), length=0))[:200],
            14 + 40 + 70000)]),
     expect([flow(A6, B6, UDP, 1000, 2000, (1, 70040))]))
case("bytes-ip6-jumbo-second.pcap", "a jumbo option that is not the first of the hop-by-hop header",
     pcap([(0, eth(ip6(A6, B6, HOP, options6(
         UDP, SEGMENT, b"\x05\x02\0\0" + b"\x01\0" + b"\xc2\x04" + struct.pack(">I", 65600)
         + b"\x01\0"), length=0)), 14 + 40 + 65600)]),
     expect([flow(A6, B6, UDP, 1000, 2000, (1, 65640))]))

# IP headers that cannot be believed

case("bad-version.pcap", "the version nibble does not fit what the frame says: 6 in 0x0800, 4 in 0x86dd, 5",
     pcap(burst(eth(U6, 0x0800), eth(udp(payload=b"x" * 40), 0x86dd), eth(udp(version=5), 0x0800),
                eth(udp(A6, B6, version=7), 0x86dd))),
     expect([], malformed=4))
case("bad-version-raw.pcap", "raw IP with version 5 and 0",
     pcap(burst(udp(version=5), udp(version=0)), 101), expect([], malformed=2))
case("bad-ihl.pcap", "IPv4 header length of less than five words",
     pcap(burst(eth(udp(ihl=4), 0x0800), eth(udp(ihl=0), 0x0800))), expect([], malformed=2))
case("bad-total-length.pcap", "IPv4 total length smaller than the header: 19 of 20, 23 of 24, 1",
     pcap(burst(eth(udp(length=19)), eth(udp(length=23, options=b"\x94\x04\0\0")),
                eth(udp(length=1)))),
     expect([], malformed=3))
case("header-only.pcap", "a total length of just the header is a packet, of protocol and no ports",
     pcap(burst(eth(ip4(A4, B4, UDP)))), expect([flow(A4, B4, UDP, 0, 0, (1, 20))]))

# IP and transport headers that are cut


def cut_frame(frame, captured, number=0):
    return (number, frame[:captured], len(frame))


case("cut-ip4.pcap", "captured bytes end inside the IPv4 header: 19, 1 and 0 of 20",
     pcap([cut_frame(eth(U4), 14 + n) for n in (19, 1, 0)]), expect([], malformed=3))
case("cut-ip6.pcap", "captured bytes end inside the IPv6 header: 39, 1 and 0 of 40",
     pcap([cut_frame(eth(U6), 14 + n) for n in (39, 1, 0)]), expect([], malformed=3))
case("cut-ip4-options.pcap", "the fixed header is there, the options are cut: metered, without ports",
     pcap([cut_frame(eth(udp(options=b"\x01" * 40)), 14 + 30)]),
     expect([flow(A4, B4, UDP, 0, 0, (1, 76))]))
case("cut-udp.pcap", "three bytes of UDP give no ports, four give both",
     pcap([cut_frame(eth(U4), 14 + 23), cut_frame(eth(U4), 14 + 24, 1),
           cut_frame(eth(U6), 14 + 43, 2), cut_frame(eth(U6), 14 + 44, 3)]),
     expect([flow(A4, B4, UDP, 0, 0, (1, 36)), flow(A4, B4, UDP, 1000, 2000, (1, 36)),
             flow(A6, B6, UDP, 0, 0, (1, 56)), flow(A6, B6, UDP, 1000, 2000, (1, 56))]))
case("cut-tcp.pcap", "TCP cut before its flags gives ports and no flags",
     pcap([cut_frame(eth(tcp(flags=SYN, sport=1001)), 14 + 20 + 13),
           cut_frame(eth(tcp(flags=SYN, sport=1002)), 14 + 20 + 14, 1)]),
     expect([flow(A4, B4, TCP, 1001, 80, (1, 40), tcpControlBits=0),
             flow(A4, B4, TCP, 1002, 80, (1, 40), tcpControlBits=SYN)]))
case("cut-extension.pcap", "captured bytes end inside an IPv6 extension header: no ports",
     pcap([cut_frame(eth(ip6(A6, B6, ROUTING, routing6(UDP, SEGMENT, C6))), 14 + 40 + 10)]),
     expect([flow(A6, B6, None, 0, 0, (1, 80))]))

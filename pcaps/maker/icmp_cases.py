"""ICMP: which types answer which, and what cannot be told."""
from .case import case, expect, flow
from .files import at, burst, pcap
from .packets import *


def pings(*packets):
    return pcap(burst(*(eth(packet) for packet in packets)))


def types4(value):
    return {"icmpTypeCodeIPv4": value}


def types6(value):
    return {"icmpTypeCodeIPv6": value}


case("icmp-echo.pcap", "echo request and reply are one flow; the port is type * 256 + code",
     pings(icmp(A4, B4, 8), icmp(B4, A4, 0), icmp(A4, B4, 8), icmp(B4, A4, 0)),
     expect([flow(A4, B4, ICMP, 0, 2048, (2, 72), (2, 72), **types4(2048))]))
case("icmp-pairs.pcap", "timestamp, information and address mask requests with their replies",
     pings(icmp(A4, B4, 13), icmp(B4, A4, 14), icmp(A4, B4, 15), icmp(B4, A4, 16),
           icmp(A4, B4, 17), icmp(B4, A4, 18)),
     expect([flow(A4, B4, ICMP, 0, 13 * 256, (1, 40), (1, 40), **types4(13 * 256)),
             flow(A4, B4, ICMP, 0, 15 * 256, (1, 28), (1, 28), **types4(15 * 256)),
             flow(A4, B4, ICMP, 0, 17 * 256, (1, 32), (1, 32), **types4(17 * 256))]))
case("icmp-no-pair.pcap", "unreachable both ways: no type but the listed ones has a reverse",
     pings(icmp(A4, B4, 3, 3), icmp(B4, A4, 3, 3), icmp(A4, B4, 3, 1)),
     expect([flow(A4, B4, ICMP, 0, 771, (1, 56), **types4(771)),
             flow(B4, A4, ICMP, 0, 771, (1, 56), **types4(771)),
             flow(A4, B4, ICMP, 0, 769, (1, 56), **types4(769))]))
case("icmp-pair-code.pcap", "an echo request with code 1 is no request of the list: no reverse",
     pings(icmp(A4, B4, 8, 1), icmp(B4, A4, 0, 0), icmp(B4, A4, 0, 1)),
     expect([flow(A4, B4, ICMP, 0, 2049, (1, 36)),
             flow(A4, B4, ICMP, 0, 2048, (0, 0), (1, 36)),
             flow(B4, A4, ICMP, 0, 1, (1, 36))]))
case("icmp-two-requests.pcap", "echo requests both ways are two flows, each with its replies",
     pings(icmp(A4, B4, 8), icmp(B4, A4, 8), icmp(B4, A4, 0), icmp(A4, B4, 0)),
     expect([flow(A4, B4, ICMP, 0, 2048, (1, 36), (1, 36)),
             flow(B4, A4, ICMP, 0, 2048, (1, 36), (1, 36))]))
case("icmp-reply-first.pcap", "the reply is seen first: the flow is the requester's",
     pings(icmp(B4, A4, 0), icmp(A4, B4, 8), icmp(B4, A4, 0)),
     expect([flow(A4, B4, ICMP, 0, 2048, (1, 36), (2, 72), **types4(2048))]))
case("icmp-reply-only.pcap", "only the reply is seen: forward counters of 0",
     pings(icmp(B4, A4, 0)),
     expect([flow(A4, B4, ICMP, 0, 2048, (0, 0), (1, 36))]))
case("icmp6-echo.pcap", "ICMPv6 echo request and reply, and a reply seen first",
     pings(icmp6(A6, B6, 128), icmp6(B6, A6, 129), icmp6(B6, C6, 129)),
     expect([flow(A6, B6, ICMP6, 0, 32768, (1, 56), (1, 56), **types6(32768)),
             flow(C6, B6, ICMP6, 0, 32768, (0, 0), (1, 56))]))
case("icmp6-no-pair.pcap", "neighbour solicitation and advertisement have no reverse",
     pings(icmp6(A6, B6, 135), icmp6(B6, A6, 136), icmp6(B6, A6, 135)),
     expect([flow(A6, B6, ICMP6, 0, 135 * 256, (1, 64)),
             flow(B6, A6, ICMP6, 0, 136 * 256, (1, 64)),
             flow(B6, A6, ICMP6, 0, 135 * 256, (1, 64))]))
case("icmp-cut.pcap", "ICMP cut before its type: no reverse, and no flow shared with an echo reply",
     pcap([(0, eth(icmp(A4, B4, 8))[:34], 60), (1, eth(icmp(B4, A4, 0))[:34], 60),
           (2, eth(icmp(A4, B4, 0))), (3, eth(icmp(A4, B4, 8))[:34], 60)]),
     expect([flow(A4, B4, ICMP, 0, 0, (2, 72)),
             flow(B4, A4, ICMP, 0, 0, (1, 36)),
             flow(B4, A4, ICMP, 0, 2048, (0, 0), (1, 36))]))

REQUEST = icmp_message(8, rest=b"\0\x07\0\x01" + b"x" * 40)     # 48 bytes: 32 and 16
case("icmp-fragments.pcap", "fragmented echo request: the later fragment has the first one's type; without "
     "a first, no type and no reverse",
     pings(ip4(A4, B4, ICMP, REQUEST[:32], ident=1, more=True),
           ip4(A4, B4, ICMP, REQUEST[32:], ident=1, offset=32),
           ip4(A4, B4, ICMP, REQUEST[32:], ident=2, offset=32),
           icmp(B4, A4, 0)),
     expect([flow(A4, B4, ICMP, 0, 2048, (2, 52 + 36), (1, 36)),
             flow(A4, B4, ICMP, 0, 0, (1, 36))]))

# A later fragment without its first, then the echo reply whose key looks the same, within idle time.
case("icmp-fragment-and-reply.pcap", "a fragment of unknown type and an echo reply keep apart",
     pcap([(at(0), eth(ip4(A4, B4, ICMP, REQUEST[32:], ident=2, offset=32))),
           (at(1), eth(icmp(A4, B4, 0)))]),
     expect([flow(A4, B4, ICMP, 0, 0, (1, 36)),
             flow(B4, A4, ICMP, 0, 2048, (0, 0), (1, 36))]))

"""The flow key: ports, fragments, ToS, initiator; and what else a record says."""
import struct

from .case import case, expect, flow, when
from .files import at, burst, pcap
from .packets import *


def frames(*packets):
    return pcap(burst(*(eth(packet) for packet in packets)))


def timed(*packets):
    """(seconds, packet) or ((seconds, nanoseconds), packet)."""
    return pcap([(at(*(moment if isinstance(moment, tuple) else (moment,))), eth(packet))
                 for moment, packet in packets])


# Ports

SCTP, DCCP, UDPLITE, OSPF = 132, 33, 136, 89
case("ports-transports.pcap", "UDP, TCP, SCTP, DCCP and UDP-Lite have ports, OSPF and GRE have none",
     frames(udp(), tcp(A4, B4, 1000, 2000, SYN),
            ip4(A4, B4, SCTP, struct.pack(">HHII", 1000, 2000, 7, 0) + b"\x0e\0\0\x04"),
            ip4(A4, B4, DCCP, summed(A4, B4, DCCP, struct.pack(
                ">HHBBHI", 1000, 2000, 3, 0, 0, 0x04000000), 6)),
            ip4(A4, B4, UDPLITE, summed(A4, B4, UDPLITE, struct.pack(
                ">HHHH", 1000, 2000, 16, 0) + b"12345678", 6)),
            ip4(A4, B4, OSPF, b"\x02\x01\0\x2c" + b"\0" * 40),
            ip4(A4, B4, 47, b"\0\0\x88\xb5" + b"\0" * 12)),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 36)), flow(A4, B4, TCP, 1000, 2000, (1, 40)),
             flow(A4, B4, SCTP, 1000, 2000, (1, 36)), flow(A4, B4, DCCP, 1000, 2000, (1, 32)),
             flow(A4, B4, UDPLITE, 1000, 2000, (1, 36)), flow(A4, B4, OSPF, 0, 0, (1, 64)),
             flow(A4, B4, 47, 0, 0, (1, 36))]))
case("ports-both-ways.pcap", "one UDP flow with its answers; the other port pair is another flow",
     frames(udp(A4, B4, 1000, 4000), udp(B4, A4, 4000, 1000), udp(A4, B4, 4000, 1000),
            udp(A6, B6, 1000, 4000), udp(B6, A6, 4000, 1000)),
     expect([flow(A4, B4, UDP, 1000, 4000, (1, 36), (1, 36)), flow(A4, B4, UDP, 4000, 1000, (1, 36)),
             flow(A6, B6, UDP, 1000, 4000, (1, 56), (1, 56))]))
case("ports-no-ports-both-ways.pcap", "a protocol without ports has two directions too",
     frames(ip4(A4, B4, OSPF, b"\0" * 24), ip4(B4, A4, OSPF, b"\0" * 24)),
     expect([flow(A4, B4, OSPF, 0, 0, (1, 44), (1, 44))]))

# Fragments. A datagram of 40 bytes behind the IP header: 24 and 16.

DATAGRAM = udp_segment(A4, B4, 1000, 2000, b"x" * 32)
FIRST = {"more": True}
LATER = {"offset": 24}


def piece4(where, ident=1, protocol=UDP, src=A4, dst=B4, data=DATAGRAM):
    part = data[:24] if where is FIRST else data[24:]
    return ip4(src, dst, protocol, part, ident=ident, **where)


case("frag4-in-order.pcap", "a later fragment has the ports of its first",
     frames(piece4(FIRST), piece4(LATER)),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 44 + 36))]))
case("frag4-out-of-order.pcap", "a fragment ahead of its first has no ports, one behind it has",
     frames(piece4(LATER), piece4(FIRST), piece4(LATER)),
     expect([flow(A4, B4, UDP, 0, 0, (1, 36)), flow(A4, B4, UDP, 1000, 2000, (2, 44 + 36))]))
case("frag4-no-first.pcap", "fragments whose first is never seen have ports 0",
     frames(piece4(LATER), piece4(LATER), piece4(LATER, ident=2)),
     expect([flow(A4, B4, UDP, 0, 0, (3, 108))]))
case("frag4-other-train.pcap", "ports go only to the same source, destination, protocol and identification",
     frames(piece4(FIRST), piece4(LATER, ident=2), piece4(LATER, protocol=TCP),
            piece4(LATER, src=C4), piece4(LATER, src=B4, dst=A4)),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 44)), flow(A4, B4, UDP, 0, 0, (1, 36), (1, 36)),
             flow(A4, B4, TCP, 0, 0, (1, 36)), flow(C4, B4, UDP, 0, 0, (1, 36))]))
case("frag4-30-seconds.pcap", "29 s behind its first a fragment has its ports, 31 s behind it has none",
     timed((0, piece4(FIRST, ident=1)), (0, piece4(FIRST, ident=2)), (29, piece4(LATER, ident=1)),
           (31, piece4(LATER, ident=2))),
     expect([flow(A4, B4, UDP, 1000, 2000, (3, 44 + 44 + 36)), flow(A4, B4, UDP, 0, 0, (1, 36))],
            cmd=["--idle-timeout", "50"]))
case("frag4-tiny-first.pcap", "a first fragment of eight bytes of TCP gives ports and no flags",
     frames(ip4(A4, B4, TCP, tcp_segment(A4, B4, 1000, 80, SYN)[:8], more=True),
            ip4(A4, B4, TCP, tcp_segment(A4, B4, 1000, 80, SYN)[8:], offset=8)),
     expect([flow(A4, B4, TCP, 1000, 80, (2, 28 + 32), tcpControlBits=0)]))
case("frag4-answered.pcap", "fragments both ways of one flow, the same identification in each direction",
     frames(piece4(FIRST), piece4(LATER),
            piece4(FIRST, src=B4, dst=A4, data=udp_segment(B4, A4, 2000, 1000, b"x" * 32)),
            piece4(LATER, src=B4, dst=A4, data=udp_segment(B4, A4, 2000, 1000, b"x" * 32))),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 80), (2, 80))]))

DATAGRAM6 = udp_segment(A6, B6, 1000, 2000, b"x" * 32)


def piece6(where, next_header=UDP, ident=1, data=DATAGRAM6):
    part = data[:24] if where is FIRST else data[24:]
    return ip6(A6, B6, 44, fragment6(next_header, part, ident, **where))


case("frag6-in-order.pcap", "IPv6 fragments",
     frames(piece6(FIRST), piece6(LATER)),
     expect([flow(A6, B6, UDP, 1000, 2000, (2, 72 + 64))]))
case("frag6-out-of-order.pcap", "IPv6 fragments, a later one ahead of the first",
     frames(piece6(LATER), piece6(FIRST)),
     expect([flow(A6, B6, UDP, 0, 0, (1, 64)), flow(A6, B6, UDP, 1000, 2000, (1, 72))]))
BEHIND_OPTIONS = options6(UDP, DATAGRAM6[:32])           # 8 + 32: 24 and 16
case("frag6-options-behind.pcap", "destination options are part of the fragmented: the later fragment has "
     "protocol and ports of the first, its bytes are no options",
     frames(piece6(FIRST, 60, data=BEHIND_OPTIONS), piece6(LATER, 60, data=BEHIND_OPTIONS)),
     expect([flow(A6, B6, UDP, 1000, 2000, (2, 72 + 64))]))
case("frag6-other-next-header.pcap", "in IPv6 the train is told by addresses and identification alone",
     frames(piece6(FIRST), piece6(LATER, 60)),
     expect([flow(A6, B6, UDP, 1000, 2000, (2, 72 + 64))]))

# ToS

CASE_ECN = frames(udp(tos=2), udp(tos=3), udp(tos=1))
case("tos-ecn.pcap", "ECN bits that change do not tear a flow apart; the record has the first packet's byte",
     CASE_ECN, expect([flow(A4, B4, UDP, 1000, 2000, (3, 108), ipClassOfService=2)]),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 36), ipClassOfService=tos) for tos in (2, 3, 1)],
            cmd=["--tos-mask", "0xff"], variant="mask-ff"))
case("tos-two-classes.pcap", "two DSCPs are two flows, unless ToS is taken out of the key",
     frames(udp(tos=0), udp(tos=0x28), udp(A6, B6, tos=0x28), udp(A6, B6, tos=0)),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 36), ipClassOfService=0),
             flow(A4, B4, UDP, 1000, 2000, (1, 36), ipClassOfService=0x28),
             flow(A6, B6, UDP, 1000, 2000, (1, 56), ipClassOfService=0x28),
             flow(A6, B6, UDP, 1000, 2000, (1, 56), ipClassOfService=0)]),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), ipClassOfService=0),
             flow(A6, B6, UDP, 1000, 2000, (2, 112), ipClassOfService=0x28)],
            cmd=["--tos-mask", "0"], variant="mask-0"))
case("tos-per-direction.pcap", "each direction has a ToS of its own",
     frames(udp(tos=0), udp(B4, A4, 2000, 1000, tos=0x48), udp(tos=0),
            udp(B4, A4, 2000, 1000, tos=0x48)),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), (2, 72), ipClassOfService=0,
                  reverseIpClassOfService=0x48)]))
# Two forward flows (0, 0x28). The answer 0x48 sets the older one's, 0x28 the other's, 0x48 goes
# back to the first. 0x50 fits none: a flow of its own, whose other direction 0x10 then sets.
case("tos-prefers.pcap", "a packet prefers a flow with its ToS over one that has none yet, then the oldest",
     frames(udp(tos=0), udp(tos=0x28), udp(B4, A4, 2000, 1000, tos=0x48),
            udp(B4, A4, 2000, 1000, tos=0x28), udp(B4, A4, 2000, 1000, tos=0x48),
            udp(B4, A4, 2000, 1000, tos=0x50), udp(tos=0x10), udp(B4, A4, 2000, 1000, tos=0x50)),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 36), (2, 72), ipClassOfService=0,
                  reverseIpClassOfService=0x48),
             flow(A4, B4, UDP, 1000, 2000, (1, 36), (1, 36), ipClassOfService=0x28,
                  reverseIpClassOfService=0x28),
             flow(B4, A4, UDP, 2000, 1000, (2, 72), (1, 36), ipClassOfService=0x50,
                  reverseIpClassOfService=0x10)]))
case("tos-nine-flows.pcap", "a ninth flow of one 5-tuple ends the one longest idle (the second, here)",
     timed(*((n, udp(tos=n * 4)) for n in range(8)), (8, udp(tos=0)), (9, udp(tos=32))),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), ipClassOfService=0),
             flow(A4, B4, UDP, 1000, 2000, (1, 36), ipClassOfService=4, end=5)]
            + [flow(A4, B4, UDP, 1000, 2000, (1, 36), ipClassOfService=n * 4)
               for n in range(2, 9)]))

# Initiator

case("turn-syn-ack.pcap", "SYN and ACK seen first: the flow is the one's who must have sent the SYN",
     frames(tcp(B4, A4, 80, 1000, SYN | ACK), tcp(A4, B4, 1000, 80, ACK),
            tcp(B4, A4, 80, 1000, ACK)),
     expect([flow(A4, B4, TCP, 1000, 80, (1, 40), (2, 80), tcpControlBits=ACK,
                  reverseTcpControlBits=SYN | ACK)]))
case("turn-syn-ack-only.pcap", "only SYN and ACK: forward counters of 0, the times are the reverse's",
     timed((3, tcp(B4, A4, 80, 1000, SYN | ACK)), (5, tcp(B4, A4, 80, 1000, SYN | ACK))),
     expect([flow(A4, B4, TCP, 1000, 80, (0, 0), (2, 80), flowStartNanoseconds=when(3),
                  flowEndNanoseconds=when(5))]))
case("turn-ack-first.pcap", "ACK alone seen first turns nothing",
     frames(tcp(B4, A4, 80, 1000, ACK), tcp(A4, B4, 1000, 80, ACK)),
     expect([flow(B4, A4, TCP, 80, 1000, (1, 40), (1, 40))]))

# The record

case("record-fields.pcap", "TTLs, TCP flags with ECE, CWR and NS, times, interface",
     pcap([(at(0), eth(tcp(A4, B4, 1000, 80, SYN | ECE | CWR, ttl=60, tos=0x28))),
           (at(1), eth(tcp(B4, A4, 80, 1000, SYN | ACK | ECE, ttl=120), src=MAC_B, dst=MAC_A)),
           (at(2), eth(tcp(A4, B4, 1000, 80, ACK | NS, ttl=58, tos=0x28))),
           (at(3, 500), eth(tcp(B4, A4, 80, 1000, ACK | PSH, b"123", ttl=121),
                            src=MAC_B, dst=MAC_A))]),
     expect([flow(A4, B4, TCP, 1000, 80, (2, 80), (2, 83), ipClassOfService=0x28,
                  reverseIpClassOfService=0, tcpControlBits=SYN | ECE | CWR | ACK | NS,
                  reverseTcpControlBits=SYN | ACK | ECE | PSH, minimumTTL=58, maximumTTL=60,
                  reverseMinimumTTL=120, reverseMaximumTTL=121, ingressInterface=1,
                  flowStartNanoseconds=when(0),
                  flowEndNanoseconds=when(2), reverseFlowStartNanoseconds=when(1),
                  reverseFlowEndNanoseconds=when(3, 500), biflowDirection=1)]))
MACS = ("packetDeltaCount", "reversePacketDeltaCount", "sourceMacAddress", "destinationMacAddress")
case("record-macs.pcap", "MACs are the first packet's, oriented forward; the second flow is turned",
     pcap(burst(eth(tcp(A4, B4, 1000, 80, SYN)), eth(tcp(C4, B4, 80, 1000, SYN | ACK), src=MAC_C),
                eth(tcp(A4, B4, 1000, 80, ACK), src=MAC_D))),
     expect([{"packetDeltaCount": 2, "reversePacketDeltaCount": 0,
              "sourceMacAddress": "02:00:00:00:00:0a", "destinationMacAddress": "02:00:00:00:00:0b"},
             {"packetDeltaCount": 0, "reversePacketDeltaCount": 1,
              "sourceMacAddress": "02:00:00:00:00:0b", "destinationMacAddress": "02:00:00:00:00:0c"}],
            fields=MACS))

CASE_VLANS = pcap(burst(tagged([(0x8100, 5)], U4), tagged([(0x8100, 6)], U4)))
case("key-vlan.pcap", "one flow in two VLANs; two flows where the key has the VLAN",
     CASE_VLANS, expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), vlanId=5)]),
     expect([flow(A4, B4, UDP, 1000, 2000, (1, 36), vlanId=5),
             flow(A4, B4, UDP, 1000, 2000, (1, 36), vlanId=6)],
            cmd=["--key", "vlan"], variant="vlan"))

case("sample-systematic.pcap", "one packet of two: numbers 1, 3 and 5, decided before decoding (ARP is fourth)",
     pcap(burst(eth(udp(sport=1001)), eth(udp(sport=1002)), eth(udp(sport=1003)),
                eth(b"\0\x01\x08\0\x06\x04\0\x01" + b"\0" * 20, 0x0806), eth(udp(sport=1005)))),
     expect([flow(A4, B4, UDP, sport, 2000, (1, 36)) for sport in (1001, 1003, 1005)],
            unsampled=2, cmd=["--sample", "systematic:2"], variant="2"),
     expect([flow(A4, B4, UDP, sport, 2000, (1, 36)) for sport in (1001, 1002, 1003, 1005)],
            non_ip=1),
     expect([flow(A4, B4, UDP, 1003, 2000, (1, 36))], cmd=["--filter", "udp port 1003"],
            variant="filter"))

FORWARD = frames(udp(), udp())
case("files-1.pcap", "two files of a run are one interface: here the questions",
     FORWARD, expect([flow(A4, B4, UDP, 1000, 2000, (2, 72))]))
case("files-2.pcap", "… and here the answers, a second later",
     timed((1, udp(B4, A4, 2000, 1000)), (2, udp(B4, A4, 2000, 1000))),
     expect([flow(B4, A4, UDP, 2000, 1000, (2, 72))]),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), (2, 72), ingressInterface=1)],
            files=["files-1.pcap", "files-2.pcap"], variant="both"))

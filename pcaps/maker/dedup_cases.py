"""Copies of packets: which are left out with dedup, and what the books say of them."""
from .case import case, expect, flow
from .files import at, burst, pcap
from .packets import *

FIRST = udp()
AGAIN = udp(ident=2)                        # the same segment in another IP packet
BACK = udp(B4, A4, 2000, 1000)
TAGGED = tagged([(0x8100, 20)], FIRST, src=MAC_C, pad=False)
DEDUP = ("--dedup", "10ms")
MS = 1_000_000


def told(flows, duplicate, **more):
    return expect(flows, duplicate=duplicate, cmd=more.pop("cmd", DEDUP), **more)


def one_way(packets, src=A4, dst=B4, octets=36, **more):
    return flow(src, dst, UDP, 1000, 2000, (packets, packets * octets), **more)


case("dedup-copies.pcap", "copies, one of them in another VLAN and without padding; a retransmission is none",
     pcap(burst(eth(FIRST), TAGGED, eth(AGAIN), eth(BACK), eth(AGAIN), eth(BACK), eth(U6), eth(U6))),
     told([flow(A4, B4, UDP, 1000, 2000, (2, 72), (1, 36), vlanId=0), one_way(1, A6, B6, 56)], 4),
     expect([flow(A4, B4, UDP, 1000, 2000, (4, 144), (2, 72)), one_way(2, A6, B6, 56)],
            variant="off", duplicate=0),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), (1, 36), vlanId=0), one_way(1, A6, B6, 56)],
            variant="workers", duplicate=4, cmd=DEDUP + ("-w", "3")))
case("dedup-window.pcap", "a copy exactly at the window's end, one a nanosecond later, and one within the new window",
     pcap([(at(0), eth(FIRST)), (at(0, 10 * MS), eth(FIRST)), (at(0, 10 * MS + 1), eth(FIRST)),
           (at(0, 15 * MS), eth(FIRST)), (at(0, 20 * MS + 1), eth(FIRST)),
           (at(0, 20 * MS + 2), eth(FIRST))]),
     told([one_way(3)], 3),
     expect([one_way(1)], variant="long", duplicate=5, cmd=("--dedup", "0.5")))
case("dedup-ttl.pcap", "copies from behind a router, and one whose header checksum alone differs",
     pcap(burst(eth(FIRST), eth(udp(ttl=63)), eth(patch16(FIRST, 10, 0)), eth(U6),
                eth(udp(A6, B6, ttl=63)))),
     told([one_way(3), one_way(2, A6, B6, 56)], 0),
     expect([one_way(1, minimumTTL=64), one_way(1, A6, B6, 56)], variant="ttl", duplicate=3,
            cmd=DEDUP + ("--dedup-ignore", "ttl")),
     expect([one_way(2), one_way(2, A6, B6, 56)], variant="checksum", duplicate=1,
            cmd=DEDUP + ("--dedup-ignore", "checksum")))
LONG = udp(payload=b"x" * 100)              # 128 octets
case("dedup-cut.pcap", "captured bytes are compared, and lengths: cut elsewhere is no copy, nor is one of another length",
     pcap([(0, eth(LONG)[:60], 142), (MS, eth(LONG)[:60], 142), (2 * MS, eth(LONG)[:61], 142),
           (3 * MS, eth(patch16(LONG, 2, 127))[:60], 141), (4 * MS, eth(FIRST)),
           (5 * MS, eth(FIRST) + b"trailer")]),
     told([flow(A4, B4, UDP, 1000, 2000, (4, 128 + 128 + 127 + 36))], 2))
case("dedup-sampled.pcap", "copies are taken out before sampling, which counts what is left (ARP too)",
     pcap(burst(eth(FIRST), eth(FIRST), eth(AGAIN), eth(AGAIN), eth(b"\0" * 28, 0x0806),
                eth(BACK), eth(BACK))),
     expect([one_way(1)], duplicate=3, unsampled=2, non_ip=1, cmd=DEDUP + ("--sample", "2"),
            metered=1))
case("dedup-mirror.pcap", "a remote mirror's tunnel differs, what it carries is the same",
     pcap(burst(*(eth(ip4(OUT_A4, OUT_B4, 47, erspan2(eth(FIRST)), ident=number))
                  for number in range(3)))),
     told([one_way(1)], 2, cmd=DEDUP + ("--decapsulate", "erspan")),
     expect([flow(OUT_A4, OUT_B4, 47, 0, 0, (3, 3 * (20 + 8 + 8 + 60)))], variant="outer", duplicate=0,
            cmd=DEDUP))
case("dedup-set-back.pcap", "time set back forgets what was seen; a late packet arrives at the clock",
     pcap([(at(100), eth(FIRST)), (at(50), eth(FIRST)), (at(50, 30 * MS), eth(AGAIN)),
           (at(50, 1 * MS), eth(AGAIN))]),
     told([one_way(1), one_way(2)], 1))

"""Capture file formats: byte orders, clocks, blocks, and files that are broken or no captures."""
import struct

from .case import case, expect, flow, refused, when
from .files import ETHERNET, RAW, T0, Pcapng, at, burst, gzipped, pcap, zstandard
from .packets import *


def u(packets, **more):
    return flow(A4, B4, UDP, 1000, 2000, (packets, 36 * packets), **more)


def between(first, last, packets=2):
    return u(packets, flowStartNanoseconds=when(*first), flowEndNanoseconds=when(*last),
             ingressInterface=1)


PAIR = [(at(1, 123456789), eth(U4)), (at(2, 987654321), eth(U4))]
MICRO = expect([between((1, 123456000), (2, 987654000))])
NANO = expect([between((1, 123456789), (2, 987654321))])

case("pcap-le-us.pcap", "pcap, little-endian, microseconds", pcap(PAIR, nano=False), MICRO)
case("pcap-be-us.pcap", "pcap, big-endian, microseconds", pcap(PAIR, order=">", nano=False), MICRO)
case("pcap-le-ns.pcap", "pcap, little-endian, nanoseconds", pcap(PAIR), NANO)
case("pcap-be-ns.pcap", "pcap, big-endian, nanoseconds", pcap(PAIR, order=">"), NANO)
case("pcap-modified.pcap", "pcap with the modified magic (0xa1b2cd34): packet headers of 24 bytes",
     pcap(PAIR, modified=True), MICRO)
case("pcap-modified-be.pcap", "the same, big-endian", pcap(PAIR, order=">", modified=True), MICRO)
case("pcap-fcs-length.pcap", "pcap whose link type field tells the FCS length in its upper bits",
     pcap([(when_, frame + b"\xde\xad\xbe\xef") for when_, frame in PAIR], link=0x24000000 | ETHERNET),
     NANO)
case("pcap-empty.pcap", "a pcap header and nothing else", pcap([]), expect([]))
case("pcap-after-2038.pcap", "seconds past 2^31 (the year 2078): they are unsigned",
     pcap([(at(1_700_000_000), eth(U4))]),
     expect([u(1, flowStartNanoseconds=when(1_700_000_000))]))

# A last record that is not all there: the ones before it count. Whether the run fails is open.
EITHER = (0, 1)
WHOLE = pcap(burst(eth(U4)))
case("pcap-cut-record.pcap", "the last record's bytes are cut", pcap(burst(eth(U4), eth(U4)))[:-30],
     expect([u(1)], exit_status=EITHER))
case("pcap-cut-record-header.pcap", "the last record's header is cut", WHOLE + b"\x01\x02\x03\x04\x05",
     expect([u(1)], exit_status=EITHER))
case("pcap-absurd-length.pcap", "a record claims 2 GiB of captured bytes",
     WHOLE + struct.pack("<IIII", T0, 0, 0x7fffffff, 0x7fffffff) + b"x" * 40,
     expect([u(1)], exit_status=EITHER))
case("pcap-absurd-length-2.pcap", "a record claims 2^32 - 1 captured bytes",
     WHOLE + struct.pack("<IIII", T0, 0, 0xffffffff, 60) + b"x" * 40,
     expect([u(1)], exit_status=EITHER))

case("pcap-gzip.pcap.gz", "a gzipped pcap", gzipped(pcap(PAIR)), NANO)
case("pcap-zstd.pcap.zst", "a pcap in a zstd frame", zstandard(pcap(PAIR)), NANO)

case("no-capture.pcap", "text that is no capture", b"This is not a capture file.\n", refused())
case("no-capture-empty.pcap", "a file of no bytes", b"", refused())
case("no-capture-short.pcap", "half a pcap header", pcap([])[:12], refused())

# pcapng

MICROS = 1_000_000
START = T0 * MICROS


def resolution(section, value):
    return section.option(9, bytes([value]))


plain = Pcapng().interface().enhanced(0, START + 1, eth(U4)).enhanced(0, START + 500, eth(U4))
case("ng-plain.pcapng", "pcapng, little-endian, microseconds by default", plain.data,
     expect([between((0, 1000), (0, 500000))]))
plain = Pcapng(">").interface().enhanced(0, START + 1, eth(U4)).enhanced(0, START + 500, eth(U4))
case("ng-big-endian.pcapng", "pcapng, big-endian", plain.data,
     expect([between((0, 1000), (0, 500000))]))

ng = Pcapng()
ng.interface(options=resolution(ng, 9) + ng.end())
ng.interface(options=resolution(ng, 3) + ng.end())
ng.interface(options=resolution(ng, 0x80 | 20) + ng.end())
ng.interface(options=resolution(ng, 0) + ng.end())
ng.enhanced(0, T0 * 10**9 + 123456789, eth(udp(sport=1)))
ng.enhanced(1, T0 * 10**3 + 250, eth(udp(sport=2)))
ng.enhanced(2, (T0 << 20) + (3 << 18), eth(udp(sport=3)))
ng.enhanced(3, T0 + 1, eth(udp(sport=4)))
case("ng-resolutions.pcapng", "if_tsresol: 10^-9, 10^-3, 2^-20 and whole seconds, each with its interface",
     ng.data,
     expect([flow(A4, B4, UDP, number + 1, 2000, (1, 36), ingressInterface=number + 1,
                  flowStartNanoseconds=moment)
             for number, moment in enumerate((when(0, 123456789), when(0, 250000000),
                                              when(0, 750000000), when(1)))]))

ng = Pcapng()
ng.interface(options=ng.option(14, struct.pack("<q", T0)) + ng.end())
ng.interface(options=ng.option(14, struct.pack("<q", -10)) + ng.end())
ng.enhanced(0, 5 * MICROS + 7, eth(udp(sport=1)))
ng.enhanced(1, START + 20 * MICROS, eth(udp(sport=2)))
case("ng-offset.pcapng", "if_tsoffset: seconds to add, one positive, one negative", ng.data,
     expect([flow(A4, B4, UDP, 1, 2000, (1, 36), flowStartNanoseconds=when(5, 7000)),
             flow(A4, B4, UDP, 2, 2000, (1, 36), flowStartNanoseconds=when(10))]))

ng = Pcapng()
ng.interface(ETHERNET).interface(RAW)
ng.enhanced(0, START, eth(U4)).enhanced(1, START + 1, U4).enhanced(1, START + 2, udp(B4, A4, 2000, 1000))
case("ng-interfaces.pcapng", "two interfaces, two link types, one logical interface: one flow", ng.data,
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), (1, 36), ingressInterface=1)]),
     expect([{"packetDeltaCount": 2, "reversePacketDeltaCount": 1, "ingressInterface": 1,
              "reverseIngressInterface": 2}],
            fields=("packetDeltaCount", "reversePacketDeltaCount", "ingressInterface",
                    "reverseIngressInterface"), variant="fields"))

first = Pcapng()
first.interface(ETHERNET).interface(ETHERNET).enhanced(1, START, eth(udp(sport=1)))
second = Pcapng(">").interface(RAW).enhanced(0, START + 1, udp(sport=2))
third = Pcapng().interface(113).enhanced(0, START + 2, sll(udp(sport=3)))
case("ng-sections.pcapng", "three sections, the second in the other byte order; interfaces count anew in each",
     (first + second + third).data,
     expect([flow(A4, B4, UDP, 1, 2000, (1, 36), ingressInterface=2),
             flow(A4, B4, UDP, 2, 2000, (1, 36), ingressInterface=1),
             flow(A4, B4, UDP, 3, 2000, (1, 36), ingressInterface=1)]))

ng = Pcapng(options=Pcapng().option(1, b"a comment") + Pcapng().option(4, b"some program") + Pcapng().end())
ng.interface(options=ng.option(2, b"eth7") + ng.option(3, b"uplink") + resolution(ng, 6) + ng.end())
ng.block(4, struct.pack("<HH", 1, 10) + address(A4) + b"alpha\0" + b"\0\0" + struct.pack("<HH", 0, 0))
ng.block(0x0bad, b"\x01\x02\x03\x04" + struct.pack("<I", 2990) + b"custom data.")
ng.block(0x7fff0001, b"nobody knows this block")
ng.enhanced(0, START, eth(U4), options=ng.option(2, struct.pack("<I", 1)) + ng.option(1, b"hello")
            + ng.end())
ng.block(5, struct.pack("<III", 0, START >> 32, START & 0xffffffff) + ng.option(4, struct.pack("<Q", 2))
         + ng.end())
ng.enhanced(0, START + 9, eth(U4) + b"\x01", options=ng.end())
case("ng-other-blocks.pcapng", "options, name resolution, statistics, custom and unknown blocks, odd lengths",
     ng.data, expect([between((0, 0), (0, 9000))]))

ng = Pcapng().interface().obsolete(0, START + 3, eth(U4)).obsolete(0, START + 4, eth(U4))
case("ng-obsolete-packet.pcapng", "the obsolete packet block", ng.data,
     expect([between((0, 3000), (0, 4000))]))

ng = Pcapng().interface(snaplen=60)
ng.enhanced(0, START + MICROS, eth(udp(sport=1))).simple(eth(udp(sport=2, payload=b"x" * 400))[:60], 442)
ng.enhanced(0, START + 2 * MICROS, eth(udp(sport=1))).simple(eth(udp(sport=2)))
case("ng-simple-packet.pcapng", "simple packet blocks have no time of their own: the clock's; they are cut "
     "at the interface's snapshot length", ng.data,
     expect([flow(A4, B4, UDP, 1, 2000, (2, 72)),
             flow(A4, B4, UDP, 2, 2000, (2, 428 + 36), flowStartNanoseconds=when(1),
                  flowEndNanoseconds=when(2))]))
ng = Pcapng().interface().simple(eth(U4)).simple(eth(U4))
case("ng-simple-first.pcapng", "simple packet blocks before any time is known: 0", ng.data,
     expect([u(2, flowStartNanoseconds="1970-01-01T00:00:00.000000000Z")]))

ng = Pcapng(section_length=0x7fffffffffff).interface().enhanced(0, START, eth(U4))
case("ng-section-length.pcapng", "a section length that is not true is of no account", ng.data,
     expect([u(1)]))
ng = Pcapng().interface().enhanced(0, START, eth(U4)).enhanced(0, START, eth(U4))
case("ng-cut-block.pcapng", "the last block is cut", ng.data[:-20],
     expect([u(1)], exit_status=EITHER))
ng = Pcapng().interface().enhanced(0, START, eth(U4))
ng.data += struct.pack("<II", 6, 0x7ffffff0) + b"\0" * 40
case("ng-absurd-length.pcapng", "a block claims 2 GiB", ng.data, expect([u(1)], exit_status=EITHER))
ng = Pcapng().interface().enhanced(0, START, eth(U4))
body = struct.pack("<IIIII", 0, START >> 32, START & 0xffffffff, 5000, 5000) + eth(U4)
ng.block(6, body)
case("ng-captured-too-long.pcapng", "a packet block whose captured length is beyond the block", ng.data,
     expect([u(1)], exit_status=EITHER, lenient=True))
ng = Pcapng().interface().enhanced(0, START, eth(U4)).enhanced(5, START, eth(U4))
case("ng-unknown-interface.pcapng", "a packet block of an interface that was not described", ng.data,
     expect([u(1)], exit_status=EITHER, lenient=True))
case("ng-section-only.pcapng", "a section header and nothing else", Pcapng().data, expect([]))
case("ng-gzip.pcapng.gz", "a gzipped pcapng",
     gzipped(Pcapng().interface().enhanced(0, START, eth(U4)).data), expect([u(1)]))

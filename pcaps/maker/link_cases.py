"""What is below the first IP header, and frames that have none."""
import struct

from .case import case, expect, flow
from .files import burst, pcap
from .packets import *

V4 = flow(A4, B4, UDP, 1000, 2000, (1, 36))
V6 = flow(A6, B6, UDP, 1000, 2000, (1, 56))


def times(record, packets):
    """The same flow with so many equal packets."""
    octets = record["octetDeltaCount"] * packets
    return {**record, "packetDeltaCount": packets, "octetDeltaCount": octets}


def both(name, shows, link, wrap, order="<"):
    """A link layer around one IPv4 and one IPv6 packet."""
    case(name, shows, pcap(burst(wrap(U4), wrap(U6)), link, order), expect([V4, V6]))


both("link-ethernet.pcap", "Ethernet II", 1, eth)

case("link-8023-snap.pcap", "802.3 with LLC and SNAP",
     pcap(burst(ieee8023(snap(U4)), ieee8023(snap(U6)))), expect([V4, V6]))

case("link-8023-llc-ip.pcap", "802.3 whose LLC SAP is IP itself (0x06)",
     pcap(burst(ieee8023(b"\x06\x06\x03" + U4))), expect([V4]))

case("link-8021q.pcap", "one 802.1Q tag",
     pcap(burst(tagged([(0x8100, 100)], U4), tagged([(0x8100, 100)], U6))),
     expect([{**V4, "vlanId": 100}, {**V6, "vlanId": 100}]))

case("link-8021q-priority.pcap", "an 802.1Q tag with priority 5 and the drop bit: the id is 12 bits",
     pcap(burst(tagged([(0x8100, 5 << 13 | 1 << 12 | 100)], U4))),
     expect([{**V4, "vlanId": 100}]))

case("link-8021q-snap.pcap", "a tag whose inside is 802.3 with SNAP",
     pcap(burst(tagged([(0x8100, 100)], snap(U4), len(snap(U4))))),
     expect([{**V4, "vlanId": 100}]))

case("link-8021ad.pcap", "an 802.1ad service tag around an 802.1Q tag: the outer id is the VLAN",
     pcap(burst(tagged([(0x88a8, 200), (0x8100, 100)], U4))),
     expect([{**V4, "vlanId": 200}]))

case("link-vlan-8-tags.pcap", "eight tags, as many as are looked through",
     pcap(burst(tagged([(0x8100, n) for n in range(1, 9)], U4))),
     expect([{**V4, "vlanId": 1}]))

case("link-vlan-9-tags.pcap", "nine tags, one more than is looked through",
     pcap(burst(tagged([(0x8100, n) for n in range(1, 10)], U4))),
     expect([], non_ip_or_malformed=1))

case("link-mpls.pcap", "MPLS: one and three labels, unicast and multicast, IPv4 and IPv6 inside",
     pcap(burst(eth(mpls([16], U4), 0x8847), eth(mpls([16, 17, 18], U6), 0x8847),
                eth(mpls([19], U4), 0x8848))),
     expect([times(V4, 2), V6]))

case("link-mpls-vlan.pcap", "MPLS behind an 802.1Q tag",
     pcap(burst(tagged([(0x8100, 100)], mpls([16, 17], U4), 0x8847))),
     expect([{**V4, "vlanId": 100}]))

# Vendors' MACs, since dissectors tell a control word from an address by what looks like one.
VENDOR = {"src": bytes.fromhex("001b21000001"), "dst": bytes.fromhex("001b21000002")}
case("link-mpls-pseudowire.pcap", "MPLS around a pseudowire's Ethernet with control word",
     pcap(burst(eth(mpls([16, 17], struct.pack(">I", 1) + eth(U4, **VENDOR)), 0x8847))),
     expect([V4]))

case("link-mpls-pseudowire-vlan.pcap", "the same with an 802.1Q tag inside the pseudowire",
     pcap(burst(eth(mpls([17], struct.pack(">I", 2) + tagged([(0x8100, 7)], U4, **VENDOR)), 0x8847))),
     expect([V4]))

case("link-mpls-ach.pcap", "MPLS around an associated channel (first nibble 1): no IP",
     pcap(burst(eth(mpls([16, 13], b"\x10\0\0\x07" + b"\x20\xc8\x03\x18" + b"\0" * 20), 0x8847))),
     expect([], non_ip=1))

case("link-pppoe.pcap", "PPPoE session with IPv4, IPv6, LCP; and discovery",
     pcap(burst(eth(pppoe(0x0021, U4), 0x8864), eth(pppoe(0x0057, U6), 0x8864),
                eth(pppoe(0xc021, b"\x09\x01\0\x08\0\0\0\0"), 0x8864),
                eth(b"\x11\x09\0\0\0\x04\x01\x01\0\0", 0x8863))),
     expect([V4, V6], non_ip=2))

case("link-ppp.pcap", "PPP with address and control bytes, without them, and with a one-byte protocol",
     pcap(burst(b"\xff\x03\0\x21" + U4, b"\0\x21" + U4, b"\x21" + U4, b"\xff\x03\0\x57" + U6,
                b"\xff\x03\xc0\x21\x09\x01\0\x08\0\0\0\0"), 9),
     expect([times(V4, 3), V6], non_ip=1))

case("link-ppp-hdlc.pcap", "PPP in HDLC-like framing (link type 50)",
     pcap(burst(b"\xff\x03\0\x21" + U4, b"\xff\x03\0\x57" + U6), 50), expect([V4, V6]))

both("link-sll.pcap", "Linux cooked, version 1", 113, sll)
both("link-sll2.pcap", "Linux cooked, version 2", 276, sll2)

case("link-sll-vlan.pcap", "Linux cooked around an 802.1Q tag",
     pcap(burst(sll(struct.pack(">HH", 100, 0x0800) + U4, 0x8100)), 113),
     expect([{**V4, "vlanId": 100}]))

case("link-sll-arp.pcap", "Linux cooked, both versions' way to carry no IP: here ARP in version 1",
     pcap(burst(sll(b"\0\x01\x08\0\x06\x04\0\x01" + b"\0" * 20, 0x0806)), 113),
     expect([], non_ip=1))

both("link-raw.pcap", "raw IP (link type 101)", 101, lambda packet: packet)
both("link-raw-12.pcap", "raw IP under its older number 12", 12, lambda packet: packet)
case("link-ipv4.pcap", "raw IPv4 (link type 228)", pcap(burst(U4), 228), expect([V4]))
case("link-ipv6.pcap", "raw IPv6 (link type 229)", pcap(burst(U6), 229), expect([V6]))

case("link-null-le.pcap", "BSD NULL, little-endian family; IPv6 under the three numbers it has",
     pcap(burst(struct.pack("<I", 2) + U4, *(struct.pack("<I", n) + U6 for n in (24, 28, 30))), 0),
     expect([V4, times(V6, 3)]))
case("link-null-be.pcap", "BSD NULL, big-endian family in a big-endian file",
     pcap(burst(struct.pack(">I", 2) + U4, struct.pack(">I", 30) + U6), 0, ">"),
     expect([V4, V6]))
case("link-null-other-order.pcap", "BSD NULL, big-endian family in a little-endian file",
     pcap(burst(struct.pack(">I", 2) + U4, struct.pack(">I", 30) + U6), 0),
     expect([V4, V6]))
case("link-null-unknown.pcap", "BSD NULL with a family that is not IP (7, here)",
     pcap(burst(struct.pack("<I", 7) + b"\0" * 40), 0), expect([], non_ip=1))
both("link-loop.pcap", "OpenBSD LOOP, family in network order", 108,
     lambda packet: struct.pack(">I", 24 if packet[0] >> 4 == 6 else 2) + packet)

case("link-80211.pcap", "802.11 data: to and from the distribution system, neither, QoS, four addresses",
     pcap(burst(wlan(snap(U4)), wlan(snap(U4), to_ds=False, from_ds=True),
                wlan(snap(U4), to_ds=False), wlan(snap(U4), subtype=8),
                wlan(snap(U4), from_ds=True), wlan(snap(U4), from_ds=True, subtype=8),
                wlan(snap(U6))), 105),
     expect([times(V4, 6), V6]))
case("link-80211-ht-control.pcap", "802.11 QoS data with an HT control field (order bit)",
     pcap(burst(wlan(snap(U4), subtype=8, order=True)), 105), expect([V4]))
case("link-80211-no-ip.pcap", "802.11: encrypted data, null function, QoS null, beacon, ACK",
     pcap(burst(wlan(b"\x01\x02\x03\x20\0\0\0\0" + b"\x5a" * 60, protected=True),
                wlan(b"", subtype=4), wlan(b"", subtype=12),
                b"\x80\0\0\0" + b"\xff" * 6 + MAC_A + MAC_A + b"\x10\0" + b"\0" * 8 + b"\x64\0\x01\0\0\x04weir",
                b"\xd4\0\0\0" + MAC_A), 105),
     expect([], non_ip=5))
case("link-radiotap.pcap", "802.11 behind radiotap, with and without fields, with a trailing FCS",
     pcap(burst(radiotap(wlan(snap(U4))), radiotap(wlan(snap(U4), subtype=8), 0),
                radiotap(wlan(snap(U6)) + b"\xde\xad\xbe\xef", 0x10)), 127),
     expect([times(V4, 2), V6]))
case("link-radiotap-pad.pcap", "radiotap tells of padding between a 26-byte 802.11 header and the data",
     pcap(burst(radiotap(wlan(snap(U4), subtype=8, behind_header=b"\0\0"), 0x20)), 127),
     expect([V4]))
both("link-ppi.pcap", "802.11 behind PPI", 192, lambda packet: ppi(wlan(snap(packet))))

both("link-nflog.pcap", "NFLOG, attributes in little-endian order", 239, nflog)
case("link-nflog-be.pcap", "NFLOG in a big-endian file, attributes in that order",
     pcap(burst(nflog(U4, ">"), nflog(U6, ">")), 239, ">"), expect([V4, V6]))

case("link-frame-relay.pcap", "Frame Relay: NLPID, SNAP with and without its pad byte, Cisco, LMI",
     pcap(burst(frame_relay(b"\x03\xcc" + U4), frame_relay(b"\x03\x8e" + U6),
                frame_relay(b"\x03\0\x80\0\0\0\x08\0" + U4),
                frame_relay(b"\x03\x80\0\0\0\x08\0" + U4),
                frame_relay(b"\x08\0" + U4), frame_relay(b"\x86\xdd" + U6),
                frame_relay(b"\x03\x08\0\x75\x95\x01\x01\0\x03\x02\x01\0", dlci=0)), 107),
     expect([times(V4, 4), times(V6, 2)], non_ip=1))

case("link-hdlc.pcap", "Cisco HDLC: unicast, multicast, IPv6, SLARP",
     pcap(burst(hdlc(U4), hdlc(U4, address_byte=0x8f), hdlc(U6),
                hdlc(b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\xff\xff\0\0\0\0", 0x8035)), 104),
     expect([times(V4, 2), V6], non_ip=1))

ARP = b"\0\x01\x08\0\x06\x04\0\x01" + MAC_A + address(A4) + b"\0" * 6 + address(B4)
LLDP = b"\x02\x07\x04" + MAC_A + b"\x04\x07\x03" + MAC_A + b"\x06\x02\0\x78\0\0"
STP = b"\x42\x42\x03" + b"\0\0\0\0\0" + (b"\x80\0" + MAC_A + b"\0\0\0\0") \
    + (b"\x80\0" + MAC_A + b"\x80\x01") + b"\0\0\x14\0\x02\0\x0f\0"

case("no-ip.pcap", "ARP, LLDP, spanning tree, an ethertype nobody has",
     pcap(burst(eth(ARP, 0x0806), eth(LLDP, 0x88cc, dst=bytes.fromhex("0180c200000e")),
                ieee8023(STP, dst=bytes.fromhex("0180c2000000")), eth(b"\x45" * 46, 0x88b5))),
     expect([], non_ip=4))
case("no-ip-link-type.pcap", "a link type for private use (147): nothing is known about the inside",
     pcap(burst(U4, U6), 147), expect([], non_ip=2))


def cut(name, shows, link, *frames):
    """Frames that end before their payload is named, wire length as it was."""
    case(name, shows, pcap([(0, frame, 200) for frame in frames], link),
         expect([], malformed=len(frames)))


cut("cut-ethernet.pcap", "captured bytes end inside the Ethernet header (and before it)", 1,
    eth(U4)[:13], b"")
cut("cut-vlan.pcap", "… inside an 802.1Q tag", 1,
    tagged([(0x8100, 1)], U4)[:17], tagged([(0x8100, 1)], U4)[:14])
cut("cut-snap.pcap", "… inside LLC and SNAP", 1,
    ieee8023(snap(U4))[:15], ieee8023(snap(U4))[:20])
cut("cut-mpls.pcap", "… inside the label stack, and right behind it", 1,
    eth(mpls([16, 17], U4), 0x8847)[:20], eth(mpls([16], U4), 0x8847)[:18])
cut("cut-pppoe.pcap", "… inside PPPoE", 1,
    eth(pppoe(0x21, U4), 0x8864)[:19], eth(pppoe(0x21, U4), 0x8864)[:21])
cut("cut-ppp.pcap", "… inside PPP", 9, b"\xff\x03\0", b"\xff\x03", b"\0")
cut("cut-sll.pcap", "… inside the Linux cooked header", 113, sll(U4)[:15])
cut("cut-sll2.pcap", "… inside the Linux cooked header, version 2", 276, sll2(U4)[:19])
cut("cut-null.pcap", "… inside the BSD NULL header", 0, b"\x02\0\0")
cut("cut-80211.pcap", "… inside the 802.11 header, and inside SNAP behind it", 105,
    wlan(snap(U4))[:23], wlan(snap(U4))[:30])
cut("cut-radiotap.pcap", "… inside radiotap; and radiotap longer than the frame", 127,
    radiotap(wlan(snap(U4)))[:7], struct.pack("<BBHI", 0, 0, 400, 0) + wlan(snap(U4)))
cut("cut-nflog.pcap", "… inside NFLOG's attributes, before the packet's", 239, nflog(U4)[:14])
cut("cut-frame-relay.pcap", "… inside Frame Relay", 107, b"\x18", b"\x18\x41\x03")
cut("cut-hdlc.pcap", "… inside Cisco HDLC", 104, b"\x0f\0\x08")

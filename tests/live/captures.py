"""The captures that are replayed live: a row each, chosen from the shared ones.

Ethernet, no frame cut by a snapshot, none longer than the MTU, and less than an hour from first packet to last,
so that no timeout of 3600 s ends a flow in the replay.
"""
import os
from collections import namedtuple

import probe

FOLDER = os.environ.get("WEIR_PCAPS") or os.path.join(probe.TOP, "..", "shared", "pcaps")

# mtu  the least that lets its frames pass; gate: all its IP packets survive a gateway's checks and are untagged
Capture = namedtuple("Capture", "name mtu gate short shows", defaults=(True, ""))

CAPTURES = [
    Capture("arkime-ah-esp.pcap", 1500, True, True, "AH, ESP"),
    Capture("arkime-bigendian.pcap", 1500, True, False, "byte order"),
    Capture("arkime-gre-sample.pcap", 1500, True, False, "GRE"),
    Capture("arkime-gtp-u.pcap", 1500, True, True, "GTP-U"),
    Capture("arkime-igmp.pcap", 1500, True, True, "multicast, frames under 60"),
    Capture("arkime-ipv6-in-ipv4.pcap", 1500, True, False, "6in4"),
    Capture("arkime-long-session.pcap", 1500, False, False, "a long TCP session"),
    Capture("arkime-mpls-basic.pcap", 1500, False, True, "MPLS, LDP"),
    Capture("arkime-padded-udp.pcap", 1500, True, True, "padding"),
    Capture("arkime-pim.pcap", 1500, True, False, "PIM"),
    Capture("arkime-pppoe.pcap", 1500, False, True, "PPPoE"),
    Capture("arkime-sctp-www.pcap", 1500, True, True, "SCTP"),
    Capture("arkime-twovlan.pcap", 9000, False, True, "two tags, jumbo frames"),
    Capture("arkime-v6-http.pcap", 1500, True, True, "IPv6 TCP"),
    Capture("ipfixprobe-mixed.pcap", 1500, True, True, "ARP, ICMP, DNS"),
    Capture("ipfixprobe-vlan.pcap", 1500, False, True, "a tag and none"),
    Capture("joy-firefox58.pcap", 1500, True, True, "browsing"),
    Capture("markofu-ftp-crack.pcap", 1500, True, False, "many short connections"),
    Capture("ndpi-bitcoin.pcap", 1500, True, True, "long connections"),
    Capture("ndpi-reddit.pcap", 9000, True, False, "browsing, frames over 1514"),
    Capture("pcpp-4KHttpRequests.pcap", 1500, True, False, "requests only"),
    Capture("pcpp-example.pcap", 1500, True, True, "HTTP"),
    Capture("pcpp-ip4_fragments.pcap", 1500, True, True, "fragments"),
    Capture("pcpp-nanosecs.pcap", 1500, False, True, "frames of 16 bytes"),
    Capture("rustiflow-nmap_tcp_syn_version.pcap", 1500, True, False, "a scan"),
    Capture("sanders-arppoison.pcapng", 1500, True, False, "ARP"),
    Capture("sanders-icmp_traceroute.pcapng", 1500, True, True, "ICMP errors"),
    Capture("sanders-icmpv6_neighbor_solicitation.pcapng", 1500, True, True, "ND"),
    Capture("sanders-ip_frag_source.pcapng", 1500, False, False, "ICMP fragments"),
    Capture("sanders-ipv6_fragments.pcapng", 1500, True, True, "IPv6 fragments"),
    Capture("sanders-synscan.pcapng", 1500, True, True, "a thousand SYNs and RSTs"),
    Capture("sanders-tcp_dupack.pcapng", 1500, True, False, "duplicate ACKs"),
    Capture("sanders-tcp_refuseconnection.pcapng", 1500, True, False, "RST"),
    Capture("sanders-tcp_retransmissions.pcapng", 1500, True, False, "retransmissions"),
    Capture("sanders-tcp_teardown.pcapng", 1500, True, False, "FIN"),
    Capture("sanders-tcp_zerowindowrecovery.pcapng", 1500, True, False, "windows"),
    Capture("scapy-ikev2_nat_t.pcapng", 1500, True, False, "ESP in UDP"),
    Capture("suricata-dhcp-request-flood-test.pcap", 1500, True, False, "10,000 packets of one flow"),
    Capture("tcpdump-802.1ad_QinQ.pcap", 1500, False, True, "802.1ad"),
    Capture("tcpdump-OSPFv3_broadcast_adjacency.pcap", 1500, True, False, "OSPFv3"),
    Capture("tcpdump-dccp_partial_csum_v4_longer.pcap", 1500, True, True, "DCCP"),
    Capture("tcpdump-erspan-type-ii-3.pcap", 1500, True, False, "ERSPAN"),
    Capture("tcpdump-geneve.pcap", 1500, True, False, "GENEVE"),
    Capture("tcpdump-ipv6-srh-ext-header.pcap", 1500, True, True, "segment routing"),
    Capture("tcpdump-pptp.pcap", 1500, True, False, "PPTP"),
    Capture("tcpdump-various_gre.pcap", 1500, False, True, "GRE below a tag"),
    Capture("tcpdump-vxlan.pcap", 1500, True, False, "VXLAN"),
    Capture("zeek-4in4.pcap", 1500, True, False, "4in4"),
    Capture("zeek-Teredo.pcap", 1500, True, False, "Teredo"),
    Capture("zeek-echo-connections.pcap", 1500, True, False, "82,000 packets of short connections"),
    Capture("zeek-fin_retransmission.pcap", 1500, True, False, "FIN again"),
]

# (name, mtu, in the short run): at their own pace, with the default timeouts.
PACED = [
    ("sanders-synscan.pcapng", 1500, True),
    ("pcpp-example.pcap", 1500, True),
    ("joy-firefox58.pcap", 1500, True),
    ("ndpi-reddit.pcap", 9000, False),
    ("arkime-mpls-basic.pcap", 1500, False),
    ("rustiflow-nmap_tcp_syn_version.pcap", 1500, False),
    ("zeek-echo-connections.pcap", 1500, False),
]


def path_of(name):
    return os.path.join(FOLDER, name)

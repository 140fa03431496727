"""Talk between two namespaces, watched at a mirror port in a third; what weir says against what the kernel counted.

The kernel counts a link's bytes with 14 of Ethernet a packet; ARP frames have 42. So the link's bytes are
octets + 14 * metered + 42 * non_ip, to the byte, as long as each packet of the link is one packet of the wire. Where
the kernel hands on super-packets, its TCP counts segments (Tcp OutSegs) and its IP their octets (IpExt OutOctets).
"""
import functools
import json
import os
import re
import subprocess
import sys
import time

import frame
import inputs
import lab
import probe

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py")
ETHERNET, ARP = 14, 42
CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
CLIENT6, SERVER6 = "fd77::1", "fd77::2"
TCP_HEADERS = 20 + 32  # IPv4, TCP with its time stamps: what each segment of a super-packet gets
MIB = 1 << 20
# A veth with XDP on it holds 256 packets: no more than that are on their way at a time.
SMALL_WINDOW = ("net.ipv4.tcp_rmem=4096 65536 131072", "net.ipv4.tcp_wmem=4096 65536 131072")

MIRRORS = {
    "tc": (("tc", "qdisc add dev b0 clsact"),
           ("tc", "filter add dev b0 ingress protocol all u32 match u32 0 0 action mirred egress mirror dev mir"),
           ("tc", "filter add dev b0 egress protocol all u32 match u32 0 0 action mirred egress mirror dev mir")),
    "nft": (("nft", "add table netdev m"),
            ("nft", "add chain netdev m i { type filter hook ingress device b0 priority 0; }"),
            ("nft", "add chain netdev m e { type filter hook egress device b0 priority 0; }"),
            ("nft", "add rule netdev m i dup to mir"), ("nft", "add rule netdev m e dup to mir")),
}


class Talk(lab.Lab):
    """Client a, server b, and m, which sees at m1 what passes b0 both ways."""

    def __init__(self, mirror="tc", offloads=False):
        super().__init__()
        self.offloads = offloads
        self.a, self.b, self.m = self.space("a"), self.space("b"), self.space("m")
        self.link(self.b, "mir", self.m, "m1", mtu=9000, offloads=offloads)
        self.link(self.a, "a0", self.b, "b0", quiet=False, offloads=offloads)
        for space, link in ((self.a, "a0"), (self.b, "b0")):
            space.ip("link set %s down" % link)  # nothing is said before somebody listens
            space.sysctl(*SMALL_WINDOW)
        for program, words in MIRRORS[mirror]:
            try:
                self.b.run(program, *words.split())
            except lab.Failed as why:
                raise lab.Skip("no mirror by %s: %s" % (program, str(why).splitlines()[0])) from None
        self.servers = []

    def up(self, ipv6=False):
        for space, link, address, address6 in ((self.a, "a0", CLIENT, CLIENT6), (self.b, "b0", SERVER, SERVER6)):
            if ipv6:
                space.sysctl("net.ipv6.conf.%s.disable_ipv6=0" % link, "net.ipv6.conf.%s.accept_dad=0" % link,
                             "net.ipv6.conf.%s.router_solicitations=0" % link)
            space.ip("link set %s up" % link)
            space.ip("addr add %s/24 dev %s" % (address, link))
            if ipv6:
                space.ip("addr add %s/64 dev %s nodad" % (address6, link))

    def serve(self, *words):
        server = self.b.popen([sys.executable, PEER, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.servers.append(server)
        lab.check(server.stdout.readline() == b"ready\n", "peer.py %s does not start" % " ".join(words))

    def fetch(self, address, size, *options):
        where = "[%s]" % address if ":" in address else address
        got = self.a.run("curl", "-s", "-S", "-o", "/dev/null", "-w", "%{size_download}", *options,
                         "http://%s:8080/%d" % (where, size), timeout=180).stdout
        lab.check(int(got) == size, "curl got %s of %d bytes" % (got, size))

    def silence(self):
        """Ends all traffic; what the link carried: (packets, bytes)."""
        self.a.ip("link set a0 down")
        self.b.ip("link set b0 down")
        got = self.b.counters("b0")
        return got["rx_packets"] + got["tx_packets"], got["rx_bytes"] + got["tx_bytes"]

    def mib(self, which, name):
        """A counter of the kernel's protocols, of both ends."""
        total = 0
        for space in (self.a, self.b):
            lines = [line.split() for line in space.run("cat", "/proc/net/snmp", "/proc/net/netstat").stdout.splitlines()]
            for head, values in zip(lines[::2], lines[1::2]):
                if head[0] == which + ":":
                    total += int(values[head.index(name)])
        return total

    def close(self):
        for server in getattr(self, "servers", []):
            server.kill()
            server.wait()
            server.stdout.close()
        self.servers = []
        super().close()


def spec_at(row, port):
    return row.spec.replace("p1", port)


def watch(talk, row, folder, fields=None):
    return probe.Weir(talk.m, spec_at(row, "m1"), row.options, folder, fields)


def finish(talk, weir):
    """Ends traffic, then weir once it has seen all; what the link carried, records, books."""
    packets, octets = talk.silence()
    lost, shown = talk.b.counters("mir")["tx_dropped"], talk.m.counters("m1")["rx_packets"]
    lab.check(lost == 0 and (packets == shown or talk.offloads),  # a port with XDP gets no super-packets
              "the link carried %d packets, the mirror showed %d and lost %d" % (packets, shown, lost))
    weir.wait_observed(shown, 2)
    records, books = weir.stop()
    lab.check(books["dropped"] == 0, "weir dropped %d packets" % books["dropped"])
    return packets, octets, records, books


def agree(packets, octets, books):
    """Link counters against the books, to the byte."""
    seen = books["record_octets"] + ETHERNET * books["metered"] + ARP * books["non_ip"]
    lab.check(books["observed"] == packets, "the link carried %d packets, weir observed %d" % (packets, books["observed"]))
    lab.check(seen == octets, "the link carried %d bytes, weir metered %d" % (octets, seen))


# ---- cases ---------------------------------------------------------------------------------------

def http(row, mirror, size, folder):
    """A transfer without offloads: every packet is one of the wire."""
    with Talk(mirror) as talk, watch(talk, row, folder) as weir:
        talk.up()
        talk.serve("http", SERVER, "8080")
        talk.fetch(SERVER, size, "--limit-rate", "100M")
        packets, octets, records, books = finish(talk, weir)
    agree(packets, octets, books)
    tcp = [r for r in records if r["protocolIdentifier"] == 6]
    back = sum(r["reverseOctetDeltaCount"] for r in tcp)
    lab.check(all(r["destinationTransportPort"] == 8080 for r in tcp) and back > size,
              "not the transfer: %s" % (tcp[:2],))


def http_offloaded(row, size, folder):
    """A transfer in super-packets: weir counts the segments that a wire would carry, as TCP does."""
    with Talk(offloads=True) as talk, watch(talk, row, folder) as weir:
        talk.up()
        talk.serve("http", SERVER, "8080")
        talk.fetch(SERVER, size)
        time.sleep(0.2)  # the last acknowledgements
        packets, _, records, books = finish(talk, weir)
        # this kernel's OutSegs leaves out what is sent again, as RFC 1213 has it
        segments = talk.mib("Tcp", "OutSegs") + talk.mib("Tcp", "RetransSegs")
        octets = talk.mib("IpExt", "OutOctets")
    skbs = packets - books["non_ip"]
    lab.check(segments > skbs * 1.1, "no super-packets were sent: %d segments in %d" % (segments, skbs))
    lab.check(books["metered"] == segments, "TCP sent %d segments, weir metered %d" % (segments, books["metered"]))
    want = octets + (segments - skbs) * TCP_HEADERS
    lab.check(books["record_octets"] == want, "the wire carries %d octets, weir metered %d" % (want, books["record_octets"]))


def ping(talk, address, count):
    talk.a.run("ping", "-q", "-c", str(count), "-i", "0.01", "-s", "100", "-W", "2", address)


def totals(records, **wanted):
    """(records, packets, octets, reverse packets, reverse octets) of those that match."""
    found = [r for r in records if all(r.get(k) == v for k, v in wanted.items())]
    return (len(found), sum(r["packetDeltaCount"] for r in found), sum(r["octetDeltaCount"] for r in found),
            sum(r["reversePacketDeltaCount"] for r in found), sum(r["reverseOctetDeltaCount"] for r in found))


def asked_of(records, address, port):
    """totals() of the flows with a server, whoever the record says began: the mirror's port has a queue for each CPU, where
    the answer to a datagram may overtake it."""
    ends = ("sourceIPv6Address", "destinationIPv6Address") if ":" in address else ("sourceIPv4Address", "destinationIPv4Address")
    flows, *there = totals(records, destinationTransportPort=port, **{ends[1]: address})
    turned, *back = totals(records, sourceTransportPort=port, **{ends[0]: address})
    return (flows + turned, *(a + b for a, b in zip(there, back[2:] + back[:2])))


def expect(what, got, want):
    lab.check(got == want, "%s: weir says %s, sent were %s" % (what, got, want))


def mixed(row, folder):
    """Echoes, names and pages over IPv4 and IPv6."""
    with Talk() as talk, watch(talk, row, folder) as weir:
        talk.up(ipv6=True)
        for address in (SERVER, SERVER6):
            talk.serve("http", address, "8080")
            talk.serve("dns", address, "53")
        for address in (SERVER, SERVER6):
            ping(talk, address, 20)
            talk.fetch(address, 2 * MIB)
        asked = [json.loads(talk.a.run(sys.executable, PEER, "ask", address, "53", "50").stdout)
                 for address in (SERVER, SERVER6)]
        packets, octets, records, books = finish(talk, weir)
    agree(packets, octets, books)
    expect("echoes", totals(records, icmpTypeCodeIPv4=2048), (1, 20, 20 * 128, 20, 20 * 128))
    expect("IPv6 echoes", totals(records, icmpTypeCodeIPv6=32768), (1, 20, 20 * 148, 20, 20 * 148))
    for address, headers, said in ((SERVER, 28, asked[0]), (SERVER6, 48, asked[1])):
        expect("queries to %s" % address, asked_of(records, address, 53),
               (50, 50, said["out"] + 50 * headers, 50, said["back"] + 50 * headers))


TAGS = {"untagged": b"", "802.1Q": b"\x81\x00\x00\x2a", "802.1ad": b"\x88\xa8\x00\x2b",
        "QinQ": b"\x88\xa8\x00\x2c\x81\x00\x00\x07", "two 802.1Q": b"\x81\x00\x00\x2d\x81\x00\x00\x08"}
WANTED_TAGS = {"untagged": (None, None), "802.1Q": (42, None), "802.1ad": (43, None),
               "QinQ": (44, 7), "two 802.1Q": (45, 8)}


def tagged(row, folder):
    """Tags written by the sender: taken off by the kernel, put back by the input."""
    frames = [frame.udp(1000 + n, size, tags) for n, tags in enumerate(TAGS.values()) for size in range(0, 200, 10)]
    fields = "sourceTransportPort,packetDeltaCount,octetDeltaCount,vlanId,dot1qCustomerVlanId"
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, row.options, folder, fields) as weir:
        with frame.Sender(rig.tx, "p0") as sender:
            sender.send(*frames)
        records, books = weir.stop()
    lab.check(books["metered"] == len(frames), "sent %d, metered %d" % (len(frames), books["metered"]))
    for n, kind in enumerate(TAGS):
        got = [(r["packetDeltaCount"], r["octetDeltaCount"], r.get("vlanId") or None, r.get("dot1qCustomerVlanId") or None)
               for r in records if r["sourceTransportPort"] == 1000 + n]
        expect(kind, got, [(20, 20 * 28 + sum(range(0, 200, 10)), *WANTED_TAGS[kind])])


def vlan_devices(row, folder):
    """VLAN interfaces of the kernel at both ends."""
    with Talk() as talk, watch(talk, row, folder) as weir:
        for space, link, address in ((talk.a, "a0", "10.78.0.1"), (talk.b, "b0", "10.78.0.2")):
            space.ip("link set %s up" % link)
            try:
                space.ip("link add link %s name v42 type vlan id 42" % link)
            except lab.Failed:
                raise lab.Skip("this kernel has no VLAN devices") from None
            space.ip("link set v42 up")
            space.ip("addr add %s/24 dev v42" % address)
        ping(talk, "10.78.0.2", 20)
        _, _, records, _ = finish(talk, weir)
    expect("echoes", totals(records, icmpTypeCodeIPv4=2048, vlanId=42), (1, 20, 20 * 128, 20, 20 * 128))


# ---- through a gateway ---------------------------------------------------------------------------

FORWARD_RULES = """
table inet gate {
	counter passed { }
	chain forward {
		type filter hook forward priority -200;
		counter name passed
		log group %d
	}
}
"""


class Gateway(Talk):
    """Client and server in networks of their own, and g between them, which shows weir what it forwards."""

    def __init__(self):
        lab.Lab.__init__(self)
        self.servers = []
        self.a, self.g, self.b = self.space("a"), self.space("g"), self.space("b")
        for space, link, network, host in ((self.a, "a0", "10.77.1", 1), (self.b, "b0", "10.77.2", 2)):
            self.link(space, link, self.g, "g" + link, quiet=False)
            space.ip("addr add %s.%d/24 dev %s" % (network, host, link))
            self.g.ip("addr add %s.254/24 dev g%s" % (network, link))
            space.ip("route add default via %s.254" % network)
        self.g.sysctl("net.ipv4.ip_forward=1")
        self.g.nft(FORWARD_RULES % inputs.GROUP)
        inputs.queue(self.g, "mangle", "FORWARD")

    def passed(self):
        """(packets, octets) that were forwarded, as netfilter counts."""
        text = self.g.run("nft", "list", "counter", "inet", "gate", "passed").stdout
        return tuple(map(int, re.search(r"packets (\d+) bytes (\d+)", text).groups()))


def gateway(row, size, folder):
    """What a gateway forwards, with both its interfaces; and it forwards on when weir is killed."""
    with Gateway() as talk, probe.Weir(talk.g, row.spec, row.options, folder) as weir:
        talk.serve("http", "10.77.2.2", "8080")
        ping(talk, "10.77.2.2", 20)
        talk.fetch("10.77.2.2", size, "--limit-rate", "40M")
        time.sleep(0.2)
        packets, octets = talk.passed()
        records, books = weir.stop()
        index = [int(talk.g.run("cat", "/sys/class/net/%s/ifindex" % name).stdout) for name in ("ga0", "gb0")]
        with probe.Weir(talk.g, row.spec, row.options) as second:
            second.kill()
        ping(talk, "10.77.2.2", 5)
    lab.check((books["metered"], books["record_octets"]) == (packets, octets),
              "%d packets, %d octets were forwarded, metered were %d, %d" %
              (packets, octets, books["metered"], books["record_octets"]))
    expect("echoes", totals(records, icmpTypeCodeIPv4=2048), (1, 20, 20 * 128, 20, 20 * 128))
    for r in records:
        expect("interfaces of %s" % r["sourceIPv4Address"],
               [r.get("ingressInterface"), r.get("reverseIngressInterface")], index)


def cases(full):
    found = []
    size = 1 << 30 if full else 100 * MIB
    for row in inputs.of_ports(full):
        found += [("mixed[%s]" % row.name, functools.partial(mixed, row)),
                  ("tagged[%s]" % row.name, functools.partial(tagged, row)),
                  ("vlan[%s]" % row.name, functools.partial(vlan_devices, row)),
                  ("http[%s,tc]" % row.name, functools.partial(http, row, "tc", size)),
                  ("http[%s,nft]" % row.name, functools.partial(http, row, "nft", 10 * MIB))]
        if row.segments:
            found.append(("offloaded[%s]" % row.name, functools.partial(http_offloaded, row, size)))
    for row in inputs.of_rig("gate")[0]:
        found.append(("gateway[%s]" % row.name, functools.partial(gateway, row, size // 10)))
    return found

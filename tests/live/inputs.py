"""THE table of live inputs, and the rigs they are tested on. A new input is a row."""
import functools
import time
from collections import namedtuple

import lab
import probe

# name     of the row; its scheme first
# rig      what it watches: a port, a port of its own (it takes the packets away), a gateway or one of two queues
# spec     what follows -i
# options  of weir
# needs    what `weir --version` lists among its inputs, or the row is skipped; None: always built
# segments what it makes of a super-packet: True: counts its segments as on the wire
# joins    p1+p2 can be one logical interface
# variant  of the row above it: the short run only sends it captures and kills it
# bench    it has a row in the live benchmark
Input = namedtuple("Input", "name rig spec options needs segments joins variant bench",
                   defaults=((), None, False, False, False, True))

QUEUE, GROUP = 5, 7

INPUTS = [
    Input("ring", "port", "ring:p1", ("--workers", "1"), "ring", segments=True, joins=True),
    Input("ring-2", "port", "ring:p1", ("--workers", "2"), "ring", segments=True, joins=True, variant=True),
    Input("ring-4", "port", "ring:p1", ("--workers", "4"), "ring", segments=True, joins=True, variant=True, bench=False),
    Input("pcap", "port", "pcap:p1", joins=True),
    Input("xdp", "alone", "xdp:p1", (), "xdp", segments=True, joins=True),
    Input("xdp-generic", "alone", "xdp:p1,generic", (), "xdp", variant=True),
    Input("nfqueue", "gate", "nfqueue:%d" % QUEUE, (), "nfqueue"),
    Input("nfqueue-2", "gate-2", "nfqueue:%d-%d" % (QUEUE, QUEUE + 1), ("--workers", "2"), "nfqueue", variant=True),
    Input("nflog", "gate", "nflog:%d" % GROUP, (), "nflog"),
]


@functools.lru_cache(maxsize=None)
def built_in():
    (line,) = [line for line in probe.version().splitlines() if line.startswith("inputs:")]
    return line.split()[1:]


def lacks(row):
    """Why a row cannot be tested with this build, or None."""
    if row.needs is None or row.needs in built_in():
        return None
    return "%s: this weir is built without %s" % (row.name, row.needs)


def of_ports(full, variants=False):
    """Rows of ports to test, with variants of a row in the full run or when asked for."""
    return [row for kind in ("port", "alone") for row in of_rig(kind)[0] if full or variants or not row.variant]


def of_rig(kind):
    """(rows to test, reasons why others are not)."""
    rows = [row for row in INPUTS if row.rig == kind]
    return [row for row in rows if not lacks(row)], [lacks(row) for row in rows if lacks(row)]


class PortRig:
    """A sender's p0 and the watched p1; nothing else speaks there."""

    def __init__(self, mtu=1500, queues=1):
        self.lab = lab.Lab()
        self.tx, self.rx = self.lab.space("tx"), self.lab.space("rx")
        self.lab.link(self.tx, "p0", self.rx, "p1", mtu, queues=queues)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.close()

    def send(self, path, *pace):
        """Replays a capture into p0; all of it must have got there."""
        before = self.rx.counters("p1")
        self.tx.run("tcpreplay", "-q", "-i", "p0", *(pace or ("--pps", "20000")), path, timeout=180)
        after = self.rx.counters("p1")
        return after["rx_packets"] - before["rx_packets"]


# What comes in at p1 is taken as if it were for this host, shown to nflog and to the queue, and then
# not forwarded: there is no route. (skb type "host": captures have other people's MAC addresses.)
GATE_RULES = """
table netdev gate {
	chain in {
		type filter hook ingress device p1 priority 0;
		meta pkttype set host
	}
}
table inet gate {
	chain pre {
		type filter hook prerouting priority -301;
		iifname != p1 accept
		log group %d
	}
	chain post {
		type filter hook prerouting priority -299;
		counter name passed
	}
	counter passed { }
}
"""


ONE_QUEUE = ("--queue-num", str(QUEUE))
TWO_QUEUES = ("--queue-balance", "%d:%d" % (QUEUE, QUEUE + 1))


def queue(space, table, chain, *match, queues=ONE_QUEUE):
    """Sends packets through weir's queue; nft's own statement for it is in few kernels."""
    for program in ("iptables", "ip6tables"):
        space.run(program, "-t", table, "-A", chain, *match, "-j", "NFQUEUE", *queues, "--queue-bypass")


class GateRig(PortRig):
    """The same, with p1 a gateway's port."""

    def __init__(self, queues=ONE_QUEUE):
        super().__init__()
        self.rx.sysctl("net.ipv6.conf.p1.accept_ra=0", "net.ipv6.conf.p1.accept_dad=0",
                       "net.ipv6.conf.p1.addr_gen_mode=1", "net.ipv6.conf.p1.disable_ipv6=0",
                       "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.p1.rp_filter=0")
        self.rx.nft(GATE_RULES % GROUP)
        queue(self.rx, "raw", "PREROUTING", "-i", "p1", queues=queues)

    def passed(self):
        """Packets that went on behind the queue."""
        words = self.rx.run("nft", "list", "counter", "inet", "gate", "passed").stdout.split()
        return int(words[words.index("packets") + 1])

    def wait_passed(self, packets, seconds=5):
        end = time.monotonic() + seconds
        while self.passed() < packets and time.monotonic() < end:
            time.sleep(0.02)
        lab.check(self.passed() == packets, "%d of %d packets went on" % (self.passed(), packets))


RIGS = {"port": PortRig, "alone": PortRig, "gate": GateRig, "gate-2": functools.partial(GateRig, TWO_QUEUES)}
GATES = ("gate", "gate-2")

"""What AF_XDP ports and netfilter queues do that other inputs do not: take packets away, give verdicts, know both interfaces."""
import os
import signal
import struct
import subprocess
import time

import case_traffic
import frame
import inputs
import lab
import probe

BPF_PASS = '__attribute__((section("xdp"), used)) int pass(void *c) { return 2; }\n'
A, B, NET_A, NET_B = "10.79.1.2", "10.79.2.2", "10.79.1.1/24", "10.79.2.1/24"


def needs(word):
    """Skips when this build lacks an input."""
    if word not in inputs.built_in():
        raise lab.Skip("this weir is built without %s" % word)


def refused(space, spec, status, *words):
    """weir must say no: with this status and one line that has these words."""
    done = subprocess.run(space.command([probe.WEIR, "-i", spec, "-o", "null:"]), capture_output=True,
                          text=True, timeout=20, check=False, preexec_fn=lab.end_with_parent)
    lines = [line for line in done.stderr.splitlines() if " error " in line]
    lab.check(done.returncode == status, "%s: exit status %d: %s" % (spec, done.returncode, done.stderr))
    lab.check(len(lines) == 1 and all(word in lines[0] for word in words),
              "%s: %s are not in one line: %s" % (spec, words, done.stderr))


# ---- AF_XDP --------------------------------------------------------------------------------------

def xdp_leaves_the_host_its_ports(_):
    """A port that has an address, or something upon it that has one, is taken only when that is meant."""
    needs("xdp")
    with inputs.PortRig() as rig:
        rig.rx.ip("addr add 192.0.2.77/24 dev p1")
        refused(rig.rx, "xdp:p1", 2, "192.0.2.77", "xdp:p1,force", "ring:p1")
        with probe.Weir(rig.rx, "xdp:p1,force") as weir, frame.Sender(rig.tx, "p0") as sender:
            sender.send(*[frame.udp(1)] * 3)
            _, books = weir.stop()
        lab.check(books["metered"] == 3, "forced: metered %d of 3" % books["metered"])
        rig.rx.ip("addr flush dev p1")
        rig.rx.sysctl("net.ipv6.conf.p1.disable_ipv6=0")
        rig.rx.ip("addr add fe80::77/64 dev p1 nodad")
        with probe.Weir(rig.rx, "xdp:p1") as weir:
            weir.stop()
        rig.rx.ip("addr add 2001:db8::77/64 dev p1 nodad")
        refused(rig.rx, "xdp:p1", 2, "2001:db8::77", "force")
        rig.rx.ip("addr flush dev p1")
        try:
            rig.rx.ip("link add br0 type bridge")
            rig.rx.ip("link set p1 master br0")
        except lab.Failed:
            return  # no bridges in this kernel
        rig.rx.ip("addr add 192.0.2.78/24 dev br0")
        refused(rig.rx, "xdp:p1", 2, "192.0.2.78 on br0", "force")


def xdp_leaves_others_alone(folder):
    """A program of somebody else's stays; two weirs do not share a port."""
    needs("xdp")
    with inputs.PortRig() as rig:
        with probe.Weir(rig.rx, "xdp:p1") as weir:
            refused(rig.rx, "xdp:p1", 1, "another weir")
            refused(rig.rx, "xdp:p1,generic", 1, "another weir")
            weir.stop()
        path = os.path.join(folder, "pass")
        with open(path + ".c", "w", encoding="ascii") as source:
            source.write(BPF_PASS)
        made = subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-c", path + ".c", "-o", path + ".o"],
                              capture_output=True, check=False)
        if made.returncode:
            raise lab.Skip("clang makes no BPF here")
        rig.rx.ip("link set dev p1 xdp obj %s.o sec xdp" % path)
        for spec in ("xdp:p1", "xdp:p1,generic"):
            refused(rig.rx, spec, 1, "'pass'", "ip link set dev p1 xdp off")
        lab.check("xdp" in rig.rx.ip("link show p1").stdout, "the other's program is gone")
        rig.rx.ip("link set dev p1 xdp off")
        with probe.Weir(rig.rx, "xdp:p1") as weir:
            weir.stop()


def xdp_takes_all_queues(folder):
    """Packets of every queue of the port, and a number of queues that changes."""
    needs("xdp")
    many = [frame.udp(n, source=frame.CLIENT + n) for n in range(400)]
    with inputs.PortRig(queues=4) as rig:
        rig.tx.run("ethtool", "-L", "p0", "tx", "2")
        rig.rx.run("ethtool", "-L", "p1", "rx", "2")
        with probe.Weir(rig.rx, "xdp:p1", (), folder) as weir, frame.Sender(rig.tx, "p0") as sender:
            weir.wait_log("mode=native .*queues=2")
            sender.send(*many)
            weir.wait_observed(400)
            rig.rx.run("ethtool", "-L", "p1", "rx", "4")
            rig.tx.run("ethtool", "-L", "p0", "tx", "4")
            weir.wait_log("queues=4", seconds=5)
            sender.send(*many)
            weir.wait_observed(800)
            _, books = weir.stop()
    lab.check(books["metered"] == 800, "metered %d of 800" % books["metered"])


def xdp_filters(_):
    """A filter leaves out packets, which are then not observed."""
    needs("xdp")
    with inputs.PortRig() as rig:
        with probe.Weir(rig.rx, "xdp:p1", ("-f", "udp src port 7")) as weir, frame.Sender(rig.tx, "p0") as sender:
            sender.send(*(frame.udp(n % 10) for n in range(500)))
            weir.wait_observed(50)
            _, books = weir.stop()
    lab.check(books["observed"] == 50, "observed %d of 50" % books["observed"])


def xdp_says_what_is_wrong(_):
    """What cannot be opened: one line and the cure."""
    needs("xdp")
    with inputs.PortRig() as rig:
        refused(rig.rx, "xdp:none0", 1, "none0", "ip link")
        refused(rig.rx, "xdp:p1,fast", 2, "'fast'", "force, generic, copy")
        rig.rx.ip("link set p1 down")
        refused(rig.rx, "xdp:p1", 1, "ip link set p1 up")


# ---- netfilter -----------------------------------------------------------------------------------

def queue_starts_and_stops_unnoticed(_):
    """Packets pass before weir, as it starts, while it runs, as it stops, and when it is killed."""
    needs("nfqueue")
    with inputs.GateRig() as rig, frame.Sender(rig.tx, "p0") as sender:
        with frame.Flood(rig.tx, "p0", [frame.udp(1000 + n) for n in range(20)]) as flood:
            for _ in range(8):
                with probe.Weir(rig.rx, "nfqueue:%d" % inputs.QUEUE) as weir:
                    time.sleep(0.1)
                    _, books = weir.stop()
                lab.check(books["metered"] > 0 and books["dropped"] == 0, "%s" % books)
        rig.wait_passed(flood.sent)
        with probe.Weir(rig.rx, "nfqueue:%d" % inputs.QUEUE) as weir:
            weir.kill()
        sender.send(*[frame.udp(1)] * 50)
        rig.wait_passed(flood.sent + 50)


def queue_fails_open(_):
    """A probe that stands still: what its queue has no room for passes at once, the rest when it goes on; what it
    did not see is counted."""
    needs("nfqueue")
    with inputs.GateRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, "nfqueue:%d" % inputs.QUEUE) as weir:
        weir.send_signal(signal.SIGSTOP)
        burst = [frame.udp(1000 + n) for n in range(1000)]
        for _ in range(100):
            sender.send(*burst)
        end = time.monotonic() + 10
        while rig.passed() == 0 and time.monotonic() < end:
            time.sleep(0.02)
        lab.check(rig.passed() > 0, "nothing passes a queue that is full")
        weir.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        sender.send(*[frame.udp(1)] * 10)  # the gap shows with the next packet
        weir.wait_observed(100010)
        _, books = weir.stop()
        rig.wait_passed(100010)
    lab.check(books["dropped"] > 0, "100,000 packets did not overrun it")
    lab.check(books["observed"] + books["dropped"] == 100010,
              "sent 100010, observed %d + dropped %d" % (books["observed"], books["dropped"]))


def log_counts_what_it_lost(_):
    """The same with a log, for which nobody waits."""
    needs("nflog")
    with inputs.GateRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, "nflog:%d" % inputs.GROUP) as weir:
        sender.send(frame.udp(1))
        weir.wait_observed(1)
        weir.send_signal(signal.SIGSTOP)
        burst = [frame.udp(1000 + n) for n in range(1000)]
        sent = 1
        for _ in range(500):
            sender.send(*burst)
            sent += 1000
        weir.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        sender.send(*[frame.udp(1)] * 10)
        weir.wait_observed(sent + 10)
        _, books = weir.stop()
        rig.wait_passed(sent + 10)
    lab.check(books["dropped"] > 0, "%d packets did not overrun it" % sent)
    lab.check(books["observed"] + books["dropped"] == sent + 10,
              "sent %d, observed %d + dropped %d" % (sent + 10, books["observed"], books["dropped"]))


class Gateway(lab.Lab):
    """a and b, and a gateway g between them that shows what it forwards."""
    serve, fetch, mib = case_traffic.Talk.serve, case_traffic.Talk.fetch, case_traffic.Talk.mib

    def __init__(self, offloads=False):
        super().__init__()
        self.servers = []
        self.a, self.b, self.g = self.space("a"), self.space("b"), self.space("g")
        for end, name, address, own in ((self.a, "g1", A, NET_A), (self.b, "g2", B, NET_B)):
            self.link(end, "e0", self.g, name, quiet=False, offloads=offloads)
            end.ip("addr add %s/24 dev e0" % address)
            self.g.ip("addr add %s dev %s" % (own, name))
            end.ip("route add default via %s" % own.split("/")[0])
        self.g.sysctl("net.ipv4.ip_forward=1")

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
            server.stdout.close()
        self.servers = []
        super().close()

    def forward(self, *target):
        self.g.run("iptables", "-t", "mangle", "-A", "FORWARD", "-j", *target)

    def index(self, name):
        return int(self.g.run("cat", "/sys/class/net/%s/ifindex" % name).stdout)


def gateway_knows_both_interfaces(spec, target):
    def case(folder):
        needs(spec.split(":")[0])
        with Gateway() as gate:
            gate.forward(*target)
            told = os.path.join(folder, "told-" + spec.split(":")[0])
            with probe.Weir(gate.g, spec, ("-o", "ipfix-file:" + told), folder) as weir:
                gate.a.run("ping", "-q", "-c", "5", "-i", "0.02", "-W", "2", B)
                weir.wait_observed(10)
                records, _ = weir.stop()
            got = [(r["ingressInterface"], r["egressInterface"], r["reverseIngressInterface"],
                    r["reverseEgressInterface"], r["packetDeltaCount"], r["reversePacketDeltaCount"]) for r in records]
            one, two = gate.index("g1"), gate.index("g2")
            lab.check(got == [(one, two, two, one, 5, 5)], "g1 is %d, g2 %d: records %s" % (one, two, got))
            with open(told, "rb") as file:
                told = file.read()
            for index, name in ((one, b"g1"), (two, b"g2")):
                lab.check(struct.pack(">I", index) + name.ljust(32, b"\0") in told or
                          struct.pack(">IB", index, len(name)) + name in told, "%s is not named" % name)
    return case


def queue_counts_segments(folder):
    """A transfer in super-packets: the kernel cuts them for the queue, and weir counts what TCP counts."""
    needs("nfqueue")
    with Gateway(offloads=True) as gate:
        gate.forward("NFQUEUE", "--queue-num", "9", "--queue-bypass")
        gate.serve("http", B, "8080")
        with probe.Weir(gate.g, "nfqueue:9", (), folder) as weir:
            gate.fetch(B, 32 << 20)
            time.sleep(0.2)  # the last acknowledgements
            segments = gate.mib("Tcp", "OutSegs") + gate.mib("Tcp", "RetransSegs")
            sent = gate.mib("IpExt", "OutOctets")
            weir.wait_observed(segments)
            _, books = weir.stop()
    lab.check(books["metered"] == segments and books["dropped"] == 0, "TCP sent %d segments, weir metered %d, dropped %d" %
              (segments, books["metered"], books["dropped"]))
    lab.check(books["record_octets"] > sent, "%d octets in super-packets, weir metered %d" %
              (sent, books["record_octets"]))


def unknown_segments_are_said(make, spec, offloads):
    """Super-packets that cannot be taken apart count as one, and that is counted and said; others are not."""
    def case(folder):
        needs(spec.split(":")[0])
        with Gateway(offloads=offloads) as gate:
            make(gate)
            gate.serve("http", B, "8080")
            with probe.Weir(gate.g, spec, (), folder) as weir:
                gate.fetch(B, 8 << 20)
                time.sleep(1)  # ports are looked at twice a second
                segments = gate.mib("Tcp", "OutSegs") + gate.mib("Tcp", "RetransSegs")
                weir.wait_observed(1)
                _, books = weir.stop()
            merged, said = books["inputs"][0]["merged"], weir.log().count("counted as one packet each")
            lab.check(books["metered"] < segments if offloads else books["metered"] == segments,
                      "TCP sent %d segments, weir metered %d" % (segments, books["metered"]))
            lab.check((merged > 0) == offloads and said == int(offloads), "merged %d, said %d times: %s" %
                      (merged, said, weir.log()))
    return case


def balanced_queues(folder):
    """Workers that share a range of queues: every biflow is whole."""
    needs("nfqueue")
    with Gateway() as gate:
        gate.forward("NFQUEUE", "--queue-balance", "20:23", "--queue-bypass")
        for n in range(3, 40):
            gate.a.ip("addr add 10.79.1.%d/24 dev e0" % n)
        with probe.Weir(gate.g, "nfqueue:20-23", ("-w", "4"), folder) as weir:
            weir.wait_log("workers=4")
            for n in range(3, 40):
                gate.a.run("ping", "-q", "-c", "2", "-i", "0.01", "-W", "2", "-I", "10.79.1.%d" % n, B)
            weir.wait_observed(37 * 4)
            table = gate.g.run("cat", "/proc/net/netfilter/nfnetlink_queue").stdout
            records, books = weir.stop()
    pairs = [(r["packetDeltaCount"], r["reversePacketDeltaCount"]) for r in records]
    lab.check(pairs == [(2, 2)] * 37, "%d records, of packets %s" % (len(pairs), sorted(set(pairs))))
    used = [line.split() for line in table.splitlines()]
    lab.check(len({words[1] for words in used}) == 4, "the queues have not four readers: %s" % table)
    lab.check(sum(int(words[7]) > 0 for words in used) > 1, "only one queue had packets: %s" % table)
    lab.check(books["dropped"] == 0, "dropped %d" % books["dropped"])


def netfilter_says_what_is_wrong(_):
    """What cannot be opened: one line and the cure."""
    with inputs.GateRig() as rig:
        for scheme, number in (("nfqueue", inputs.QUEUE), ("nflog", inputs.GROUP)):
            needs(scheme)
            spec = "%s:%d" % (scheme, number)
            with probe.Weir(rig.rx, spec) as weir:
                refused(rig.rx, spec, 1, "read by another program")
                weir.stop()
            refused(rig.rx, scheme + ":eth0", 2, "'eth0'", "try %s:0" % scheme)
            nobody = lab.Space.command(rig.rx, ["setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all",
                                                probe.WEIR, "-i", spec, "-o", "null:"])
            done = subprocess.run(nobody, capture_output=True, text=True, timeout=20, check=False)
            lab.check(done.returncode == 1 and "CAP_NET_ADMIN" in done.stderr,
                      "without rights: status %d: %s" % (done.returncode, done.stderr))


def cases(_):
    both = [("gateway_interfaces[nfqueue]", gateway_knows_both_interfaces(
                "nfqueue:9", ("NFQUEUE", "--queue-num", "9", "--queue-bypass"))),
            ("gateway_interfaces[nflog]", gateway_knows_both_interfaces("nflog:9", ("NFLOG", "--nflog-group", "9")))]
    log = lambda gate: gate.forward("NFLOG", "--nflog-group", "9")
    both += [("unknown_segments_are_said[%s,%s]" % (spec.split(":")[0], "joined" if offloads else "single"),
              unknown_segments_are_said(make, spec, offloads))
             for spec, make in (("nflog:9", log), ("pcap:g2", lambda _: None)) for offloads in (True, False)]
    plain = [xdp_leaves_the_host_its_ports, xdp_leaves_others_alone, xdp_takes_all_queues, xdp_filters,
             xdp_says_what_is_wrong, queue_starts_and_stops_unnoticed, queue_fails_open, log_counts_what_it_lost,
             queue_counts_segments, balanced_queues, netfilter_says_what_is_wrong]
    return [(function.__name__, function) for function in plain] + both

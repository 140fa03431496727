"""What a ring has the kernel do, and what it tells of losses."""
import fcntl
import functools
import ipaddress
import os
import struct
import time
import signal

import captures
import case_faults
import case_queues
import frame
import inputs
import lab
import probe

TAG, OUTER, TEN = b"\x81\x00\x20\x64", b"\x88\xa8\x00\x65", b"\x81\x00\x00\x0a"

# frames by name: how many are sent, and what each filter must take of them, worked out from pcap-filter(7)
SENT = {"plain": 3, "tagged": 5, "double": 7, "web": 11, "web10": 13, "six": 17, "six10": 19}
SINGLE = {"tagged", "web10", "six10"}
FILTERS = [
    ("ip", {"plain", "web"}),
    ("ip6", {"six"}),
    ("vlan", SINGLE | {"double"}),
    ("vlan and ip", {"tagged", "web10"}),
    ("vlan 10", {"web10", "six10"}),
    ("vlan 10 and ip6", {"six10"}),
    ("vlan 101 and vlan 100", {"double"}),
    ("vlan 100 and udp port 9", {"tagged"}),
    ("tcp port 80", {"web"}),
    ("vlan and tcp port 80", {"web10"}),
    ("tcp port 80 or (vlan and tcp port 80)", {"web", "web10"}),
    ("not vlan", {"plain", "web", "six"}),
    ("ether proto 0x8100", SINGLE),
    ("len <= 50", {"plain", "tagged"}),
]


def filtered_frames():
    six = {"source": ipaddress.IPv6Address("2001:db8::1"), "destination": ipaddress.IPv6Address("2001:db8::2")}
    return {"plain": frame.udp(1000), "tagged": frame.udp(1001, tags=TAG), "double": frame.udp(1002, 20, tags=OUTER + TAG),
            "web": frame.tcp(1003, frame.SYN), "web10": frame.tcp(1004, frame.SYN, tags=TEN),
            "six": frame.udp6(1005, **six), "six10": frame.udp6(1006, tags=TEN, **six)}


def filters(row, folder):
    """A filter means on a port what it means on a capture: the tag is part of the frame."""
    made = filtered_frames()
    frames = [made[name] for name, count in SENT.items() for _ in range(count)]
    path = os.path.join(folder, "sent.pcap")
    frame.write_pcap(path, frames)
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender:
        for text, wanted in FILTERS:
            with probe.Weir(rig.rx, row.spec, (*row.options, "--filter", text)) as weir:
                sender.send(*frames)
                _, books = weir.stop()
            want = sum(SENT[name] for name in wanted)
            _, replayed = probe.replay(path, ("--filter", text))
            lab.check(books["observed"] == want == replayed["observed"],
                      "'%s' takes %d, observed %d at the port, %d of a capture" %
                      (text, want, books["observed"], replayed["observed"]))


def filters_at_once(row, _):
    """What came between the opening of a port and its filter's being in place is not seen, what comes then is."""
    wanted, others = frame.udp(1, port=7), [frame.udp(1000 + n) for n in range(20)]
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, frame.Flood(rig.tx, "p0", others, 0):
        for _ in range(5):
            with probe.Weir(rig.rx, row.spec, (*row.options, "--filter", "udp dst port 7")) as weir:
                sender.send(*[wanted] * 5)
                weir.wait_observed(5)
                _, books = weir.stop()
            lab.check(books["observed"] == 5 == books["metered"], "sent 5 that match, observed %d" % books["observed"])


def sampled(row, _):
    """random:N in the kernel: all are observed; of them a share is taken, as chance will have it."""
    one_in, count = 20, 40000
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, (*row.options, "--sample", "random:%d" % one_in)) as weir:
        for number in range(0, count, 100):
            sender.send(*(frame.udp(1000, source=0x0a000000 + number + n) for n in range(100)))
        _, books = weir.stop()
    lab.check(books["observed"] == count, "sent %d, observed %d" % (count, books["observed"]))
    taken, want = books["metered"], count / one_in
    lab.check(abs(taken - want) < 6 * (want * (1 - 1 / one_in)) ** 0.5, "took %d of %d" % (taken, count))
    kernels = sum(port["unsampled"] for port in books["inputs"])
    lab.check(kernels == books["unsampled"] == count - taken, "the kernel left out %d of %d" % (kernels, count - taken))


def losses(row, _):
    """Losses are said when they begin and when they have ended, once, and told port by port."""
    with inputs.PortRig() as rig, \
            probe.Weir(rig.rx, row.spec, (*row.options, "--ring-size", "1MiB")) as weir:
        weir.send_signal(signal.SIGSTOP)
        sent = rig.send(captures.path_of("zeek-echo-connections.pcap"), "--topspeed")
        weir.send_signal(signal.SIGCONT)
        weir.wait_log("packets are lost", seconds=3)
        weir.wait_log("no more packets are lost", seconds=8)
        _, books = weir.stop()
    port = books["inputs"][0]
    lab.check(books["observed"] + books["dropped"] == sent and books["dropped"] > 0,
              "sent %d, observed %d, dropped %d" % (sent, books["observed"], books["dropped"]))
    lab.check(port["dropped"] == books["dropped"] == port["dropped_ring"] and port["received"] == books["observed"],
              "the books of the port: %s" % port)
    lab.check(weir.log().count("packets are lost") == 2, weir.log())  # one contains the other's words


def in_order(row, _):
    """Two ports in one: who spoke first is the initiator, whichever port shows its packets sooner."""
    with inputs.PortRig() as rig:
        rig.lab.link(rig.tx, "q0", rig.rx, "p2")
        with frame.Sender(rig.tx, "p0") as one, frame.Sender(rig.tx, "q0") as other, \
                probe.Weir(rig.rx, row.spec.replace("p1", "p1+p2"), row.options, stream=True) as weir:
            for n in range(400):
                ask, answer = (one, other) if n % 2 else (other, one)
                ask.send(frame.udp(2000 + n, 10))
                answer.send(frame.udp(9, 20, port=2000 + n, source=frame.SERVER, destination=frame.CLIENT))
            records, _ = weir.stop()
    lab.check(len(records) == 400, "%d records of 400 talks" % len(records))
    turned = [r for r in records if r["destinationTransportPort"] != 9]
    lab.check(not turned, "%d of 400 were turned around: %s" % (len(turned), turned[:1]))
    lab.check(all(r["packetDeltaCount"] == r["reversePacketDeltaCount"] == 1 for r in records), "%s" % records[:2])


def jumbo(row, folder):
    """Frames that the sender's kernel keeps in several pieces, and their small answers, are one flow."""
    with inputs.PortRig(mtu=9000) as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, row.options, folder) as weir:
        for n in range(64):
            sender.send(frame.udp(1000, 8000, source=frame.CLIENT + (n << 8)),
                        frame.udp(9, 10, port=1000, source=frame.SERVER, destination=frame.CLIENT + (n << 8)))
        records, _ = weir.stop()
    lab.check(len(records) == 64 and all(r["reversePacketDeltaCount"] == 1 for r in records),
              "%d records of 64 talks" % len(records))


TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 0x2, 0x1000, 0x4000
NEEDS_CSUM, GSO_NONE, GSO_UDP = 1, 0, 3  # <linux/virtio_net.h>
UDP_AT, UDP_SUM_AT = 34, 6


class Tap:
    """p1 of a virtual machine's kind: what is written comes in there, with what the machine says of it."""

    def __init__(self, space):
        with frame.inside(space):
            try:
                self.fd = os.open("/dev/net/tun", os.O_RDWR)
            except OSError as why:
                raise lab.Skip("no tap devices here: %s" % why) from None
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"p1", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        space.ip("link set p1 up arp off multicast off")

    def send(self, one, gso=GSO_NONE, size=0):
        net = struct.pack("<BBHHHH", NEEDS_CSUM if gso else 0, gso, UDP_AT + 8 if gso else 0, size, UDP_AT if gso else 0,
                          UDP_SUM_AT if gso else 0)
        os.write(self.fd, net + one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)


def nameless_supers(row, _):
    """Super-packets of a kind that the kernel cannot tell a ring of (UDP to be fragmented, of a machine's): it gives
    their places in the block unfilled. They are lost, counted and said; what lies there is none of them."""
    count, supers = 10000, 40
    with lab.Lab() as own:
        space = own.space("rx")
        with Tap(space) as tap, probe.Weir(space, row.spec, (*row.options, "--ring-size", "4MiB")) as weir:
            for n in range(count):
                tap.send(frame.udp(1000, n % 1000, source=frame.CLIENT + n))
                if n > count // 2 and n % (count // 2 // supers) == 0:
                    tap.send(frame.udp(2000, 5000), GSO_UDP, 1000)
                if n % 250 == 0:  # a block each time: the ring goes round
                    weir.wait_observed(n)
            weir.wait_log("super-packets are lost that", seconds=3)
            _, books = weir.stop()
    sent = len([n for n in range(count // 2 + 1, count) if n % (count // 2 // supers) == 0])
    port = books["inputs"][0]
    lab.check((books["metered"], books["observed"], port["merged"]) == (count, count, 0) and (port["dropped_super"], port["dropped_ring"]) == (sent, 0),
              "sent %d and %d super-packets; observed %d, metered %d, merged %d, dropped %d" %
              (count, sent, books["observed"], books["metered"], port["merged"], port["dropped"]))
    lab.check(weir.log().count("super-packets are lost that") == 1, weir.log()[-600:])


def talk_of_pairs(count):
    """Both directions of so many address pairs."""
    ends = [{"source": frame.CLIENT + (n << 8), "destination": frame.SERVER + (n << 8)} for n in range(count)]
    return [one for pair in ends for one in
            (frame.udp(1000, 10, **pair),
             frame.udp(9, 20, port=1000, source=pair["destination"], destination=pair["source"]))]


def whole_again(make_again):
    """A port that goes and comes back under traffic: no flow is torn, neither by who looks at it first again nor by its
    being dealt to another worker than before."""
    def case(row, folder):
        pairs, packets = 64, talk_of_pairs(64)
        with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, (*row.options, *probe.PATIENT), folder) as weir:
            with frame.Sender(rig.tx, "p0") as sender:
                sender.send(*packets)
            weir.wait_observed(len(packets))
            for times in range(1, 4):
                make_again(rig)
                with frame.Flood(rig.tx, "p0", packets):
                    weir.wait_log("interface is back", times)
                    time.sleep(0.3)
            records, books = weir.stop()
        many = {}
        for record in records:
            many.setdefault(record["sourceIPv4Address"], []).append(record)
        torn = {ends: len(found) for ends, found in many.items() if len(found) != 1}
        lab.check(len(many) == pairs and not torn, "%d of %d pairs have several records: %s" %
                  (len(torn), len(many), list(torn.items())[:3]))
        lab.check(books["metered"] > 10 * len(packets), "metered %d" % books["metered"])
    return case


def remove_and_add(rig):
    rig.rx.ip("link del p1")
    rig.lab.link(rig.tx, "p0", rig.rx, "p1")


def bounce(rig):
    rig.rx.ip("link set p1 down")
    time.sleep(0.3)
    rig.rx.ip("link set p1 up")


def allowed_cpus(pid):
    """Of each thread, the oldest first."""
    allowed = []
    for task in sorted(map(int, os.listdir("/proc/%d/task" % pid))):
        try:
            with open("/proc/%d/task/%d/status" % (pid, task), encoding="ascii") as f:
                allowed += [line.split()[1] for line in f if line.startswith("Cpus_allowed_list")]
        except FileNotFoundError:
            pass
    return allowed


def pinned(row, _):
    """Each worker on its CPU, and nothing else of weir."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise lab.Skip("one CPU only")
    wanted = [cpus[1], cpus[0]]
    with inputs.PortRig() as rig, probe.Weir(rig.rx, "ring:p1", ("-w", "2", "--cpus", "%d,%d" % tuple(wanted))) as weir:
        end = time.monotonic() + 10
        while True:  # until the thread that fetches memory for the workers has ended
            allowed = allowed_cpus(weir.process.pid)
            right = allowed[-2:] == list(map(str, wanted)) and all("-" in one or "," in one for one in allowed[:-2])
            if right or time.monotonic() > end:
                break
            time.sleep(0.05)
        weir.stop()
    lab.check(right, "threads may run on %s" % allowed)


def says_what_is_wrong(_):
    """What cannot be meant: one line and the cure."""
    with inputs.PortRig() as rig:
        for spec, words in (("ring:", ("no interface", "ring:eth0")), ("ring:p1,force", ("no options", "try ring:p1")),
                            ("p1+", ("no two interfaces",)), ("p1+p1", ("p1 twice",)),
                            ("ring:p1+lo+p1", ("ring:p1 twice",))):
            case_queues.refused(rig.rx, spec, 2, *words)


def cases(full):
    found = [("whole_when_%s[%s]" % (what, row.name), functools.partial(whole_again(make_again), row))
             for row in inputs.INPUTS if row.name == "ring-4" or (full and row.name == "ring-2")
             for what, make_again in (("added_again", remove_and_add), ("up_again", bounce),
                                      ("back_again", case_faults.move_away_and_back))]
    for row in inputs.INPUTS:
        every = []
        if row.name.startswith("ring"):
            every = [sampled, jumbo]
        if row.name == "ring" or (full and row.name == "ring-4"):
            every += [nameless_supers]
        if row.name == "ring":
            every += [losses, pinned]
            found += [("ring_says_what_is_wrong", says_what_is_wrong)]
        if row.rig in ("port", "alone") and (full or not row.variant):
            every += [filters, filters_at_once]
        if row.joins and row.rig == "port":  # XDP gives no time: packets have that of being looked at
            every += [in_order]
        found += [("%s[%s]" % (function.__name__, row.name), functools.partial(function, row)) for function in every]
    return found

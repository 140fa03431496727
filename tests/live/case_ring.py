"""What a ring has the kernel do, and what it tells of losses."""
import functools
import os
import time
import signal

import captures
import case_queues
import frame
import inputs
import lab
import probe

TAG, OUTER = b"\x81\x00\x20\x64", b"\x88\xa8\x00\x65"

# (name, frames) by tags; what each filter must take of them, worked out from pcap-filter(7)
SENT = {"plain": 3, "tagged": 5, "double": 7}
FILTERS = [
    ("ip", {"plain"}),
    ("vlan", {"tagged", "double"}),
    ("vlan 100", {"tagged"}),
    ("vlan 101 and vlan 100", {"double"}),
    ("vlan 100 and udp port 9", {"tagged"}),
    ("udp port 9", {"plain"}),
    ("not vlan", {"plain"}),
]


def filters(row, _):
    """A filter means on a port what it means on a capture: the tag is part of the frame."""
    made = {"plain": frame.udp(1000), "tagged": frame.udp(1001, tags=TAG), "double": frame.udp(1002, tags=OUTER + TAG)}
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender:
        for text, wanted in FILTERS:
            with probe.Weir(rig.rx, row.spec, (*row.options, "--filter", text)) as weir:
                for name, count in SENT.items():
                    sender.send(*[made[name]] * count)
                _, books = weir.stop()
            want = sum(SENT[name] for name in wanted)
            lab.check(books["metered"] == want == books["observed"],
                      "'%s' takes %d, metered %d of %d" % (text, want, books["metered"], books["observed"]))


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


def cases(_):
    found = []
    for row in inputs.INPUTS:
        every = []
        if row.name.startswith("ring"):
            every = [filters, sampled, jumbo]
        if row.name == "ring":
            every += [losses, pinned]
            found += [("ring_says_what_is_wrong", says_what_is_wrong)]
        if row.joins and row.rig == "port":  # XDP gives no time: packets have that of being looked at
            every += [in_order]
        found += [("%s[%s]" % (function.__name__, row.name), functools.partial(function, row)) for function in every]
    return found

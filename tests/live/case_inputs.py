"""Several inputs of one weir, apart or joined into one logical interface; and copies that a mirror makes."""
import os
import time

import case_faults
import frame
import inputs
import lab
import probe

BACK = {"source": frame.SERVER, "destination": frame.CLIENT}


class TwoPorts(inputs.PortRig):
    """The rig of one port, and a second pair beside it: p2 watched, q0 to send into."""

    def __init__(self):
        super().__init__()
        self.lab.link(self.tx, "q0", self.rx, "p2")
        self.index = {name: int(self.rx.run("cat", "/sys/class/net/%s/ifindex" % name).stdout) for name in ("p1", "p2")}


def send_both(rig, weir):
    """Four packets out by p1, then three back by p2, of one connection."""
    with frame.Sender(rig.tx, "p0") as one, frame.Sender(rig.tx, "q0") as other:
        one.send(*[frame.udp(1000, 10)] * 4)
        weir.wait_observed(4)
        other.send(*[frame.udp(9, 20, port=1000, **BACK)] * 3)
        weir.wait_observed(7)


def counts(record):
    return (record["sourceTransportPort"], record["packetDeltaCount"], record["octetDeltaCount"],
            record["reversePacketDeltaCount"], record["reverseOctetDeltaCount"], record["ingressInterface"])


def apart(row, folder):
    """Two inputs: a connection seen at both is two flows, each with its port."""
    with TwoPorts() as rig, probe.Weir(rig.rx, [row.spec, row.spec.replace("p1", "p2")], row.options, folder) as weir:
        send_both(rig, weir)
        records, _ = weir.stop()
    got, want = sorted(map(counts, records)), [(9, 3, 144, 0, 0, rig.index["p2"]), (1000, 4, 152, 0, 0, rig.index["p1"])]
    lab.check(got == want, "records %s, expected %s" % (got, want))


def joined(row, folder):
    """One direction a port: one flow of both, and each direction's port on the record."""
    with TwoPorts() as rig, probe.Weir(rig.rx, row.spec.replace("p1", "p1+p2"), row.options, folder) as weir:
        send_both(rig, weir)
        records, _ = weir.stop()
    got = [(*counts(r), r.get("reverseIngressInterface")) for r in records]
    want = [(1000, 4, 152, 3, 144, rig.index["p1"], rig.index["p2"])]
    lab.check(got == want, "records %s, expected %s" % (got, want))


def copies(row, folder):
    """A mirror of two ports shows packets twice; the same packet a while later is a packet."""
    frames = [frame.udp(1000 + n, n) for n in range(100)]
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, ("--dedup", "50ms", *row.options), folder) as weir:
        for _ in range(2):
            for one in frames:
                sender.send(one, one)
            time.sleep(0.2)
        records, books = weir.stop()
    lab.check((books["observed"], books["duplicate"], books["metered"]) == (400, 200, 200),
              "sent 400, half of them copies: %s" % {k: books[k] for k in ("observed", "duplicate", "metered")})
    lab.check(len(records) == 100 and all(r["packetDeltaCount"] == 2 for r in records), "records: %s" % records[:2])


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


START_S, IDLE_SHARE = 0.2, 0.01


def starts_big(row, _):
    """A table of 2 M flows: watched at once, its memory comes by itself, and then there is rest. Best of three, since
    somebody else may be using the machine."""
    took, shares = [], []
    with inputs.PortRig() as rig:
        for _attempt in range(3):
            before = time.monotonic()
            with probe.Weir(rig.rx, row.spec, ("--flows", "2000000", *row.options)) as weir:
                took.append(weir.wait_log("watching") - before)
                pid = weir.process.pid
                end = time.monotonic() + 20
                while resident_bytes(pid) < 2000000 * 145 and time.monotonic() < end:
                    time.sleep(0.1)
                lab.check(resident_bytes(pid) >= 2000000 * 145, "%d bytes resident" % resident_bytes(pid))
                time.sleep(0.2)
                used = cpu_seconds(pid)
                time.sleep(2)
                shares.append((cpu_seconds(pid) - used) / 2)
            if min(took) <= START_S and min(shares) <= IDLE_SHARE:
                break
    lab.check(min(took) <= START_S, "watched after %s s" % took)
    lab.check(min(shares) <= IDLE_SHARE, "idle, it takes %s of a core" % shares)


def cases(full):
    return case_faults.named([apart, copies], inputs.of_ports(full)) + \
        case_faults.named([starts_big], [row for row in inputs.of_ports(full) if row.name == "ring"]) + \
        case_faults.named([joined], [row for row in inputs.of_ports(full, variants=True) if row.joins])

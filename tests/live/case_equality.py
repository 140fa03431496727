"""A capture sent over a wire gives the records that a replay of it gives, times and places aside."""
import functools
import os
import struct
import threading
import time
from collections import Counter

import captures
import frame
import inputs
import lab
import probe

BOTH_WAYS = """ipClassOfService packetDeltaCount octetDeltaCount tcpControlBits minimumTTL
    maximumTTL icmpTypeCodeIPv4 icmpTypeCodeIPv6""".split()
FIELDS = """sourceIPv4Address destinationIPv4Address sourceIPv6Address destinationIPv6Address
    protocolIdentifier sourceTransportPort destinationTransportPort flowEndReason biflowDirection""".split()
FIELDS += BOTH_WAYS + ["reverse" + name[0].upper() + name[1:] for name in BOTH_WAYS]
LINK_FIELDS = "vlanId dot1qCustomerVlanId sourceMacAddress destinationMacAddress".split()
BOOKS = """observed unsampled non_ip malformed metered flows_created records record_packets
    record_octets fragments ports_cut""".split()
FRAMES_OF_GATE = "ip or ip6"
SHOWN = 4


def fields_of(kind):
    return ",".join(FIELDS + ([] if kind in inputs.GATES else LINK_FIELDS))


@functools.lru_cache(maxsize=None)
def expected(name, kind, timeouts=probe.PATIENT):
    """What a replay finds: (Counter of records, books)."""
    more = ("-f", FRAMES_OF_GATE) if kind in inputs.GATES else ()
    records, books = probe.replay(captures.path_of(name), (*timeouts, *more), fields_of(kind))
    return as_set(records), books


def as_set(records):
    return Counter(tuple(sorted(record.items())) for record in records)


def compare(who, want, got):
    """Failed with the first differences."""
    (want_records, want_books), (records, books) = want, got
    got_records = as_set(records)
    texts = ["missing: %s" % (dict(r),) for r in (want_records - got_records).elements()]
    texts += ["not expected: %s" % (dict(r),) for r in (got_records - want_records).elements()]
    wrong = ["%s %d, replay %d" % (b, books[b], want_books[b]) for b in BOOKS if books[b] != want_books[b]]
    if books["dropped"]:
        wrong.append("dropped %d" % books["dropped"])
    lab.check(not texts and not wrong, "%s: %s\n%d differences\n%s" %
              (who, "; ".join(wrong), len(texts), "\n".join(texts[:SHOWN])))


def watch_and_send(rig, rows, name, folder, timeouts, pace=(), silence_s=0):
    """Each row's weir over one sending of a capture: {row name: (records, books)}."""
    kind, probes = rows[0].rig, {}
    try:
        for row in rows:
            probes[row.name] = probe.Weir(rig.rx, row.spec, (*timeouts, *row.options), folder, fields_of(kind))
        sent = rig.send(captures.path_of(name), *pace)
        if kind == "port":
            want = expected(name, kind)[1]["observed"]
            lab.check(sent == want, "%s: %d of %d packets arrived at the port" % (name, sent, want))
        time.sleep(silence_s)
        return {who: one.stop() for who, one in probes.items()}
    finally:
        for one in probes.values():
            one.kill()


class Equality:
    """One rig a kind and MTU for all captures; all inputs that can share a port watch one sending."""

    def __init__(self):
        self.rigs = {}

    def rig(self, kind, mtu):
        if (kind, mtu) not in self.rigs:
            self.rigs[kind, mtu] = inputs.RIGS[kind]() if mtu == 1500 else inputs.RIGS[kind](mtu)
        return self.rigs[kind, mtu]

    def close(self):
        for rig in self.rigs.values():
            rig.lab.close()

    def one(self, capture, kind, folder):
        rows, reasons = inputs.of_rig(kind)
        if not rows:
            raise lab.Skip("; ".join(reasons) or "no such input in this version")
        groups = [[row] for row in rows] if kind == "alone" else [rows]
        for group in groups:
            got = watch_and_send(self.rig(kind, capture.mtu), group, capture.name, folder, probe.PATIENT)
            for who, result in got.items():
                compare(who, expected(capture.name, kind), result)


def cases(full):
    """A list of (name, function of a folder) for each kind of rig, which one after the other shares; and what ends them."""
    rigs, groups = Equality(), []
    for kind in inputs.RIGS:
        groups.append([("equal[%s,%s]" % (kind, capture.name), functools.partial(rigs.one, capture, kind))
                       for capture in captures.CAPTURES if is_for(capture, kind, full)])
    return groups, rigs.close


def is_for(capture, kind, full):
    if kind in inputs.GATES and not capture.gate or kind != "port" and capture.mtu > 1500:
        return False
    return full or capture.short


# ---- at their own pace ---------------------------------------------------------------------------

IDLE_S, ACTIVE_S, LINGER_S = 15, 60, 2
JITTER = 0.04  # of a timeout
ARP = frame.ethernet(bytes(46), ethertype=b"\x08\x06")


def scaled(factor):
    """The default timeouts, a little off."""
    return ("--idle-timeout", "%.3f" % (IDLE_S * factor), "--active-timeout", "%.3f" % (ACTIVE_S * factor),
            "--tcp-linger", "%.3f" % (LINGER_S * factor))


def replayed_to_silence(name, folder, factor=1.0):
    """What a replay finds when time goes on after the last packet: an ARP frame of a later year, not in the books."""
    late = os.path.join(folder, "late.pcap")
    with open(late, "wb") as file:
        file.write(struct.pack("<IHHiIIIIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1, 4_000_000_000, 0, len(ARP), len(ARP)) + ARP)
    records, books = probe.replay(captures.path_of(name), ("-r", late, *scaled(factor)), fields_of("port"))
    return as_set(records), {**books, "observed": books["observed"] - 1, "non_ip": books["non_ip"] - 1}


class Paced(threading.Thread):
    """A capture at its own pace beside other cases, and the silence after it; a case waits for it and judges."""

    def __init__(self, name, mtu, folder):
        super().__init__(daemon=True)
        self.name_of, self.mtu, self.folder = name, mtu, folder
        self.got, self.error, self.judged = None, None, False
        self.rig = inputs.PortRig(mtu)

    def run(self):
        try:
            rows, _ = inputs.of_rig("port")
            self.got = watch_and_send(self.rig, rows, self.name_of, self.folder, (), ("--multiplier", "1"),
                                      IDLE_S + 2)
        except (lab.Failed, OSError) as error:
            self.error = error

    def case(self, folder):
        if self.judged:  # once more
            fresh = Paced(self.name_of, self.mtu, self.folder)
            fresh.start()
            fresh.case(folder)
            return
        self.judged = True
        self.join()
        self.rig.lab.close()
        if self.error is not None:
            raise self.error
        want = replayed_to_silence(self.name_of, folder)
        for factor in (1 - JITTER, 1 + JITTER):
            lab.check(replayed_to_silence(self.name_of, folder, factor)[0] == want[0],
                      "%s has a gap of the length of a timeout: not fit for this case" % self.name_of)
        for who, result in self.got.items():
            compare(who, want, result)


def paced_cases(full, folder):
    """Starts them, and returns the cases that wait for them."""
    found = []
    for name, mtu, short in captures.PACED:
        if full or short:
            thread = Paced(name, mtu, folder)
            thread.start()
            found.append(("paced[%s]" % name, thread.case))
    return found

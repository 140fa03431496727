"""What goes wrong at a live port: kills, links that go, silence, floods, haste."""
import functools
import json
import signal
import subprocess
import time

import captures
import frame
import inputs
import lab
import probe

TICK_S = 1.0        # a record leaves at most so late
LIVE_LAG_S = 0.25   # a silent port's clock is behind by this
LATENCY_S = 0.020
SLACK_S = 0.15      # of a machine that does other things as well
LOOK_S = 0.7        # ports are looked at so often, at the least
BACK_S = 4          # a port that is back is watched again


def details(rig):
    return json.loads(rig.rx.run("ip", "-d", "-j", "link", "show", "p1").stdout)[0]


def is_untouched(rig, row):
    """Failed unless p1 is as nobody had ever watched it, but for what the next start clears."""
    link = details(rig)
    lab.check(link.get("promiscuity", 0) == 0, "%s: promiscuity left: %s" % (row.name, link["promiscuity"]))


def wait_metered(weir, rig, frames, packets, seconds=BACK_S):
    """Sends until weir has metered more than `packets`: a port that is back. Packets metered then."""
    end = time.monotonic() + seconds
    while weir.books_now()["metered"] <= packets:
        lab.check(time.monotonic() < end, "nothing metered after %d s: %s" % (seconds, weir.log()[-300:]))
        with frame.Sender(rig.tx, "p0") as sender:
            sender.send(*frames)
        time.sleep(0.05)
    return weir.books_now()["metered"]


# ---- kills ---------------------------------------------------------------------------------------

MOMENTS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, None)  # seconds after the start; when it watches, under traffic
FEW_MOMENTS = (0.01, 0.03, None)


def goes_on(rig, sender):
    """A gateway's packets pass while nobody reads them."""
    before = rig.passed()
    sender.send(*(frame.udp(1000 + n) for n in range(50)))
    rig.wait_passed(before + 50)


def killed(row, folder, moments=MOMENTS):
    """SIGKILL at any moment: the next start works, and a clean stop leaves nothing on the port."""
    with inputs.RIGS[row.rig]() as rig, frame.Sender(rig.tx, "p0") as sender:
        for moment in moments:
            with probe.Weir(rig.rx, row.spec, row.options, folder, ready=moment is None) as weir:
                if moment is None:
                    sender.send(*(frame.udp(1000 + n) for n in range(500)))
                else:
                    time.sleep(moment)
                weir.kill()
            if row.rig in inputs.GATES:
                goes_on(rig, sender)
            with probe.Weir(rig.rx, row.spec, row.options, folder) as weir:
                sender.send(*(frame.udp(1000 + n) for n in range(50)))
                _, books = weir.stop()
            lab.check(books["metered"] == 50, "after a kill at %s: metered %d of 50: %s" %
                      (moment, books["metered"], weir.log()[-300:]))
            is_untouched(rig, row)
            lab.check("xdp" not in details(rig), "an XDP program is left: %s" % details(rig).get("xdp"))


BOOKS = "observed own_export duplicate unsampled non_ip malformed metered dropped held records".split()


def books_logged(row, folder):
    """SIGUSR1: the books as they stand, and those of the input; and weir goes on."""
    with inputs.RIGS[row.rig]() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, row.options, folder) as weir:
        for flows, packets in ((3, 30), (5, 80)):
            sender.send(*[frame.udp(1000 + n) for n in range(flows)] * 10)
            weir.wait_observed(packets)
            time.sleep(0.1)  # the packets of a batch are counted before its flows
            books = weir.books_now()
            want = {**dict.fromkeys(BOOKS, 0), "observed": packets, "metered": packets, "held": flows}
            lab.check(books == want, "books %s, expected %s" % (books, want))
        time.sleep(LOOK_S)
        weir.books_now()
        weir.wait_log("input=%s received=80 " % row.spec, seconds=1)
        records, books = weir.stop()
    lab.check(len(records) == 5 and books["metered"] == 80, "%d records, books %s" % (len(records), books))


def second_signal(row, _):
    """The first signal waits for a slow output, the second does not."""
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, ("-o", "netflow9://127.0.0.1:9?rate=1", *row.options)) as weir:
        sender.send(*(frame.udp(1000 + n) for n in range(200)))
        weir.wait_observed(200)
        weir.send_signal(signal.SIGINT)
        time.sleep(0.7)
        lab.check(weir.process.poll() is None, "ended before its slow output had all")
        start = time.monotonic()
        weir.send_signal(signal.SIGINT)
        code = weir.wait_end(5)
        lab.check(code == 130, "exit status %d" % code)
        lab.check(time.monotonic() - start < 0.5, "left %.1f s after the second signal" % (time.monotonic() - start))
        is_untouched(rig, row)


# ---- links ---------------------------------------------------------------------------------------

def down_and_up(row, _):
    """A link that goes down and comes back; what was held leaves on time meanwhile."""
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, ("--idle-timeout", "1", *row.options), stream=True) as weir:
        with frame.Sender(rig.tx, "p0") as sender:
            sender.send(*[frame.udp(1)] * 5)
            sent = time.monotonic()
        weir.wait_observed(5)
        rig.rx.ip("link set p1 down")
        came, record = weir.wait_record()
        on_time(came - sent, 1)
        lab.check(record["packetDeltaCount"] == 5, "before: %s" % record)
        rig.rx.ip("link set p1 up")
        time.sleep(0.3)
        metered = wait_metered(weir, rig, [frame.udp(2)], 5)
        _, books = weir.stop()
    lab.check(books["metered"] >= metered, "metered fell to %d" % books["metered"])


def removed_and_added(row, _):
    """An interface that is removed and made again under its name."""
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, ("--idle-timeout", "1", *row.options), stream=True) as weir:
        with frame.Sender(rig.tx, "p0") as sender:
            sender.send(*[frame.udp(1)] * 5)
            sent = time.monotonic()
        weir.wait_observed(5)
        rig.rx.ip("link del p1")
        came, _ = weir.wait_record()
        on_time(came - sent, 1)
        time.sleep(0.5)
        rig.lab.link(rig.tx, "p0", rig.rx, "p1")
        wait_metered(weir, rig, [frame.udp(2)], 5)
        index = details(rig)["ifindex"]
        records, _ = weir.stop()
    late = [r for r in records if r["sourceTransportPort"] == 2]
    lab.check(late and all(r["ingressInterface"] == index for r in late),
              "ingressInterface is not the new port's %d: %s" % (index, late[:1]))


def move_away_and_back(rig):
    """It may keep its number."""
    away = rig.lab.space("away")
    rig.rx.ip("link set p1 netns %s" % away.name)
    away.ip("link set p1 netns %s" % rig.rx.name)
    rig.rx.ip("link set p1 up arp off multicast off")


def moved_and_back(row, _):
    """An interface that goes to another namespace for a moment."""
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, row.options) as weir:
        with frame.Sender(rig.tx, "p0") as sender:
            sender.send(*[frame.udp(1)] * 5)
        weir.wait_observed(5)
        move_away_and_back(rig)
        wait_metered(weir, rig, [frame.udp(2)], 5)
        weir.stop()


# ---- time ----------------------------------------------------------------------------------------

def on_time(took, timeout):
    lab.check(timeout - SLACK_S <= took <= timeout + LIVE_LAG_S + TICK_S + SLACK_S,
              "a record with a timeout of %.1f s came after %.2f s" % (timeout, took))


def silent(row, _):
    """No packet comes to move the clock: flows leave all the same."""
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, ("--idle-timeout", "1", *row.options), stream=True) as weir:
        for number in range(3):
            sender.send(frame.udp(number))
            sent = time.monotonic()
            came, _ = weir.wait_record(number)
            on_time(came - sent, 1)
        weir.stop()


def latency(row, _):
    """A packet on a quiet port reaches the engine in 20 ms: a SYN that follows a RST ends the flow when it is
    looked at, and its record leaves at once."""
    took = []
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender, \
            probe.Weir(rig.rx, row.spec, row.options, stream=True) as weir:
        for number in range(15):
            sender.send(frame.tcp(1000 + number, frame.SYN), frame.tcp(1000 + number, frame.RST))
            time.sleep(0.06)
            sent = time.monotonic()
            sender.send(frame.tcp(1000 + number, frame.SYN))
            came, record = weir.wait_record(number)
            lab.check(record["flowEndReason"] == 3, "not the flow that was closed: %s" % record)
            took.append(came - sent)
        weir.stop()
    took.sort()
    lab.check(took[len(took) // 2] <= LATENCY_S, "median latency %.1f ms, worst %.1f ms" %
              (took[len(took) // 2] * 1e3, took[-1] * 1e3))


def drained(row, _):
    """What came before the signal is metered, however little fills a block."""
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender:
        for packets in (1, 7, 3000):
            with probe.Weir(rig.rx, row.spec, row.options) as weir:
                sender.send(*(frame.udp(1000 + n % 2000) for n in range(packets)))
                _, books = weir.stop()
            lab.check(books["metered"] == packets and books["dropped"] == 0,
                      "metered %d of %d, dropped %d" % (books["metered"], packets, books["dropped"]))


# ---- floods --------------------------------------------------------------------------------------

def overrun(row, _):
    """A probe that stands still loses packets, counts each of them, and says when it begins."""
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, row.options) as weir:
        weir.send_signal(signal.SIGSTOP)
        sent = 0
        while sent < 700000:
            sent += rig.send(captures.path_of("zeek-echo-connections.pcap"), "--topspeed", "--loop", "4")
        weir.send_signal(signal.SIGCONT)
        weir.wait_observed(sent, 10)
        _, books = weir.stop()
    lab.check(books["dropped"] > 0, "%d packets did not overrun it" % sent)
    lab.check(books["observed"] + books["dropped"] == sent,
              "sent %d, observed %d + dropped %d" % (sent, books["observed"], books["dropped"]))


def flooded(row, _):
    """A stop is heard though the port does not fall silent."""
    with inputs.PortRig() as rig, probe.Weir(rig.rx, row.spec, row.options) as weir:
        flood = rig.tx.popen(["tcpreplay", "-q", "-i", "p0", "--topspeed", "--loop", "1000",
                              captures.path_of("zeek-echo-connections.pcap")], stdout=subprocess.DEVNULL)
        try:
            weir.wait_observed(100000)
            start = time.monotonic()
            weir.stop()
            took = time.monotonic() - start
        finally:
            flood.kill()
            flood.wait()
    lab.check(took < 2, "a stop took %.1f s" % took)


def named(functions, rows):
    return [("%s[%s]" % (function.__name__, row.name), functools.partial(function, row))
            for row in rows for function in functions]


def hasty_cases(full):
    """Those that look at milliseconds, or need the machine for themselves."""
    return named([latency, drained] + ([flooded, overrun] if full else []), inputs.of_ports(full))


def of_gates(full):
    return [row for kind in inputs.GATES for row in inputs.of_rig(kind)[0] if full or not row.variant]


def cases(full):
    """Those that mostly wait."""
    kills = [("killed[%s]" % row.name, functools.partial(killed, row, moments=MOMENTS if full else FEW_MOMENTS))
             for row in inputs.of_ports(full, variants=True) + of_gates(full)]
    return kills + named([books_logged], inputs.of_ports(full) + of_gates(full)) + \
        named([second_signal, down_and_up, removed_and_added, moved_and_back, silent], inputs.of_ports(full))

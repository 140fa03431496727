"""Outputs that cannot deliver beside outputs that can: the healthy ones notice nothing, and the others count why."""
import contextlib
import socket
import statistics
import subprocess
import threading
import time

import flowproto
import names
import records
import rig
import source
import tools
import transports
from suite import case

RATE = 4000
MEDIAN_SLACK_S, WORST_SLACK_S = 0.1, 1.0  # of a machine that does other things as well
END_S = 12
SMALL = "queue=1MiB"


class Peer(threading.Thread):
    """Takes connections; reads nothing of them, or little (`sips` bytes each 50 ms), or resets each after a second."""

    def __init__(self, resets, sips=0):
        super().__init__(daemon=True)
        self._resets, self._sips, self._held, self._stop_now = resets, sips, [], threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * sips or 4096)
        self._listener.bind((tools.LOOPBACK, 0))
        self._listener.listen(16)
        self._listener.settimeout(0.05)
        self.port, self.met = self._listener.getsockname()[1], 0

    def run(self):
        while not self._stop_now.is_set():
            with contextlib.suppress(TimeoutError):
                self._held.append((time.monotonic(), self._listener.accept()[0]))
                self.met += 1
            for _, connection in self._held if self._sips else ():
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.recv(self._sips)
            while self._resets and self._held and time.monotonic() - self._held[0][0] > 1:
                connection = self._held.pop(0)[1]
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()

    def end(self):
        self._stop_now.set()
        self.join()
        for _, connection in self._held:
            connection.close()
        self._listener.close()


class Clock(tools.Sink):
    """A UDP collector that notes when each datagram came."""

    def __init__(self):
        self.times = []
        super().__init__()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def _receive(self):
        while True:
            try:
                data = self._sock.recv(65535)
            except socket.timeout:
                if self._stop:
                    return
                continue
            self.datagrams.append(data)
            self.times.append(time.monotonic())


class Timed(source.Source):
    """Remembers when each flow was sent."""

    def __init__(self, wire, rate, limit):
        super().__init__(wire, rate, limit)
        self.sent = []

    def note(self):
        self.sent.append(time.monotonic())


def hole():
    """A network that answers nothing; an address in it."""
    for words in ("link add hole type veth peer name bottom", "link set hole up", "link set bottom up",
                  "addr add 198.51.100.1/24 dev hole", "neigh add 198.51.100.9 lladdr 02:00:00:00:00:99 dev hole"):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)
    return "198.51.100.9"


@contextlib.contextmanager
def small_disk(bench):
    path = bench.new_dir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", path], check=True, capture_output=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=False, capture_output=True)


def run_beside(bench, bad, seconds):
    """A run with these outputs beside the healthy ones: (books of all outputs, lag of each flow in seconds, run's end in s)."""
    wire, sink, path = source.Wire(), Clock(), bench.new_dir() + "/all.json"
    load = Timed(wire, RATE, RATE * seconds)
    try:
        with rig.Weir(bench, wire, ["ipfix://127.0.0.1:%d" % sink.port, "json:" + path, *bad]) as weir:
            load.start()
            load.join()
            rig.settle()
            start = time.monotonic()
            books = weir.stop((0, 1))
            took = time.monotonic() - start
    finally:
        sink.close()
        wire.close()
    records.same_value((books["dropped"], books["records"], books["balanced"]), (0, load.flows, True), "packets lost, flows")
    with open(path, "rb") as file:
        records.same_value({transports.of_json(line) for line in file}, {(n, 0) for n in range(load.flows)}, "flows in the file")
    return books, lags(load, sink), took


def lags(load, sink):
    stream, found, late = flowproto.Stream(), set(), []
    for data, came in zip(sink.datagrams, sink.times):
        for record in stream.feed(data):
            if not record.options:
                flow = transports.number_of(record["sourceIPv4Address"], record["destinationIPv4Address"])
                found.add(flow)
                late.append(came - load.sent[flow[0]])
    records.check(not stream.problems, "healthy collector: %s", "; ".join(stream.problems[:4]))
    records.same_value(len(found), source.one_way(load.flows), "records at the healthy collector")
    return late


def check_bad(name, books, flows, reasons):
    rig.balance(name, books)
    records.check(books["records_in"] in (flows, source.one_way(flows)), "%s: %d in", name, books["records_in"])
    records.check(books["records_dropped"] > 0, "%s: drops nothing", name)
    records.check(set(books["dropped_by_reason"]) <= set(reasons), "%s: dropped for %s", name, books["dropped_by_reason"])
    records.same_value((name, books["queued"], books["unconfirmed"], books["spooled"]), (name, 0, 0, 0), "held after the end")


def bad_rows(silent, moody, disk):
    """(URL, what its records may be dropped for) of each bad output."""
    closed = tools.free_port()
    return [
        ("ipfix+tcp://127.0.0.1:%d?%s" % (silent.port, SMALL), ("queue", "unconfirmed", "away")),
        ("syslog+tcp://127.0.0.1:%d?%s" % (silent.port, SMALL), ("queue", "unconfirmed", "away")),
        ("json+tcp://127.0.0.1:%d?%s" % (moody.port, SMALL), ("queue", "unconfirmed", "away")),
        ("json+tcp://127.0.0.1:%d?%s" % (closed, SMALL), ("queue", "away")),
        ("ipfix+tcp://%s:4739?%s" % (hole(), SMALL), ("queue", "away")),
        ("json+tcp://no-such-collector.invalid:99?" + SMALL, ("queue", "away")),
        ("json+tcp://%s:99?%s" % (names.SILENT, SMALL), ("queue", "away")),
        ("netflow9://%s:99?%s" % (names.SILENT, SMALL), ("away",)),
        ("kafka://127.0.0.1:%d/flows?%s" % (closed, SMALL), ("queue", "away")),
        ("json:/dev/full", ("write",)),
        ("json:%s/out.json" % disk, ("write",)),
    ]


@case
def bad_neighbours_cost_nothing(bench):
    """Never reads, resets each second, refuses, does not answer, has no name, waits for its name, is full: a healthy run beside them is as without."""
    silent, moody = Peer(False), Peer(True)
    with small_disk(bench) as disk:
        compare(bench, bad_rows(silent, moody, disk), (silent, moody), bench.chosen(4, 20))


def compare(bench, rows, peers, seconds):
    """A run without the bad outputs, and one beside them; both up to twice more when it is later, since the machine does other
    things: what it shows has to show thrice."""
    for peer in peers:
        peer.start()
    try:
        worse = later(bench, rows, seconds) and later(bench, rows, seconds) and later(bench, rows, seconds)
    finally:
        for peer in peers:
            peer.end()
    records.check(all(peer.met >= 2 for peer in peers), "sessions: %s", [peer.met for peer in peers])
    records.check(not worse, "%s", worse)


def later(bench, rows, seconds):
    """What is later beside the bad outputs than without, as text; None: nothing is."""
    _, alone, _ = run_beside(bench, [], seconds)
    books, beside, took = run_beside(bench, [url for url, _ in rows], seconds)
    for (url, reasons), output in zip(rows, books["outputs"][2:]):
        check_bad(url.split("?")[0], output, RATE * seconds, reasons)
    records.check(took < END_S, "the end took %.1f s", took)
    for name, measure, slack in (("median", statistics.median, MEDIAN_SLACK_S), ("worst", max, WORST_SLACK_S)):
        if measure(beside) > measure(alone) + slack:
            return "%s lag: alone %.3f s, beside %.3f s" % (name, measure(alone), measure(beside))
    return None


END_MOST_S = 30  # weir(8), SESSIONS


@case
def a_collector_that_sips_does_not_hold_up_the_end(bench):
    """It reads a little all the time, so something always moves; what it did not take goes to the spool, or is counted."""
    if not bench.full:
        raise tools.Skipped("takes %d s: make streams-full" % END_MOST_S)
    slow = Peer(False, sips=2000)
    slow.start()
    url = "json+tcp://127.0.0.1:%d" % slow.port
    try:
        books, _, took = run_beside(bench, [url, url + "?spool=" + bench.new_dir() + "/spool"], 10)
    finally:
        slow.end()
    plain, spooling = books["outputs"][2:]
    check_bad("json+tcp", plain, RATE * 10, ("unconfirmed", "away"))
    rig.balance("with a spool", spooling)
    records.same_value((spooling["records_dropped"], spooling["records"] + spooling["spooled"]), (0, RATE * 10), "dropped, kept")
    records.check(spooling["spooled"] > 0, "nothing in the spool")
    records.check(END_MOST_S - 1 < took < END_MOST_S + 3, "the end took %.1f s", took)

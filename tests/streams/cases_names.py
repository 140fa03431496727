"""Collectors whose names lead elsewhere one day."""
import socket
import threading
import time

import flowproto
import records
import rig
import source
import tools
import transports
from suite import case, each

ELSEWHERE = "127.0.0.2"
RATE, SECONDS = 200, 6


class Collector(threading.Thread):
    """A UDP collector at an address; `flows` are those that arrived in a stream that is sound from its first message."""

    def __init__(self, ip, port):
        super().__init__(daemon=True)
        self.stream, self.flows = flowproto.Stream(), set()
        self._open = True
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((ip, port))
        self._sock.settimeout(0.05)
        self.port = self._sock.getsockname()[1]
        self.start()

    def run(self):
        while self._open:
            try:
                data = self._sock.recv(65535)
            except TimeoutError:
                continue
            self.flows |= {transports.number_of(r["sourceIPv4Address"], r["destinationIPv4Address"])
                           for r in self.stream.feed(data) if not r.options}
        self._sock.close()

    def close(self):
        self._open = False
        self.join()


@each(("goes", ""), ("stays", ""), ("stays", "&rate=100"))
def a_udp_collector_that_moves_is_followed(bench, old, pace):
    """Its name leads to another address; at the old one nobody is left, which ICMP tells, or somebody takes what comes. At a
    slow pace the run ends while messages of the old session wait: they go to the old address, those of the new to the new."""
    name = "moves-%s%s.test" % (old, pace[1:].replace("=", ""))
    bench.names.addresses[name] = (tools.LOOPBACK,)
    first, wire = Collector(tools.LOOPBACK, 0), source.Wire()
    second = Collector(ELSEWHERE, first.port)
    load = source.Source(wire, RATE, RATE * SECONDS)
    try:
        with rig.Weir(bench, wire, ["ipfix://%s:%d?template-refresh=1%s" % (name, first.port, pace)]) as weir:
            load.start()
            tools.wait_for("records at the first address", lambda: first.flows, 8)
            records.check(not second.flows, "the second has records already")
            bench.names.addresses[name] = (ELSEWHERE,)
            if old == "goes":
                first.close()
            if pace:
                time.sleep(2.5)
            else:
                tools.wait_for("records at the second address", lambda: second.flows, 8)
            load.stop()
            rig.settle(0.5 if pace else 2.4)
            books = weir.stop()["outputs"][0]
    finally:
        first.close()
        second.close()
        wire.close()
    for collector in (first, second):
        records.check(not collector.stream.problems, "problems: %s", "; ".join(collector.stream.problems[:4]))
    records.check(second.flows and books["reconnects"] == 1, "%d records at the second, %s", len(second.flows), books)
    records.check(not first.flows & second.flows, "records at both: %s", first.flows & second.flows)
    if old == "stays":
        records.same_value(len(first.flows) + len(second.flows), books["records"], "records at both collectors")


@case
def a_second_address_moves_nobody(bench):
    """The name gets one that the resolver sorts before (RFC 6724 §6, rule 9): records go on to where they went."""
    name = "both.test"
    bench.names.addresses[name] = (ELSEWHERE,)
    used, wire = Collector(ELSEWHERE, 0), source.Wire()
    other = Collector(tools.LOOPBACK, used.port)
    load = source.Source(wire, RATE)
    try:
        with rig.Weir(bench, wire, ["ipfix://%s:%d?template-refresh=1" % (name, used.port)]) as weir:
            load.start()
            tools.wait_for("records at the first address", lambda: used.flows, 8)
            bench.names.addresses[name] = (tools.LOOPBACK, ELSEWHERE)
            time.sleep(2.5)
            load.stop()
            rig.settle()
            books = weir.stop()["outputs"][0]
    finally:
        used.close()
        other.close()
        wire.close()
    records.check(not used.stream.problems, "problems: %s", "; ".join(used.stream.problems[:4]))
    records.same_value((len(used.flows), len(other.flows), books["reconnects"]), (books["records"], 0, 0),
                       "records at the address, at the other, reconnects")

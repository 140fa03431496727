"""The probe's own export streams at the port it watches: left out and counted, others' exports metered."""
import functools
import json
import os
import sys
import time

import inputs
import lab
import probe

PROBE, COLLECTOR, PORT = "10.78.0.1", "10.78.0.2", 9995
OTHERS = 5

# Takes streams, and whatever they say; datagrams as well.
STREAM_SINK = """
import selectors, socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("%s", %d))
s = socket.create_server(u.getsockname())
sel = selectors.DefaultSelector()
sel.register(u, selectors.EVENT_READ)
sel.register(s, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in sel.select():
        if key.fileobj is s:
            sel.register(s.accept()[0], selectors.EVENT_READ)
        elif not key.fileobj.recv(65536) and key.fileobj is not u:
            sel.unregister(key.fileobj)
            key.fileobj.close()
""" % (COLLECTOR, PORT)

# What our end says at least: SYN, SYN-ACK, ACK, data and its ACK are five packets. The sink is no broker and speaks no
# DTLS: librdkafka asks for versions, and then for an answer in vain; a ClientHello is sent again after a second.
STREAMS = {
    "json+tcp": ("json+tcp://%s:%d", 6, 5),
    "kafka": ("kafka://%s:%d/flows?spool=SPOOL", 6, 5),
    "ipfix+dtls": ("ipfix+dtls://%s:%d?verify=no", 17, 2),
}

# Receives for ever; prints what came, by source port, when its standard input ends.
SINK = """
import collections, json, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("%s", %d))
print("ready", flush=True)
got = collections.Counter()
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s in ready:
        got[s.recvfrom(65536)[1][1]] += 1
    elif sys.stdin in ready:
        break
print(json.dumps(got))
""" % (COLLECTOR, PORT)

OTHER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("%s", 0))
print(s.getsockname()[1])
for n in range(%d):
    s.sendto(b"another exporter", ("%s", %d))
""" % (PROBE, OTHERS, COLLECTOR, PORT)


class Export(lab.Lab):
    """The probe at p1, which is also its way to the collector."""

    def __enter__(self):
        self.collector, self.probe = self.space("c"), self.space("p")
        self.link(self.collector, "p0", self.probe, "p1", quiet=False)
        self.collector.ip("addr add %s/24 dev p0" % COLLECTOR)
        self.probe.ip("addr add %s/24 dev p1" % PROBE)
        return self


def export(row, folder, *options):
    """Runs the probe beside another exporter; what the sink got by port, the other's port, records, books."""
    with Export() as net:
        sink = net.collector.popen([sys.executable, "-c", SINK], stdin=-1, stdout=-1, text=True)
        try:
            lab.check(sink.stdout.readline() == "ready\n", "the sink does not start")
            url = "netflow9://%s:%d?template-refresh=1" % (COLLECTOR, PORT)
            with probe.Weir(net.probe, row.spec, (*row.options, "-o", url, "--idle-timeout", "0.5", *options),
                            folder) as weir:
                other = int(net.probe.run(sys.executable, "-c", OTHER).stdout)
                time.sleep(2.5)  # the record leaves, templates are sent again
                records, books = weir.stop()
            got = json.loads(sink.communicate("", timeout=10)[0])
        finally:
            sink.kill()
            sink.wait()
    return got, other, records, books


def to_collector(records):
    """Packets to the collector, by source port."""
    packets = {}
    for r in records:
        if r.get("destinationTransportPort") == PORT:
            port = r["sourceTransportPort"]
            packets[port] = packets.get(port, 0) + r["packetDeltaCount"]
    return packets


def left_out(row, folder):
    got, other, records, books = export(row, folder)
    (ours,) = (int(port) for port in got if int(port) != other)
    lab.check(to_collector(records) == {other: OTHERS}, "metered to the collector: %s" % to_collector(records))
    # what is sent after the last packet was read is seen by nobody
    lab.check(2 <= books["own_export"] <= got[str(ours)], "own_export %d of %s" % (books["own_export"], got))


def metered(row, folder):
    got, other, records, books = export(row, folder, "--meter-own", "yes")
    (ours,) = (int(port) for port in got if int(port) != other)
    seen = to_collector(records)
    lab.check(books["own_export"] == 0 and seen.get(other) == OTHERS, "%s %s" % (books, seen))
    lab.check(2 <= seen.get(ours, 0) <= got[str(ours)], "ours metered %s of %s" % (seen, got))


def stream(name, row, folder):
    """A connection is ours from its first packet on, and both ways."""
    url, protocol, least = STREAMS[name]
    url = (url % (COLLECTOR, PORT)).replace("SPOOL", os.path.join(folder, "spool"))
    with Export() as net:
        sink = net.collector.popen([sys.executable, "-c", STREAM_SINK], stdout=-1, text=True)
        try:
            lab.check(sink.stdout.readline() == "ready\n", "the sink does not start")
            with probe.Weir(net.probe, row.spec, (*row.options, "-o", url, "--idle-timeout", "0.5"),
                            folder) as weir:
                other = int(net.probe.run(sys.executable, "-c", OTHER).stdout)
                time.sleep(2)
                before = net.probe.counters("p1")
                records, books = weir.stop(expect=(0, 1))  # of a peer that is no collector nothing is delivered
        finally:
            sink.kill()
            sink.wait()
    metered = [r for r in records if r["protocolIdentifier"] == protocol and r.get("sourceTransportPort") != other]
    lab.check(not metered, "metered: %s" % metered)
    lab.check(least <= books["own_export"] <= before["rx_packets"] + before["tx_packets"],
              "own_export %d, at least %d" % (books["own_export"], least))


def cases(full):
    rows = [row for row in inputs.of_ports(full) if row.rig == "port"]
    found = [("own_%s[%s]" % (function.__name__, row.name), functools.partial(function, row))
             for row in rows for function in (left_out, metered)]
    return found + [("own_stream[%s,%s]" % (name, row.name), functools.partial(stream, name, row))
                    for name in STREAMS for row in (rows if full or name == "json+tcp" else rows[:1])]

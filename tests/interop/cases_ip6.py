"""Collectors at [::1]: UDP, TCP and syslog as over IPv4, and messages that leave room for the longer header."""
import json
import socket

import cases_streams
import cases_syslog
import flowproto
import records
import syslogd
import tools
from suite import case, each

WIRES = ("netflow5", "netflow9", "ipfix")
CAPTURE = tools.real_or_own(["ndpi-1kxun.pcap"])[0]
HEADERS = 40 + 8  # RFC 8200 §3, RFC 768
IPV6_RECVTCLASS, IPV6_TCLASS = 66, 67


class Sink(tools.Sink):
    """As tools.Sink, at [::1]; notes the traffic classes and senders as well."""

    FAMILY, IP = socket.AF_INET6, tools.LOOPBACK6

    def __init__(self):
        self.marks = set()
        super().__init__()
        self._sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)

    def _take(self):
        data, control, _, sender = self._sock.recvmsg(65535, 64)
        self.marks.add((sender[0], *(int.from_bytes(c[2][:4], "little") for c in control if c[1] == IPV6_TCLASS)))
        return data


def over_udp(bench, scheme, query=""):
    """A replay to a Sink: JSON records, books of the output, the sink."""
    tools.need_ip6()
    sink = Sink()
    try:
        found, books = cases_streams.export(bench, CAPTURE, "%s://[::1]:%d%s" % (scheme, sink.port, query))
    finally:
        sink.close()
    return found, books, sink


def check_udp(wire, found, books, sink, mtu):
    stream = flowproto.read_stream(sink.datagrams)
    records.check(not stream.problems, "problems:\n%s", "\n".join(stream.problems[:8]))
    want = [half for half in records.one_way(found) if wire != "netflow5" or not records.is_v6(half)]
    records.same_elements(want, stream.flows(), ("packetDeltaCount", "octetDeltaCount"))
    records.same_value((books["records"], books["bytes"]), (len(want), sum(map(len, sink.datagrams))), "records, bytes")
    longest = max(map(len, sink.datagrams))
    records.check(mtu // 2 < longest <= mtu - HEADERS, "a datagram of %d bytes with an mtu of %d", longest, mtu)


@each(*WIRES)
def udp_over_ip6(bench, wire):
    check_udp(wire, *over_udp(bench, wire), 1500 if wire == "netflow5" else 1400)


@each(*[(wire, mtu) for wire in WIRES for mtu in (512, 1280)])
def mtu_counts_the_ip6_packet(bench, wire, mtu):
    check_udp(wire, *over_udp(bench, wire, "?mtu=%d" % mtu), mtu)


@case
def dscp_and_source_over_ip6(bench):
    _, _, sink = over_udp(bench, "ipfix", "?dscp=46&source=::1")
    records.same_value(sink.marks, {("::1", 46 << 2)}, "senders and traffic classes")


@each(*[(name, transport) for name in syslogd.COLLECTORS for transport in ("udp", "tcp")])
def syslog_over_ip6(bench, name, transport):
    tools.need_ip6()
    with syslogd.COLLECTORS[name](bench, transport, ip=tools.LOOPBACK6) as collector:
        url = "syslog%s://[::1]:%d" % ("+tcp" if transport == "tcp" else "", collector.port)
        lines, books = cases_syslog.export(bench, CAPTURE, url)
        cases_syslog.compare(lines, collector.wait(len(lines)), books, socket.gethostname())


@case
def ipfix_over_tcp_over_ip6(bench):
    tools.need_ip6()
    peer = cases_streams.Flaky(1, tools.LOOPBACK6)
    peer.start()
    found, books = cases_streams.export(bench, CAPTURE, "ipfix+tcp://[::1]:%d?source=::1&dscp=8" % peer.port)
    peer.join(10)
    cases_streams.expect_delivered(books)
    records.same_value((len(peer.sessions), books["reconnects"]), (2, 1), "sessions, reconnects")
    stream = cases_streams.check_stream(cases_streams.whole(peer.sessions[-1]))
    records.same_elements(records.one_way(found), stream.flows())


@case
def ipfix_over_tls_over_ip6(bench):
    """Whose certificate does not name the address: peer-name= says whom it is for."""
    tools.need_ip6()
    with cases_streams.s_server(bench, "-naccept", "1", ip="[::1]") as (process, url, path):
        found, books = cases_streams.export(bench, CAPTURE, url + "&peer-name=server.example")
        process.wait(10)
    cases_streams.expect_delivered(books)
    stream = cases_streams.check_stream(cases_streams.whole(cases_streams.read(path)))
    records.same_elements(records.one_way(found), stream.flows())


@case
def json_lines_over_tcp_over_ip6(bench):
    tools.need_ip6()
    port = tools.free_port()
    with cases_streams.collector(bench, port, ["nc", "-6", "-d", "-l", tools.LOOPBACK6, str(port)]) as (process, path):
        found, books = cases_streams.export(bench, CAPTURE, "json+tcp://[::1]:%d" % port)
        process.wait(10)
    cases_streams.expect_delivered(books)
    records.same_value([json.loads(line) for line in cases_streams.read(path).splitlines()], found, "records, in order")

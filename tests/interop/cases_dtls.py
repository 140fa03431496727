"""IPFIX over DTLS: who is trusted, what arrives, how large datagrams are, and a collector that is restarted."""
import os
import shutil
import threading
import time

import dtls
import flowproto
import records
import tools
from makepcap import SECOND, T0, capture, one_each
from suite import case, each

CAPTURES = tools.real_or_own(["ndpi-1kxun.pcap", "arkime-v6-http.pcap"])


def export(bench, pcap, url, expect=0, args=()):
    """A replay to JSON and to the URL: JSON records, the output's books, the log."""
    out, err = tools.weir(bench, ["-r", bench.pcap(pcap), "--stats", "json", "-o", "json:-", "-o", url, *args], expect=expect)
    return tools.json_lines(out), tools.last_json(err)["outputs"][1], err


def decoded(messages):
    """One transport session, free of problems: lengths, sets, templates before data, sequence from 0."""
    stream = flowproto.Stream()
    for message in messages:
        stream.feed(message)
    records.check(not stream.problems, "problems:\n%s", "\n".join(stream.problems[:8]))
    records.check(messages[0][8:12] == b"\0\0\0\0", "the sequence begins with %s", messages[0][8:12])
    return stream


@each(*CAPTURES)
def dtls_s_server_reads_every_record(bench, pcap):
    keys = dtls.keys(bench)
    with dtls.s_server(bench, keys.server) as (port, read):
        lines, books, _ = export(bench, pcap, dtls.url(port, keys.client))
        tools.wait_for("all of it", lambda: len(read()) >= books["bytes"])
        stream = decoded(dtls.messages(read()))
    expected = records.one_way(lines)
    records.same_value(books["records"], len(expected), "records")
    records.same_elements(expected, stream.flows())


@each(800, 1400, 9000)
def dtls_datagrams_keep_to_the_mtu(bench, mtu):
    """IPv4 and UDP headers take 28 of it; and it is made use of."""
    keys = dtls.keys(bench)
    with dtls.peer(bench, keys.server) as (port, peer):
        relay = dtls.Relay(port)
        try:
            lines, books, _ = export(bench, CAPTURES[0], dtls.url(relay.port, keys.client, "mtu=%d" % mtu))
            tools.wait_for("the end", lambda: peer.read() and peer.read()[-1][1])
        finally:
            relay.close()
        [(datagrams, ended)] = peer.read()
    records.check(max(relay.sizes) <= mtu - 28, "%d bytes in a datagram", max(relay.sizes))
    records.check(max(relay.sizes) > 0.8 * mtu - 200 or mtu > 1400, "only %d bytes in a datagram", max(relay.sizes))
    records.same_elements(records.one_way(lines), decoded(datagrams).flows())
    records.same_value(books["messages"], len(datagrams), "messages")


def send_to_dozing(bench, capture_path):
    """What was sent to a collector that is not run for 5 ms of each 10: books, flows that came, datagrams its socket dropped."""
    keys, done = dtls.keys(bench), threading.Event()
    with dtls.peer(bench, keys.server) as (port, peer):
        dozing = threading.Thread(target=peer.doze, args=(done, 0.005))
        dozing.start()
        try:
            _, err = tools.weir(bench, ["-r", capture_path, "--stats", "json", "-o", dtls.url(port, keys.client)])
        finally:
            done.set()
            dozing.join()
        time.sleep(0.2)
        [(datagrams, _)] = peer.read()
        return tools.last_json(err)["outputs"][0], datagrams, tools.udp_queue(port)[1]


@case
def dtls_burst_does_not_overrun_a_collector(bench):
    """40,000 flows end at once; the collector's socket has the system's default room. On a busy machine it may sleep for longer."""
    burst = capture(bench, one_each(range(T0, T0 + SECOND // 2, SECOND // 80000)))
    for _ in range(4):
        books, datagrams, dropped = send_to_dozing(bench, burst)
        if dropped == 0:
            break
    records.same_value((dropped, books["records"], books["messages"]), (0, 40000, len(datagrams)), "dropped, records, messages")
    records.same_value(len(decoded(datagrams).flows()), 40000, "flows")


@case
def dtls_handshake_survives_loss(bench):
    """Every third datagram of the first ten is lost, both ways: the handshake sends again."""
    keys = dtls.keys(bench)
    with dtls.peer(bench, keys.server) as (port, peer):
        relay = dtls.Relay(port, lambda direction, number: direction == 0 and number in (0, 2))
        try:
            lines, _, _ = export(bench, CAPTURES[0], dtls.url(relay.port, keys.client))
            tools.wait_for("the end", lambda: peer.read() and peer.read()[-1][1])
        finally:
            relay.close()
        records.same_elements(records.one_way(lines), decoded(peer.read()[-1][0]).flows())


def refused(bench, port, identity, *options):
    _, books, err = export(bench, CAPTURES[0], dtls.url(port, identity, "connect-wait=2", *options), expect=1)
    records.same_value(books["records"], 0, "records")
    return err


@case
def dtls_checks_the_peer(bench):
    keys = dtls.keys(bench)
    with dtls.peer(bench, keys.server) as (port, _):
        said = refused(bench, port, keys.client, "peer-name=other.example")
        records.check("not for other.example" in said, "said: %s", said)
        other = keys.client._replace(ca=os.path.join(os.path.dirname(keys.client.ca), "other.pem"))
        said = refused(bench, port, other)
        records.check("not trusted" in said, "said: %s", said)
        said = refused(bench, port, keys.stranger)
        records.check("trust our cert=" in said or "no answer" in said, "said: %s", said)
        lines, books, _ = export(bench, CAPTURES[0], dtls.url(port, keys.client, "peer-name=server.example"))
        records.same_value(books["records"], len(records.one_way(lines)), "records")


@case
def dtls_wrong_options_are_told(bench):
    keys = dtls.keys(bench)
    readable = bench.new_dir() + "/key"
    shutil.copy(keys.client.key, readable)
    os.chmod(readable, 0o644)
    for url, cure in ((dtls.url(1, keys.client._replace(key=readable)), "chmod 600"),
                      (dtls.url(1, keys.client, "mtu=500"), "it wants 576"),
                      (dtls.url(1, keys.client, "min-version=1.3"), "no option"),
                      (dtls.url(1, keys.client._replace(ca="/nowhere")), "ca=/nowhere")):
        _, err = tools.weir(bench, ["--check", "-o", url], expect=2)
        records.check(cure in err, "said: %s", err)


def slow(bench, seconds):
    """A flow every 50 ms of packet time; replayed at its own pace."""
    return capture(bench, one_each(range(T0, T0 + seconds * SECOND, SECOND // 20)))


def flow_ports(stream):
    return [flow["sourceTransportPort"] for flow in stream.flows()]


def restart(bench, path_of, options):
    """A slow replay through which the collector is killed and comes back on its port; what each of its lives read."""
    keys, result = dtls.keys(bench), []
    args = ("--speed", "1", "--idle-timeout", "0.2")
    port = tools.free_port()
    target = path_of(port)
    thread = threading.Thread(target=lambda: result.append(
        export(bench, slow(bench, 16), dtls.url(target, keys.client, *options), args=args)))
    with dtls.peer(bench, keys.server, port) as (_, first):
        thread.start()
        tools.wait_for("records", lambda: sum(len(datagrams) for datagrams, _ in first.read()) > 3)
        before = first.read()
    time.sleep(1.5)
    with dtls.peer(bench, keys.server, port) as (_, second):
        thread.join()
        time.sleep(0.3)
        after = second.read()
    if not result:
        raise tools.Failed("the replay failed")
    return result[0], before, after


def expect_new_session(result, before, after, most_lost):
    lines, books, _ = result
    records.check(after, "the restarted collector got nothing")
    got = set()
    for datagrams, _ in before + after:
        got |= set(flow_ports(decoded(datagrams)))
    sent = {line["sourceTransportPort"] for line in lines}
    records.check(after[-1][1], "the last session did not end in order")
    records.check(got <= sent and len(sent - got) <= most_lost, "%d of %d flows lost", len(sent - got), len(sent))
    records.check(books["reconnects"] >= 1, "no reconnect: %s", books)


@case
def dtls_collector_that_restarts_is_found_by_icmp(bench):
    """Records that are due while it is known to be away wait; what left before that is lost."""
    result, before, after = restart(bench, lambda port: port, [])
    expect_new_session(result, before, after, 60)


@case
def dtls_collector_that_restarts_silently_is_found_by_the_next_session(bench):
    """Behind a relay there is no ICMP: the collector forgot its sessions and says nothing."""
    relays = []

    def through(port):
        relays.append(dtls.Relay(port))
        return relays[0].port

    try:
        result, before, after = restart(bench, through, ["reconnect=2"])
    finally:
        relays[0].close()
    expect_new_session(result, before, after, 120)

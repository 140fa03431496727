"""IPFIX and JSON Lines over TCP and TLS: libfixbuf's collector, openssl s_server, nc, and a collector that is killed."""
import contextlib
import json
import random
import socket
import subprocess
import threading
import time

import dtls
import flowproto
import records
import syslogd
import tools
from cases_collectors import fixbuf_record
from suite import case, each

CAPTURES = tools.real_or_own(["ndpi-1kxun.pcap", "arkime-v6-http.pcap"])


def export(bench, pcap, url, expect=0):
    """A replay to JSON and to the URL: JSON records and the books of the output."""
    out, err = tools.weir(bench, ["-r", bench.pcap(pcap), "--stats", "json", "-o", "json:-", "-o", url], expect=expect)
    return tools.json_lines(out), tools.last_json(err)["outputs"][1]


def expect_delivered(books):
    held = books["queued"] + books["unconfirmed"] + books["spooled"] + books["records_dropped"]
    records.same_value((books["records_in"], 0), (books["records"], held), "records: in and delivered, held and dropped")


@contextlib.contextmanager
def collector(bench, port, argv, **popen):
    path = bench.new_dir() + "/out"
    with open(path, "wb") as out, bench.child(argv, **{"stdout": out, **popen}) as process:
        tools.wait_for("%s on port %d" % (argv[0], port), lambda: syslogd.tcp_listens(port))
        yield process, path


def read(path):
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def libfixbuf(bench):
    """libfixbuf's collector of one TCP session; yields its port, and a function that gives the flow records at its end."""
    tools.fixread(bench, "--model")  # builds it
    port = tools.free_port()
    with collector(bench, port, [bench.dir + "/fixread", "--listen", str(port)]) as (process, path):
        def result():
            records.same_value(process.wait(10), 0, "exit of fixread")
            return [fixbuf_record(r["fields"]) for r in tools.json_lines(read(path).decode()) if not r["scope"]]
        yield port, result


def expect_flows(found, biflow, flows):
    records.same_elements([records.ipfix_biflow(r) for r in found] if biflow == "yes" else records.one_way(found), flows)


@each(*[(pcap, biflow) for pcap in CAPTURES for biflow in ("yes", "no")])
def libfixbuf_collects_over_tcp(bench, pcap, biflow):
    with libfixbuf(bench) as (port, result):
        found, books = export(bench, pcap, "ipfix+tcp://%s:%d?biflow=%s" % (tools.LOOPBACK, port, biflow))
        flows = result()
    expect_delivered(books)
    expect_flows(found, biflow, flows)


@contextlib.contextmanager
def s_server(bench, *options, ip=tools.LOOPBACK, **popen):
    """OpenSSL's server, which asks for a certificate that its authority signed; yields its process, the weir URL to it and
    the path of what it decrypts, unless that goes elsewhere (stdout=)."""
    keys, port = dtls.keys(bench), tools.free_port()
    argv = ["openssl", "s_server", *options, "-quiet", "-accept", "%s:%d" % (ip, port), "-cert", keys.server.cert,
            "-key", keys.server.key, "-CAfile", keys.server.ca, "-Verify", "1", "-verify_return_error"]
    url = "ipfix+tls://%s:%d?ca=%s&cert=%s&key=%s" % (ip, port, keys.client.ca, keys.client.cert, keys.client.key)
    with collector(bench, port, argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, **popen) as (process, path):
        yield process, url, path


@each(*[(pcap, version, biflow) for pcap in CAPTURES for version, biflow in (("-tls1_2", "no"), ("-tls1_3", "yes"))])
def libfixbuf_collects_over_tls(bench, pcap, version, biflow):
    """What s_server decrypts goes straight into the TCP session of libfixbuf's collector: its standard output is that socket."""
    with libfixbuf(bench) as (port, result):
        with socket.create_connection((tools.LOOPBACK, port)) as plain:
            with s_server(bench, version, "-naccept", "1", stdout=plain) as (process, url, _):
                plain.close()
                found, books = export(bench, pcap, url + "&biflow=" + biflow)
                process.wait(10)
        flows = result()
    expect_delivered(books)
    expect_flows(found, biflow, flows)


@each("-tls1_2", "-tls1_3")
def s_server_takes_ipfix_over_tls(bench, version):
    """Both know each other; what s_server decrypts passes the checker, and libfixbuf reads it as a file."""
    with s_server(bench, version, "-naccept", "1") as (process, url, path):
        found, books = export(bench, CAPTURES[0], url)
        process.wait(10)
    expect_delivered(books)
    check_stream(dtls.messages(read(path)))
    flows = [fixbuf_record(r["fields"]) for r in tools.json_lines(tools.fixread(bench, path)) if not r["scope"]]
    records.same_elements(records.one_way(found), flows)


def check_stream(messages):
    """One session: lengths, sets, padding, templates before data and once, sequence from 0."""
    stream = flowproto.Stream(udp=False)
    for message in messages:
        stream.feed(message)
    records.check(not stream.problems, "problems:\n%s", "\n".join(stream.problems[:8]))
    records.check(messages[0][8:12] == b"\0\0\0\0", "the sequence begins with %s", messages[0][8:12])
    again = [key for key, numbers in stream.template_messages.items() if len(numbers) != 1]
    records.check(not again, "templates sent more than once: %s", again)
    return stream


@case
def a_stranger_gets_nothing_from_s_server(bench):
    own, stranger = dtls.keys(bench).client, dtls.keys(bench).stranger
    with s_server(bench) as (_, url, path):
        _, books = export(bench, CAPTURES[0], url.replace(own.cert, stranger.cert).replace(own.key, stranger.key) +
                          "&connect-wait=0", expect=1)
    records.same_value((books["records"], read(path)), (0, b""), "delivered")


@each(*CAPTURES)
def nc_takes_json_lines(bench, pcap):
    port = tools.free_port()
    with collector(bench, port, ["nc", "-d", "-l", tools.LOOPBACK, str(port)]) as (process, path):
        found, books = export(bench, pcap, "json+tcp://%s:%d" % (tools.LOOPBACK, port))
        process.wait(10)
    expect_delivered(books)
    records.same_value([json.loads(line) for line in read(path).splitlines()], found, "records, in order")


class Flaky(threading.Thread):
    """Takes IPFIX sessions; resets each of the first `resets` after some bytes. Keeps what each brought."""

    def __init__(self, resets, ip=tools.LOOPBACK):
        super().__init__(daemon=True)
        self._resets = resets
        self._listener = socket.create_server((ip, 0), family=socket.AF_INET6 if ":" in ip else socket.AF_INET)
        self._listener.settimeout(30)
        self.port = self._listener.getsockname()[1]
        self.sessions = []

    def run(self):
        with self._listener:
            for number in range(self._resets + 1):
                connection, _ = self._listener.accept()
                with connection:
                    self.sessions.append(self._serve(connection, 2000 + 700 * number if number < self._resets else None))

    @staticmethod
    def _serve(connection, limit):
        data = b""
        while limit is None or len(data) < limit:
            more = connection.recv(4096)
            if not more:
                return data
            data += more
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return data


def whole(data):
    """The messages of a session that may have been cut."""
    out, at = [], 0
    while at + 4 <= len(data) and at + int.from_bytes(data[at + 2:at + 4], "big") <= len(data):
        size = int.from_bytes(data[at + 2:at + 4], "big")
        out.append(data[at:at + size])
        at += size
    return out


@case
def each_session_after_a_reset_is_sound_and_nothing_is_missing(bench):
    peer = Flaky(4)
    peer.start()
    found, books = export(bench, CAPTURES[0], "ipfix+tcp://%s:%d" % (tools.LOOPBACK, peer.port))
    peer.join(10)
    expect_delivered(books)
    records.same_value((len(peer.sessions), books["reconnects"]), (5, 4), "sessions, reconnects")
    for session in peer.sessions[:-1]:
        if whole(session):
            check_stream(whole(session))
    last = check_stream(whole(peer.sessions[-1]))
    records.same_elements(records.one_way(found), last.flows())


class Mortal(threading.Thread):
    """Takes JSON Lines; dies and comes back `deaths` times, at random moments. Keeps what each life was sent."""

    def __init__(self, deaths, seed):
        super().__init__(daemon=True)
        self._deaths = deaths
        self._random = random.Random(seed)
        self._listener = socket.create_server((tools.LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self.lives = []

    def run(self):
        for number in range(self._deaths + 1):
            self._listener.settimeout(30)
            connection, _ = self._listener.accept()
            last = number == self._deaths
            self.lives.append(self._live(connection, None if last else time.monotonic() + self._random.uniform(1.0, 1.3)))
            self._listener.close()
            if not last:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            if not last:
                time.sleep(self._random.uniform(0, 0.3))
                self._listener = socket.create_server((tools.LOOPBACK, self.port))

    @staticmethod
    def _live(connection, until):
        data = b""
        connection.settimeout(0.05)
        while until is None or time.monotonic() < until:
            try:
                more = connection.recv(1 << 16)
            except TimeoutError:
                continue
            if not more:
                break
            data += more
        return data


@case
def a_collector_that_dies_under_load_misses_nothing(bench):
    """Each record arrives at least once, in order within a session, and the books say so to the record."""
    peer = Mortal(5, seed=5)
    peer.start()
    capture = bench.pcap(CAPTURES[0])
    path = bench.new_dir() + "/all.json"
    _, err = tools.weir(bench, ["-r", capture] * 100 + ["--stats", "json", "-o", "json:" + path, "-o",
                                                        "json+tcp://%s:%d?rate=3000" % (tools.LOOPBACK, peer.port)])
    peer.join(10)
    books = tools.last_json(err)["outputs"][1]
    wanted = read(path).splitlines()
    place = {line: number for number, line in enumerate(wanted)}
    expect_delivered(books)
    records.same_value((books["records"], books["reconnects"], len(peer.lives)), (len(wanted), 5, 6), "delivered, reconnects, lives")
    arrived = set()
    for life in peer.lives:
        places = [place[line] for line in life.split(b"\n")[:-1]]
        records.check(places == sorted(set(places)), "a session out of order")
        arrived.update(places)
    records.same_value(len(wanted) - len(arrived), 0, "records that never arrived")

"""What weir sends over every transport of IPFIX is a sound session."""
import dtls
import ipfix_check
import makepcap
import peers
import records
import rig
import source
import tools
import transports
from suite import each

COUNT = 3000
KINDS = ("yes", "no")


def made_capture(bench):
    """Numbered flows, a millisecond apart."""
    packets = [(makepcap.T0 + n * 1_000_000, frame[14:], 28) for n in range(COUNT) for frame in source.frames(n)]
    return makepcap.capture(bench, packets)


def replay(bench, url):
    """A replay to JSON and to the URL: records handed over by direction, the output's books."""
    out, err = tools.weir(bench, ["-r", made_capture(bench), "--stats", "json", "-o", "json:-", "-o", url])
    books = tools.last_json(err)["outputs"][1]
    rig.balance(url.split(":")[0], books)
    records.same_value((len(tools.json_lines(out)), books["records_dropped"]), (COUNT, 0), "flows, dropped")
    return books


def check_result(result, biflow, books):
    records.check(not result.problems, "%s", "; ".join(result.problems[:5]))
    count = COUNT if biflow == "yes" else source.one_way(COUNT)
    records.same_value((len(result.flows()), books["records"]), (count, count), "flows, books")
    found = {transports.number_of(r["sourceIPv4Address"], r["destinationIPv4Address"]) for r in result.flows()}
    records.same_value(len(found), count, "different flows")


@each(*[(scheme, biflow) for scheme in ("ipfix+tcp", "ipfix+tls") for biflow in KINDS])
def export_passes_the_checker(bench, scheme, biflow):
    peer = peers.Mortal(bench, next(t for t in transports.ALL if t.scheme == scheme), 0, bench.seed)
    peer.start()
    try:
        books = replay(bench, peer.url("biflow=" + biflow))
        data = peer.raw()
    finally:
        peer.end()
    records.same_value(len(data), 1, "sessions")
    check_result(ipfix_check.check_session(data[0]), biflow, books)


@each(*KINDS)
def udp_export_passes_the_checker(bench, biflow):
    sink = tools.Sink()
    try:
        books = replay(bench, "ipfix://127.0.0.1:%d?biflow=%s" % (sink.port, biflow))
    finally:
        datagrams = sink.close()
    check_result(ipfix_check.check_messages(datagrams, udp=True), biflow, books)


@each(*KINDS)
def dtls_export_passes_the_checker(bench, biflow):
    keys = dtls.keys(bench)
    with dtls.peer(bench, keys.server) as (port, peer):
        books = replay(bench, dtls.url(port, keys.client, "rate=5000", "biflow=" + biflow))
        tools.wait_for("the association to end", lambda: any(ended for _, ended in peer.read()))
        sessions = peer.read()
    records.same_value(len(sessions), 1, "associations")
    check_result(ipfix_check.check_messages(sessions[0][0], udp=True), biflow, books)


@each(*KINDS)
def file_passes_the_checker(bench, biflow):
    path = bench.new_dir() + "/out.ipfix"
    books = replay(bench, "ipfix-file:%s?biflow=%s" % (path, biflow))
    with open(path, "rb") as file:
        check_result(ipfix_check.check_session(file.read()), biflow, books)

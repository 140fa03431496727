"""What nfcapd, nfacctd, tshark and libfixbuf understand of weir's export, record by record, against weir's own JSON."""
import collections

import flowproto
import records
import tools
from suite import Memo, case, each

CAPTURES = tools.real_or_own(["pcpp-many-protocols.pcap", "pcpp-example.pcap", "arkime-v6-http.pcap", "pcpp-IcmpPackets.pcap",
            "markofu-ftp-crack.pcap", "ndpi-1kxun.pcap", "ipfixprobe-vlan.pcap", "arkime-sctp-www.pcap",
            "sanders-icmpv6_neighbor_solicitation.pcapng", "tcpdump-dccp_partial_csum_v4_longer.pcap"])
FEW = tools.real_or_own(["pcpp-example.pcap", "arkime-v6-http.pcap", "pcpp-IcmpPackets.pcap"])
FORMATS = ("netflow5", "netflow9", "ipfix")
SAMPLED = tools.real_or_own(["pcpp-example.pcap"])[0]
RATES = (("systematic:3", 3), ("random:4", 4), ("systematic:100", 100), ("7", 7))

memo = Memo()


def replay(bench, pcap, args=()):
    """One replay of the capture to JSON and all three wire formats."""
    return memo.get((pcap, args), lambda: tools.replay(bench, pcap, FORMATS, args))


def expected(got, wire):
    """What a collector of the format should show: all one-way records, or the IPv4 ones for v5."""
    halves = records.one_way(got.json)
    return [h for h in halves if wire != "netflow5" or not records.is_v6(h)]


def nfcapd_failures(datagrams, wire):
    """How many sequence failures nfcapd 1.7.1 reports for a faultless stream: it leaves options data records out of the IPFIX
    count, so each message that follows some after the first flow record costs one (PITFALLS.md)."""
    if wire != "ipfix":
        return 0
    count, seen, failures = 0, False, 0
    for message in flowproto.read_stream(datagrams).messages:
        if message.sequence != count:
            failures += seen
            count = message.sequence
        flows = sum(not record.options for record in message.records)
        count += flows
        seen = seen or flows > 0
    return failures


@each(*[(pcap, wire) for pcap in CAPTURES for wire in FORMATS])
def nfdump_shows_every_flow(bench, pcap, wire):
    got = replay(bench, pcap)
    result = tools.nfcapd_reads(bench, got.datagrams[wire]) if got.datagrams[wire] else tools.Nfcapd([], 0, "")
    records.same(records.cores(expected(got, wire)), records.nfdump_cores(result.flows))
    records.same_value(nfcapd_failures(got.datagrams[wire], wire), result.failures, "sequence failures")
    records.check("rror:" not in result.log.replace("Sequence Errors", ""), result.log)


@each(*FORMATS[1:])
def nfdump_shows_vlan_ids(bench, wire):
    got = replay(bench, "ipfixprobe-vlan.pcap")
    want = collections.Counter(h["vlanId"] for h in records.one_way(got.json) if h.get("vlanId"))
    records.check(want, "no vlanId in the JSON")
    flows = tools.nfcapd_reads(bench, got.datagrams[wire]).flows
    records.same(want, collections.Counter(f["src_vlan"] for f in flows if f.get("src_vlan")), "VLAN ids")


@each(*FORMATS)
def nfcapd_counts_no_sequence_failure_before_the_first_refresh(bench, wire):
    got = replay(bench, "arkime-http2-nghttp2.pcap")
    records.same_value(0, tools.nfcapd_reads(bench, got.datagrams[wire]).failures, "sequence failures")


@each(*[(wire, ip) for wire in FORMATS for ip in ("127.0.0.1", "[::1]")])
def nfcapd_receives_straight_from_weir(bench, wire, ip):
    if ip == "[::1]":
        tools.need_ip6()
    with tools.nfcapd(bench, ip.strip("[]")) as (port, result):
        out, _ = tools.weir(bench, ["-r", bench.pcap("ndpi-1kxun.pcap"), "-o", "json:-",
                                    "-o", "%s://%s:%d" % (wire, ip, port)])
        tools.wait_for("nfcapd to read", lambda: tools.udp_queue(port)[0] == 0)
        records.same_value(0, tools.udp_queue(port)[1], "datagrams nfcapd's socket dropped")
        flows = result().flows
    want = expected(tools.Replay(tools.json_lines(out), None, None), wire)
    records.same(records.cores(want), records.nfdump_cores(flows))


# The same asked of weir and of nfdump.
FILTERS = [
    ("protocolIdentifier == tcp and destinationTransportPort in {80, 443}", "proto tcp and dst port in [80 443]"),
    ("sourceIPv4Address in 192.168.0.0/16 and packetDeltaCount > 2", "src net 192.168.0.0/16 and packets > 2"),
    ("not (protocolIdentifier == udp or octetDeltaCount < 200)", "not (proto udp or bytes < 200)"),
    ("tcpControlBits & syn|psh == syn|psh and not tcpControlBits & fin", "flags S and flags P and not flags F"),
    ("ipVersion == 6 or flowDurationMilliseconds > 1s", "inet6 or duration > 1000"),
    ("sourceTransportPort in 1-1023 or destinationIPv4Address in {224.0.0.0/4, 192.168.0.0/24}",
     "(src port > 0 and src port < 1024) or dst net 224.0.0.0/4 or dst net 192.168.0.0/24"),
]


@each(*[(pcap, n) for pcap in CAPTURES[:3] + CAPTURES[5:6] for n in range(len(FILTERS))])
def nfdump_and_weir_agree_about_a_filter(bench, pcap, n):
    ours, theirs = FILTERS[n]
    url = "netflow9?filter=" + ours
    got = memo.get((pcap, "filters"), lambda: tools.replay(bench, pcap, ["netflow9"] + ["netflow9?filter=" + f for f, _ in FILTERS]))
    want = tools.nfcapd_reads(bench, got.datagrams["netflow9"], theirs).flows
    flows = tools.nfcapd_reads(bench, got.datagrams[url]).flows
    records.same(records.nfdump_cores(want), records.nfdump_cores(flows))
    stats = got.stats["outputs"][2 + n]
    records.same_value(stats["records_in"] - len(flows), stats["filtered"], "filtered")


@each(*[(sample, n, wire) for sample, n in RATES for wire in FORMATS])
def nfdump_scales_sampled_counts(bench, sample, n, wire):
    got = replay(bench, SAMPLED, ("-s", sample, "--seed", "1"))
    records.check(got.stats["unsampled"] > 0, "nothing was left out: %s", got.stats)
    result = tools.nfcapd_reads(bench, got.datagrams[wire])
    records.same(records.scaled(records.cores(expected(got, wire)), n), records.nfdump_cores(result.flows))


@each(*FORMATS)
def nfdump_leaves_counts_alone_under_a_rate_cap(bench, wire):
    got = replay(bench, SAMPLED, ("--rate-cap", "20"))
    records.check(got.stats["unsampled"] > 0, "the cap never worked: %s", got.stats)
    result = tools.nfcapd_reads(bench, got.datagrams[wire])
    records.same(records.cores(expected(got, wire)), records.nfdump_cores(result.flows))


NFACCTD_V5_PORTS = (1, 6, 17, 58)  # of other protocols nfacctd 1.7.7 shows ports of v9 and IPFIX only


def nfacctd_blank(datagrams, wire):
    """Members nfacctd 1.7.7 cannot show: v5 and v9 times below a second, TCP flags of a field two bytes wide (PITFALLS.md)."""
    if wire != "ipfix":
        return ("start_ms", "end_ms")
    wide = any(field.name == "tcpControlBits" and field.length > 1
               for template in flowproto.read_stream(datagrams).templates.values() for field in template.fields)
    return ("flags",) if wide else ()


def compare_nfacctd(bench, got, wire, factor=1):
    blank = nfacctd_blank(got.datagrams[wire], wire)
    result = tools.nfacctd_reads(bench, got.datagrams[wire], renormalize=True)
    want = records.scaled(records.cores(expected(got, wire)), factor)
    if wire == "netflow5":
        want = records.without(want, "sport", "dport", only=lambda item: item.proto not in NFACCTD_V5_PORTS, blank=0)
    records.same(records.summed(records.without(want, *blank)), records.nfacctd_sums(result.flows, blank), "nfacctd's flows")
    records.check("WARN" not in result.log and "ERROR" not in result.log, result.log)


@each(*[(pcap, wire) for pcap in FEW for wire in FORMATS])
def nfacctd_shows_every_flow(bench, pcap, wire):
    got = replay(bench, pcap)
    if got.datagrams[wire]:
        compare_nfacctd(bench, got, wire)


@each(*[(sample, n, wire) for sample, n in RATES[:2] for wire in FORMATS])
def nfacctd_scales_sampled_counts(bench, sample, n, wire):
    compare_nfacctd(bench, replay(bench, SAMPLED, ("-s", sample, "--seed", "1")), wire, n)


def no_remarks(rows):
    for row in rows:
        remarks = [row[name] for name in tools.TSHARK_FIELDS[3:] if row[name]]
        records.check(not remarks, "tshark, frame %s (version %s): %s", row["frame.number"], row["cflow.version"], remarks)


@each(*CAPTURES)
def tshark_has_no_remarks(bench, pcap):
    got = replay(bench, pcap)
    rows = tools.tshark_datagrams(bench, [(2055 + n, got.datagrams[wire]) for n, wire in enumerate(FORMATS)])
    records.same_value(sum(map(len, got.datagrams.values())), len(rows), "frames")
    no_remarks(rows)


@case
def tshark_has_no_remarks_on_refreshed_templates_and_sampling(bench):
    args = ("-s", "random:2", "--seed", "1")
    got = tools.replay(bench, "ndpi-whatsapp.pcap", ("netflow9?template-refresh=5", "ipfix?template-refresh=5"), args)
    no_remarks(tools.tshark_datagrams(bench, [(2055 + n, d) for n, d in enumerate(got.datagrams.values())]))


@case
def tshark_has_no_remarks_on_biflows(bench):
    got = tools.replay(bench, "ndpi-1kxun.pcap", ("ipfix?biflow=yes",))
    no_remarks(tools.tshark_datagrams(bench, [(4739, got.datagrams["ipfix?biflow=yes"])]))


@each("pcpp-many-protocols.pcap", "arkime-v6-http.pcap", "arkime-empty.pcap")
def tshark_reads_an_ipfix_file(bench, pcap):
    no_remarks(tools.tshark(bench, ["-r", tools.weir_file(bench, pcap, "ipfix-file", ".ipfix")]))


@each(*[(pcap, biflow) for pcap in CAPTURES for biflow in ("yes", "no")])
def libfixbuf_reads_every_record(bench, pcap, biflow):
    path = tools.weir_file(bench, pcap, "ipfix-file", ".ipfix", query="?biflow=" + biflow)
    found = [fixbuf_record(r["fields"]) for r in tools.json_lines(tools.fixread(bench, path)) if not r["scope"]]
    json = replay(bench, pcap).json
    records.same_elements([records.ipfix_biflow(r) for r in json] if biflow == "yes" else records.one_way(json), found)


def fixbuf_record(fields):
    """A record as fixread prints it, with times in nanoseconds as flowproto has them."""
    out = flowproto.Record()
    for name, value in fields.items():
        if name.endswith("Milliseconds") and "Duration" not in name:
            value *= 1_000_000
        elif name.endswith(("Microseconds", "Nanoseconds")) and "Delta" not in name and "Duration" not in name:
            value = flowproto.ntp_to_ns(value, 1000 if name.endswith("Microseconds") else 1)
        out[name] = value
    return out


@case
def libfixbuf_reads_options_records(bench):
    path = tools.weir_file(bench, "pcpp-example.pcap", "ipfix-file", ".ipfix")
    found = [r["fields"] for r in tools.json_lines(tools.fixread(bench, path)) if r["scope"]]
    count = collections.Counter(name for fields in found for name in fields)
    for name in ("samplingInterval", "selectorAlgorithm", "selectorIdTotalPktsObserved"):
        records.check(count[name] > 0, "no options record with %s: %s", name, sorted(count))

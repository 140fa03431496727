"""Wire validity by the independent decoder, and every element of every record against weir's JSON."""
import math
import os

import flowproto
import makepcap
import records
import tools
from cases_collectors import replay
from suite import case, each

SECOND = records.SECOND
WIRES = ("netflow5", "netflow9", "ipfix")
CORE = ("protocolIdentifier", "packetDeltaCount", "octetDeltaCount")
IPFIX_MUST = CORE + ("flowEndReason", "flowId", "minimumTTL", "maximumTTL", "ipClassOfService", "sourceTransportPort",
                     "destinationTransportPort", "ingressInterface", "selectorId")
MUST = {"netflow5": CORE, "netflow9": CORE + ("samplerId",), "ipfix": IPFIX_MUST}
V4_SHORT, LONG, MIXED = "arkime-dns-udp.pcap", "ndpi-whatsapp.pcap", "pcpp-many-protocols.pcap"


def decoded(got, url):
    """The stream a UDP output gave. Its validity is the business of the cases that call valid()."""
    return flowproto.read_stream(got.datagrams[url])


def valid(got, url):
    """The stream a UDP output gave, which must be free of problems."""
    stream = decoded(got, url)
    no_problems(stream)
    return stream


def no_problems(stream):
    records.check(not stream.problems, "%d problems:\n%s", len(stream.problems), "\n".join(stream.problems[:8]))


def output_stats(got, number):
    """The stats of the number-th output; the JSON to standard output is number 0."""
    return got.stats["outputs"][number]


def dropped(stats):
    """records_dropped, be it a number or numbers by reason."""
    value = stats["records_dropped"]
    return sum(value.values()) if isinstance(value, dict) else value


# --- every capture, every format ---------------------------------------------------------------------------------------

def captures():
    folder = os.environ["WEIR_PCAPS"]
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return tools.real_or_own(sorted(n for n in names if n.endswith((".pcap", ".pcapng"))))


@each(*[(pcap, wire) for pcap in captures() for wire in WIRES])
def udp_stream_is_valid_and_complete(bench, pcap, wire):
    got = replay(bench, pcap)
    stream = valid(got, wire)
    want = [h for h in records.one_way(got.json) if wire != "netflow5" or not records.is_v6(h)]
    records.same_elements(want, stream.flows(), MUST[wire])
    stats = output_stats(got, 1 + WIRES.index(wire))
    records.same_value(len(want), stats["records"], "stats: records")
    records.same_value(len(stream.messages), stats["messages"], "stats: messages")
    records.same_value(sum(map(len, got.datagrams[wire])), stats["bytes"], "stats: bytes")


@each(*captures())
def biflow_records_are_valid_and_complete(bench, pcap):
    path = os.path.join(bench.new_dir(), "out.ipfix")
    got = tools.replay(bench, pcap, ("ipfix?biflow=yes",), ("-o", "ipfix-file:" + path))
    want = [records.ipfix_biflow(record) for record in got.json]
    file = flowproto.read_ipfix_file(path)
    no_problems(file)
    for stream in (file, valid(got, "ipfix?biflow=yes")):
        records.same_elements(want, stream.flows(), CORE)
        for flow in stream.flows():
            records.check(flow.get("biflowDirection", 1) in (1, 2), "biflowDirection %s", flow.get("biflowDirection"))


@each("arkime-v6-http.pcap", MIXED, "ndpi-1kxun.pcap", "pcpp-IcmpPackets.pcap")
def json_and_ipfix_file_split_biflows_alike(bench, pcap):
    folder = bench.new_dir()
    paths = {name: os.path.join(folder, name) for name in ("one.json", "two.json", "one.ipfix")}
    tools.weir(bench, ["-r", bench.pcap(pcap), "-o", "json:%s?biflow=no" % paths["one.json"], "-o", "json:" + paths["two.json"],
                       "-o", "ipfix-file:%s?biflow=no" % paths["one.ipfix"]])
    want = records.one_way(read_json(paths["two.json"]))
    records.same(records.cores(want), records.cores(map(records.normal, read_json(paths["one.json"]))))
    stream = flowproto.read_ipfix_file(paths["one.ipfix"])
    no_problems(stream)
    records.same_elements(want, stream.flows(), IPFIX_MUST)


def read_json(path):
    with open(path) as file:
        return tools.json_lines(file.read())


# --- how many records, how long a message ------------------------------------------------------------------------------

@each(*[(pcap, count) for pcap, count in (("arkime-empty.pcap", 0), ("arkime-padded-udp.pcap", 1))])
def empty_and_single_record_runs(bench, pcap, count):
    got = replay(bench, pcap)
    records.same_value(count, len(got.json), "JSON records")
    for url in WIRES:
        records.same_value(count, len(valid(got, url).flows()), url)
    path = tools.weir_file(bench, pcap, "ipfix-file", ".ipfix")
    stream = flowproto.read_ipfix_file(path)
    no_problems(stream)
    records.same_value(count, len(stream.flows()), "ipfix-file")


@case
def options_only_streams_still_announce_templates_and_sampling(bench):
    got = replay(bench, "arkime-empty.pcap")
    for url in WIRES[1:]:
        stream = valid(got, url)
        records.check(stream.templates, "%s: no template in %d messages", url, len(stream.messages))
        records.check(stream.options("samplingInterval"), "%s: no sampling announced", url)


@each(*[(url, mtu) for url in WIRES for mtu in (512, 9000)])
def mtu_counts_the_ip_packet(bench, url, mtu):
    url = "%s?mtu=%d" % (url, mtu)
    got = tools.replay(bench, "ndpi-1kxun.pcap", (url,))
    valid(got, url)
    longest = max(map(len, got.datagrams[url]))
    records.check(longest <= mtu - 28, "a datagram of %d bytes with an mtu of %d", longest, mtu)
    if url.startswith("netflow5"):
        want = min(30, (mtu - 28 - flowproto.V5_HEADER) // flowproto.V5_RECORD)
        longest_count = max(len(flowproto.read_stream([d]).records) for d in got.datagrams[url])
        records.same_value(want, longest_count, "records in the longest v5 datagram")
    else:
        records.check(longest > min(mtu // 2, 1472), "mtu %d hardly used: longest datagram %d bytes", mtu, longest)


@each(*WIRES)
def default_datagrams_fit_ethernet(bench, url):
    longest = max(map(len, replay(bench, "ndpi-1kxun.pcap").datagrams[url]))
    records.check(longest <= 1472, "a datagram of %d bytes", longest)


# --- templates ---------------------------------------------------------------------------------------------------------

@each(*[(url, refresh) for url in WIRES[1:] for refresh in (None, 1)])
def templates_are_refreshed(bench, url, refresh):
    url += "?template-refresh=%d" % refresh if refresh else ""
    stream = valid(tools.replay(bench, makepcap.a_day(bench), (url,)), url)
    last = {}
    for message in stream.messages:
        if message.templates:
            last[message.domain] = message.secs
        if any(not record.options for record in message.records):
            age = message.secs - last[message.domain]
            records.check(age <= (refresh or 60) + 1, "flow records %d s after the last templates", age)
    times = {len(numbers) for numbers in stream.template_messages.values()}
    records.check(min(times) > 100, "templates sent %s times in a day", times)


@case
def a_file_has_its_templates_once(bench):
    stream = flowproto.read_ipfix_file(tools.weir_file(bench, LONG, "ipfix-file", ".ipfix"))
    no_problems(stream)
    for key, numbers in stream.template_messages.items():
        records.same_value(1, len(numbers), "template %s" % (key,))


@each(*WIRES[1:])
def each_family_has_its_own_template(bench, url):
    for pcap in ("arkime-v6-http.pcap", MIXED, V4_SHORT):
        stream = decoded(replay(bench, pcap), url)
        for flow in stream.flows():
            names = stream.templates[flow.message.version, flow.message.domain, flow.template].names()
            both = {"sourceIPv4Address", "sourceIPv6Address"} & set(names)
            records.same_value(1, len(both), "address elements in template %d" % flow.template)


@each(*WIRES[1:])
def no_field_for_what_is_not_known(bench, url):
    for flow in decoded(replay(bench, V4_SHORT), url).flows():
        for name in ("vlanId", "dot1qVlanId", "icmpTypeCodeIPv4", "bgpSourceAsNumber", "ipNextHopIPv4Address"):
            records.check(not flow.get(name), "%s is %s", name, flow.get(name))
        records.check("sourceIPv6Address" not in flow, "IPv6 in an IPv4 record")


@each(*WIRES)
def domain_option_names_the_source(bench, url):
    got = tools.replay(bench, V4_SHORT, (url + "?domain=7",))
    for message in decoded(got, url + "?domain=7").messages:
        records.check(message.domain in (7, (0, 7)), "%s: domain %s", url, message.domain)


# --- time --------------------------------------------------------------------------------------------------------------

def ends(message):
    return [record.time_ns("End") for record in message.records if not record.options]


def header_times(stream):
    """Checks that no message is older than what it carries; returns the header times."""
    for message in stream.messages:
        if ends(message):
            newest = max(ends(message))
            least = math.ceil(newest / SECOND) if message.version == 9 else newest // SECOND
            records.check(message.secs >= least, "header time %d, but a flow ends at %d ns", message.secs, newest)
    return [message.secs for message in stream.messages]


@each(*[(pcap, url) for pcap in (LONG, "arkime-long-session.pcap", "pcpp-nanosecs.pcap", "ngtest-le-basic-test003.pcapng")
        for url in WIRES])
def no_message_is_older_than_its_flows(bench, pcap, url):
    header_times(decoded(replay(bench, pcap), url))


@each(*WIRES)
def header_time_is_the_packet_clock(bench, url):
    times = header_times(decoded(tools.replay(bench, makepcap.a_day(bench), (url,)), url))
    records.check(times == sorted(times), "header time goes back though the packet clock does not: %s...", times[:20])
    last = makepcap.DAY_TIMES[-1] // SECOND
    records.check(last <= times[-1] <= last + 1, "the last message is of %d, the last packet of %d", times[-1], last)


@each(*WIRES[:2])
def boot_time_is_kept_while_it_can_be(bench, url):
    boots = {message.boot_ns for message in decoded(replay(bench, "pcpp-example.pcap"), url).messages}
    records.same_value(1, len(boots), "boot times in a short capture")


# --- ICMP --------------------------------------------------------------------------------------------------------------

@each(*[(pcap, url) for pcap in ("pcpp-IcmpPackets.pcap", "sanders-icmpv6_neighbor_solicitation.pcapng", MIXED) for url in WIRES])
def icmp_type_and_code_in_port_and_element(bench, pcap, url):
    for flow in decoded(replay(bench, pcap), url).flows():
        if flow["protocolIdentifier"] not in (records.ICMP, records.ICMPV6):
            continue
        records.same_value(0, flow["sourceTransportPort"], "ICMP source port")
        if url != "netflow5":
            names = [n for n in ("icmpTypeCodeIPv4", "icmpTypeCodeIPv6") if n in flow]
            records.check(names, "no icmpTypeCode in %s", dict(flow))
            records.same_value(flow["destinationTransportPort"], flow[names[0]], names[0])


@each(*WIRES)
def the_reverse_half_of_a_ping_is_the_reply(bench, url):
    got = replay(bench, "pcpp-IcmpPackets.pcap")
    pings = [r for r in got.json if r["protocolIdentifier"] == 1 and r["reversePacketDeltaCount"]]
    records.check(pings, "no answered ping in the JSON")
    ports = {f["destinationTransportPort"] for f in decoded(got, url).flows() if f["protocolIdentifier"] == 1}
    for ping in pings:
        want = records.ICMP_REPLY[1, ping["destinationTransportPort"] >> 8] << 8
        records.check(want in ports, "no reply of %d among %s", want, ports)


# --- sampling ----------------------------------------------------------------------------------------------------------

SAMPLING = (((), 1, 1), (("-s", "systematic:3"), 3, 1), (("-s", "random:4"), 4, 2), (("-s", "systematic:20"), 20, 1))


def sampled(bench, args):
    return replay(bench, "pcpp-example.pcap", tuple(args) + ("--seed", "1"))


@each(*[(args, n, algorithm, url) for args, n, algorithm in SAMPLING for url in WIRES[1:]])
def the_rate_is_announced_before_the_first_flow(bench, args, n, algorithm, url):
    stream = decoded(sampled(bench, args), url)
    found = stream.options("samplingInterval", "samplingAlgorithm")
    records.check(found, "no options record with samplingInterval and samplingAlgorithm")
    for record in found:
        records.same_value((n, algorithm), (record["samplingInterval"], record["samplingAlgorithm"]), "interval, algorithm")
    first = next(i for i, record in enumerate(stream.records) if not record.options)
    records.check(any(r in found for r in stream.records[:first]), "the rate comes after the first flow record")


@each(*[(args, n, algorithm) for args, n, algorithm in SAMPLING])
def v9_announces_the_sampler(bench, args, n, algorithm):
    stream = decoded(sampled(bench, args), "netflow9")
    found = stream.options("samplerId", "samplerMode", "samplerRandomInterval")
    records.check(found, "no options record with samplerId, samplerMode, samplerRandomInterval")
    for record in found:
        records.same_value((n, algorithm), (record["samplerRandomInterval"], record["samplerMode"]), "interval, mode")
    records.same_value({r["samplerId"] for r in found}, {f["samplerId"] for f in stream.flows()}, "sampler ids")
    records.check(all(f["samplerId"] for f in stream.flows()), "samplerId 0")


@each(*[(args, n, algorithm) for args, n, algorithm in SAMPLING])
def ipfix_announces_the_selector(bench, args, n, algorithm):
    stream = decoded(sampled(bench, args), "ipfix")
    found = stream.options("selectorAlgorithm")
    records.check(found, "no options record with selectorAlgorithm")
    for record in found:
        records.check(record.scope == ("selectorId",), "scope %s", record.scope)
        if algorithm == 1:
            want = {"selectorAlgorithm": 1, "samplingPacketInterval": 1, "samplingPacketSpace": n - 1}
        else:
            want = {"selectorAlgorithm": 4, "samplingProbability": 1 / n}
        records.same_value(want, {name: record.get(name) for name in want}, "selector")
    records.same_value({r["selectorId"] for r in found}, {f["selectorId"] for f in stream.flows()}, "selector ids")


def totals(stream, stats):
    """Checks the selection sequence's totals: they grow, and the last ones are the run's."""
    found = stream.options("selectorIdTotalPktsObserved", "selectorIdTotalPktsSelected")
    records.check(found, "no options record with selectorIdTotalPktsObserved and ...Selected")
    seen = [(r["selectorIdTotalPktsObserved"], r["selectorIdTotalPktsSelected"]) for r in found]
    records.check(seen == sorted(seen), "totals go back: %s", seen)
    records.check(all(r.scope == ("selectionSequenceId",) for r in found if r.message.version == 10), "scope %s", found[0].scope)
    records.same_value((stats["observed"], stats["observed"] - stats["unsampled"]), seen[-1], "last (observed, selected)")


@each(*[(args, url) for args in ((), ("-s", "systematic:3"), ("-s", "random:4"), ("-s", "flow:4"), ("--rate-cap", "20"),
                                 ("-s", "systematic:2", "--rate-cap", "20")) for url in WIRES[1:]])
def observed_and_selected_packets_are_announced(bench, args, url):
    got = sampled(bench, args)
    totals(decoded(got, url), got.stats)


@case
def ipfix_flow_sampling_announces_no_packet_selector(bench):
    stream = decoded(sampled(bench, ("-s", "flow:4")), "ipfix")
    records.check(stream.options("samplingInterval"), "no samplingInterval")
    records.check(not stream.options("selectorAlgorithm"), "a packet selector is announced")


@case
def v9_flow_sampling_announces_no_packet_sampler(bench):
    stream = decoded(sampled(bench, ("-s", "flow:4")), "netflow9")
    records.check(not stream.options("samplerRandomInterval"), "a packet sampler is announced")


@each(((), 0, 1), (("-s", "systematic:3"), 1, 3), (("-s", "random:4"), 2, 4), (("-s", "systematic:16383"), 1, 16383))
def v5_header_has_mode_and_interval(bench, args, mode, interval):
    for message in decoded(sampled(bench, args), "netflow5").messages:
        if mode:
            records.same_value((mode, interval), message.sampling, "mode, interval")
        else:
            records.check(message.sampling[1] <= 1, "sampling %s without sampling", message.sampling)


@case
def v5_refuses_an_interval_it_cannot_write(bench):
    tools.weir(bench, ["-r", bench.pcap(V4_SHORT), "-s", "16384", "-o", "netflow5://%s:9" % tools.LOOPBACK], expect=2)
    tools.weir(bench, ["-r", bench.pcap(V4_SHORT), "-s", "16384", "-o", "json:-"])


@each("arkime-v6-http.pcap", MIXED)
def v5_counts_ipv6_records_as_dropped(bench, pcap):
    got = replay(bench, pcap)
    biflows = sum("sourceIPv6Address" in r for r in got.json)
    halves = sum(map(records.is_v6, records.one_way(got.json)))
    count = dropped(output_stats(got, 1 + WIRES.index("netflow5")))
    records.check(count in (biflows, halves) and count > 0, "%d dropped; %d IPv6 biflows, %d one-way", count, biflows, halves)


# --- fields= -----------------------------------------------------------------------------------------------------------

CHOICE = ["sourceIPv4Address", "destinationIPv4Address", "packetDeltaCount", "octetDeltaCount", "protocolIdentifier",
          "flowStartNanoseconds", "flowEndNanoseconds", "flowStartMicroseconds", "flowEndMicroseconds", "flowStartMilliseconds",
          "flowEndMilliseconds", "flowStartSeconds", "flowEndSeconds"]


@each("", "&biflow=yes")
def fields_chooses_elements_and_time_precision(bench, more):
    url = "ipfix?fields=" + ",".join(CHOICE) + more
    got = tools.replay(bench, V4_SHORT, (url,))
    halves = [records.ipfix_biflow(r) for r in got.json] if more else records.one_way(got.json)
    stream = valid(got, url)
    records.same_value(len(halves), len(stream.flows()), "records")
    by_start = sorted(halves, key=lambda h: (h["flowStartNanoseconds"], h["sourceIPv4Address"]))
    for half, flow in zip(by_start, sorted(stream.flows(), key=lambda f: (f["flowStartNanoseconds"], f["sourceIPv4Address"]))):
        for name in CHOICE:
            records.check(name in flow, "%s was asked for and is missing", name)
        for name in flow:
            plain = name[7].lower() + name[8:] if records.is_reverse(name) else name
            records.check(plain in CHOICE + ["selectorId", "biflowDirection"], "%s was not asked for", name)
        records.same_times(half, flow)


@case
def fields_refuses_an_unknown_name(bench):
    url = "ipfix://%s:9?fields=sourceIPv4Address,noSuchElement" % tools.LOOPBACK
    _, err = tools.weir(bench, ["-r", bench.pcap(V4_SHORT), "-o", url], expect=2)
    records.check("noSuchElement" in err, "the message does not name the element: %s", err)


# --- other options records ---------------------------------------------------------------------------------------------

@each(*WIRES[1:])
def process_statistics_are_exported(bench, url):
    stream = decoded(replay(bench, "pcpp-example.pcap"), url)
    for name in ("exportedMessageTotalCount", "exportedFlowRecordTotalCount"):
        records.check(stream.options(name), "no options record with %s", name)


@each("ipfix", "ipfix?biflow=yes")
def private_elements_have_type_information(bench, url):
    """RFC 5610: an element of an enterprise other than the reverse one is described by an options record."""
    stream = decoded(tools.replay(bench, MIXED, (url,)), url)
    described = {(r["privateEnterpriseNumber"], r["informationElementId"])
                 for r in stream.options("privateEnterpriseNumber", "informationElementId")}
    for template in stream.templates.values():
        for field in template.fields:
            if field.pen not in (0, flowproto.elements.REVERSE_PEN):
                records.check((field.pen, field.number) in described, "element %d of PEN %d is not described",
                              field.number, field.pen)

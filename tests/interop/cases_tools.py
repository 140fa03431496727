"""The judges themselves: each collector reads hand-made messages right, and sees what is wrong with a bad one."""
import collections
import os

import elements
import makeflow as m
import records
import tools
from suite import case

T0 = 1699999000
FLOW = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (5, 1), (6, 1), (1, 8), (2, 8)]
FLOW10 = FLOW + [(152, 8), (153, 8), (302, 4)]
FLOW9 = FLOW + [(22, 4), (21, 4), (48, 1)]
VALUES = [0x0A000001, 0x0A000002, 1000, 80, 6, 0xB8, 0x1B, 1500, 7]
EXPECTED = records.Core("10.0.0.1", "10.0.0.2", 1000, 80, 6, 0xB8, 0x1B, 7, 1500, T0 * 1000 + 7, T0 * 1000 + 1009)
RATE10, RATE9 = ([(302, 4)], [(34, 4)]), ([(1, 4)], [(48, 1), (34, 4)])


def ipfix_messages(rate=0, gap=0):
    """A template message (with a sampling rate if asked for), then one flow, `gap` sequence numbers too far."""
    sets, count = [m.a_set(2, m.template(256, FLOW10))], 0
    if rate:
        sets += [m.a_set(3, m.ipfix_options_template(300, *RATE10)), m.a_set(300, m.record(sum(RATE10, []), [1, rate]))]
        count = 1
    flow = m.a_set(256, m.record(FLOW10, VALUES + [T0 * 1000 + 7, T0 * 1000 + 1009, 1]))
    return [m.ipfix(0, sets), m.ipfix(count, [flow]), m.ipfix(count + 1 + gap, [flow])]


def v9_messages(rate=0, gap=0):
    sets, count = [m.a_set(0, m.template(256, FLOW9))], 1
    if rate:
        sets += [m.a_set(1, m.v9_options_template(300, *RATE9)), m.a_set(300, m.record(sum(RATE9, []), [1, 1, rate]))]
        count = 3
    flow = m.a_set(256, m.record(FLOW9, VALUES + [1007, 2009, 1]))
    clock = {"uptime": 60000, "time": T0 + 59}
    return [m.v9(5, count, sets, **clock), m.v9(6, 1, [flow], **clock), m.v9(7 + gap, 1, [flow], **clock)]


def v5_messages(rate=0, gap=0):
    flow = m.v5_record(packets=7, octets=1500, first=1007, last=2009, tos=0xB8)
    clock = {"uptime": 60000, "secs": T0 + 59, "sampling": 0x4000 | rate if rate else 0}
    return [m.v5(0, [flow], **clock), m.v5(1 + gap, [flow], **clock)]


# nfacctd computes v5 and v9 times to the second only.
NFACCTD_BLANK = {"v5": ("start_ms", "end_ms"), "v9": ("start_ms", "end_ms"), "ipfix": ()}
FORMATS = {"v5": v5_messages, "v9": v9_messages, "ipfix": ipfix_messages}


@case
def nfdump_reads_hand_made_flows_to_the_millisecond(bench):
    for make in FORMATS.values():
        result = tools.nfcapd_reads(bench, make())
        records.same(collections.Counter({EXPECTED: 2}), records.nfdump_cores(result.flows))
        records.same_value(0, result.failures, "sequence failures")


@case
def nfdump_scales_by_the_announced_rate(bench):
    for make in FORMATS.values():
        flows = tools.nfcapd_reads(bench, make(rate=10)).flows
        records.same(records.scaled(collections.Counter({EXPECTED: 2}), 10), records.nfdump_cores(flows))


@case
def nfcapd_sees_a_gap(bench):
    for name, make in FORMATS.items():
        records.same_value(1, tools.nfcapd_reads(bench, make(gap=1)).failures, name)


@case
def nfacctd_reads_hand_made_flows_and_scales(bench):
    for name, make in FORMATS.items():
        for rate in (0, 10):
            result = tools.nfacctd_reads(bench, make(rate=rate), renormalize=bool(rate))
            expected = records.scaled(collections.Counter({EXPECTED: 2}), rate or 1)
            blank = NFACCTD_BLANK[name]
            records.same(records.summed(records.without(expected, *blank)), records.nfacctd_sums(result.flows, blank))


@case
def tshark_is_content_with_hand_made_messages_and_sees_a_gap(bench):
    for gap in (0, 1):
        rows = tools.tshark_datagrams(bench, [(2055, v5_messages(gap=gap)), (2056, v9_messages(gap=gap)),
                                              (4739, ipfix_messages(gap=gap))])
        records.same_value(8, len(rows), "frames")
        found = [row for row in rows if row["_ws.expert.message"] or row["cflow.sequence_analysis.expected_sn"]]
        records.same_value(2 * gap, len(found), "frames with expert remarks (tshark does not follow v5 sequences)")


@case
def libfixbuf_reads_a_hand_made_file(bench):
    path = os.path.join(bench.new_dir(), "hand.ipfix")
    with open(path, "wb") as file:
        file.write(b"".join(ipfix_messages(rate=10)))
    found = tools.json_lines(tools.fixread(bench, path))
    records.same_value([1, 0, 0], [r["scope"] for r in found], "scope counts")
    records.same_value("10.0.0.1", found[1]["fields"]["sourceIPv4Address"], "source")
    records.same_value(1500, found[1]["fields"]["octetDeltaCount"], "octets")


FIXBUF_KIND = {0: "bytes", 1: "u8", 2: "u16", 3: "u32", 4: "u64", 10: "f64", 12: "mac", 13: "str", 14: "sec", 15: "ms", 16: "us",
               17: "ns", 18: "ip4", 19: "ip6"}


@case
def our_registry_agrees_with_libfixbufs(bench):
    theirs = {}
    for line in tools.fixread(bench, "--model").splitlines():
        number, name, kind = line.split()
        theirs[int(number)] = (name, FIXBUF_KIND.get(int(kind)))
    for element in elements.BY_NUMBER.values():
        records.same_value(theirs[element.number], (element.name, element.kind), "element %d" % element.number)

"""Captures made here, for what the shared ones do not show: months, clocks set back, 1970, counters past 32 bits."""
import flowproto
import records
import tools
from cases_wire import MUST, WIRES, valid
from makepcap import T0, capture, one_each, udp_packet
from suite import case, each

DAY = 86400 * records.SECOND

TIMES = {
    "months": [T0 + day * DAY + day * 1_234_567 for day in (0, 1, 20, 24, 25, 40, 49, 50, 60, 100, 1000)],
    "set back": [T0 + 100 * DAY, T0 + 100 * DAY + 1, T0, T0 + 5, T0 + 200 * DAY],
    "odd fractions": [T0 + offset for offset in (0, 1, 999_999, 1_000_000, 999_999_999, 1_000_000_000, 1_000_000_001)],
    "1970": [0, 1, 1_000_000, 999_999_999, 2_000_000_000],
    "2106": [0xFFFFFFF0 * records.SECOND, 0xFFFFFFFD * records.SECOND + 1],
}


@each(*[(name, wire) for name in TIMES for wire in WIRES])
def times_come_back_exactly(bench, name, wire):
    got = tools.replay(bench, capture(bench, one_each(TIMES[name])), (wire,))
    records.same_value(len(TIMES[name]), len(got.json), "records")
    records.same_elements(records.one_way(got.json), valid(got, wire).flows(), MUST[wire])


@each("months", "set back", "1970")
def nfdump_shows_the_same_times(bench, name):
    got = tools.replay(bench, capture(bench, one_each(TIMES[name])), WIRES)
    for wire in WIRES:
        flows = tools.nfcapd_reads(bench, got.datagrams[wire]).flows
        records.same(records.cores(records.one_way(got.json)), records.nfdump_cores(flows), wire)


@case
def v5_splits_counters_past_32_bits(bench):
    count = 65600
    packets = [(T0 + number * 500_000, udp_packet(1, 65535), 65535) for number in range(count)]
    got = tools.replay(bench, capture(bench, packets), WIRES)
    octets = sum(r["octetDeltaCount"] for r in got.json)
    records.same_value(count * 65535, octets, "octets in the JSON")
    for wire in WIRES:
        flows = valid(got, wire).flows()
        records.same_value(octets, sum(f["octetDeltaCount"] for f in flows), wire + " octets")
        records.same_value(count, sum(f["packetDeltaCount"] for f in flows), wire + " packets")
        records.check(all(f["packetDeltaCount"] and f["octetDeltaCount"] for f in flows), "a part without packets or octets")


@each(*WIRES)
def a_flood_of_small_flows_arrives_whole(bench, wire):
    packets = [(T0 + number * 1000, udp_packet(number % 60000, dport=number // 60000), 60) for number in range(100_000)]
    got = tools.replay(bench, capture(bench, packets), (wire,))
    records.same_value(100_000, sum(r["packetDeltaCount"] for r in got.json), "packets in the JSON")
    stream = flowproto.read_stream(got.datagrams[wire])
    records.check(not stream.problems, "\n".join(stream.problems[:5]))
    records.same_value(100_000, sum(f["packetDeltaCount"] for f in stream.flows()), "packets on the wire")

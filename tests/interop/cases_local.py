"""flowDirection of local networks: what weir says in JSON, v9 and IPFIX, and what nfdump and tshark read of it."""
import collections
import ipaddress
import os

import flowproto
import records
import tools
from suite import Memo, each

CAPTURE = tools.real_or_own(["pcpp-many-protocols.pcap"])[0]
LOCAL = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fe80::/10"
NETS = [ipaddress.ip_network(text) for text in LOCAL.split(",")]
WIRES = ("netflow9", "ipfix")
memo = Memo()


def replay(bench):
    return memo.get("local", lambda: tools.replay(bench, CAPTURE, WIRES, ("--local-networks", LOCAL)))


def is_local(text):
    address = ipaddress.ip_address(text)
    return any(address in net for net in NETS)


def direction(source, destination):
    """Worked out from the addresses alone: 0, 1 or None."""
    ends = is_local(source), is_local(destination)
    return {(False, True): 0, (True, False): 1}.get(ends)


def ends(flow):
    return tuple(flow["%sIPv6Address" % end] if flow.get("%sIPv6Address" % end) else flow["%sIPv4Address" % end]
                 for end in ("source", "destination"))


@each("json", *WIRES)
def local_networks_tell_direction(bench, wire):
    got = replay(bench)
    if wire == "json":
        flows = got.json
    else:
        flows = flowproto.read_stream(got.datagrams[wire]).flows()
    seen = collections.Counter()
    for flow in flows:
        want = direction(*map(str, ends(flow)))
        seen[want] += 1
        records.same_value(want, flow.get("flowDirection"), "flowDirection of %s" % (ends(flow),))
    records.check(seen[0] + seen[1] > 0 and seen[None] > 0, "the capture shows too little: %s" % seen)
    records.check(wire == "json" or (seen[0] and seen[1]), "not both directions: %s" % seen)


@each(*WIRES)
def without_local_networks_no_template_has_direction(bench, wire):
    got = tools.replay(bench, CAPTURE, (wire,))
    flows = flowproto.read_stream(got.datagrams[wire]).flows()
    records.check(flows and not any("flowDirection" in flow for flow in flows), "a record has flowDirection")


@each(*WIRES)
def tshark_reads_direction(bench, wire):
    got = replay(bench)
    want = collections.Counter(str(direction(*ends(h))) for h in records.one_way(got.json)
                               if direction(*ends(h)) is not None)
    path = os.path.join(bench.new_dir(), "export.pcap")
    tools.write_pcap(path, [(9995, got.datagrams[wire])])
    text, _ = bench.run(["tshark", "-n", "-r", path, "-d", "udp.port==9995,cflow", "-T", "fields", "-e", "cflow.direction"],
                        env=tools.utc())
    seen = collections.Counter(str(int(word, 0)) for line in text.splitlines() for word in line.split(",") if word)
    records.same(want, seen, "directions")


@each(*WIRES)
def nfdump_reads_direction(bench, wire):
    got = replay(bench)
    want = collections.Counter(records.core(h) + (direction(*ends(h)) or 0,) for h in records.one_way(got.json))
    flows = tools.nfcapd_reads(bench, got.datagrams[wire]).flows
    key = next((name for name in ("flowdir", "flow_dir", "direction", "dir") if name in flows[0]), None)
    if key is None:
        raise tools.Skipped("nfdump's JSON has no direction: %s" % sorted(flows[0]))
    records.same(want, collections.Counter(records.nfdump_core(f) + (int(f[key]),) for f in flows), "directions")

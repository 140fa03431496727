"""weir's JSON records as one-way expectations, and every collector's records in the same shape, ready to compare.

Expected values come from weir's own JSON (which an independent reference checks elsewhere); METERING.md §7 says how a
biflow falls into two one-way records, and split() does just that, again without looking at weir's code.
"""
import collections
import datetime
import ipaddress

SECOND = 1_000_000_000
ICMP, TCP, ICMPV6 = 1, 6, 58
ICMP_REPLY = {(ICMP, 8): 0, (ICMP, 13): 14, (ICMP, 15): 16, (ICMP, 17): 18, (ICMPV6, 128): 129}  # METERING.md §5
SWAPPED = {}
for _a, _b in (("sourceIPv4Address", "destinationIPv4Address"), ("sourceIPv6Address", "destinationIPv6Address"),
               ("sourceTransportPort", "destinationTransportPort"), ("sourceMacAddress", "destinationMacAddress")):
    SWAPPED[_a], SWAPPED[_b] = _b, _a
PER_FLOW = ("protocolIdentifier", "flowEndReason", "flowId", "vlanId", "dot1qVlanId", "dot1qCustomerVlanId")

# The part of a record every format carries: what collectors are compared on.
Core = collections.namedtuple("Core", "src dst sport dport proto tos flags packets octets start_ms end_ms")


def time_ns(text):
    """RFC 3339 UTC text with a fraction to nanoseconds since 1970."""
    whole, _, fraction = text.rstrip("Z").replace(" ", "T").partition(".")
    moment = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp()) * SECOND + int((fraction or "0").ljust(9, "0"))


def reverse_of(name):
    return "reverse" + name[0].upper() + name[1:]


def is_reverse(name):
    return name.startswith("reverse")


def normal(record):
    """A JSON record with its times as integers and its addresses in canonical text."""
    out = {}
    for name, value in record.items():
        if name.endswith("Nanoseconds") and isinstance(value, str):
            value = time_ns(value)
        elif "IPv" in name and name.endswith("Address"):
            value = str(ipaddress.ip_address(value))
        out[name] = value
    return out


def split(record):
    """The one-way records of a biflow record: 0, 1 or 2 dicts by IANA name."""
    record = normal(record)
    halves = []
    if record.get("packetDeltaCount", 0):
        halves.append({n: v for n, v in record.items() if not is_reverse(n) and n != "biflowDirection"})
    if record.get("reversePacketDeltaCount", 0):
        halves.append(_reverse_half(record))
    return halves


def _reverse_half(record):
    half = {n: record[n] for n in PER_FLOW if n in record}
    for name, other in SWAPPED.items():
        if name in record:
            half[other] = record[name]
    for name, value in record.items():
        if is_reverse(name):
            half[name[7].lower() + name[8:]] = value
    for name in ("flowStartNanoseconds", "flowEndNanoseconds"):
        half.setdefault(name, record[name])  # a flow whose initiator was never heard
    for name, proto in (("icmpTypeCodeIPv4", ICMP), ("icmpTypeCodeIPv6", ICMPV6)):
        if record["protocolIdentifier"] == proto:
            reply = ICMP_REPLY[proto, record["destinationTransportPort"] >> 8] << 8
            half.update({"sourceTransportPort": 0, "destinationTransportPort": reply, name: reply})
    return half


def one_way(records):
    return [half for record in records for half in split(record)]


def ipfix_biflow(record):
    """A record as IPFIX writes a biflow: source is the side that was heard (METERING.md §7)."""
    record = normal(record)
    if record["packetDeltaCount"]:
        return record
    turned = _reverse_half(record)
    turned.update({"biflowDirection": 2, "reversePacketDeltaCount": 0, "reverseOctetDeltaCount": 0})
    return turned


def is_v6(half):
    return "sourceIPv6Address" in half


def core(half):
    """The Core of a one-way record from JSON or from flowproto (which brings its own time_ns)."""
    family = "IPv6" if is_v6(half) else "IPv4"
    if hasattr(half, "time_ns"):
        start, end = half.time_ns("Start"), half.time_ns("End")
    else:
        start, end = half["flowStartNanoseconds"], half["flowEndNanoseconds"]
    return Core(half["source%sAddress" % family], half["destination%sAddress" % family], half.get("sourceTransportPort", 0),
                half.get("destinationTransportPort", 0), half["protocolIdentifier"], half.get("ipClassOfService", 0),
                half.get("tcpControlBits", 0) & 0xFF, half["packetDeltaCount"], half["octetDeltaCount"],
                start // 1_000_000, end // 1_000_000)


def cores(halves):
    return collections.Counter(core(half) for half in halves)


def without(counter, *names, only=lambda item: True, blank=None):
    """A multiset of cores with some members blanked, for collectors that do not show them."""
    members = dict.fromkeys(names, blank)
    out = collections.Counter()
    for item, count in counter.items():
        out[item._replace(**members) if only(item) else item] += count
    return out


def scaled(counter, factor):
    out = collections.Counter()
    for item, count in counter.items():
        out[item._replace(packets=item.packets * factor, octets=item.octets * factor)] += count
    return out


def nfdump_core(flow):
    """The Core of one flow in nfdump's JSON. For ICMP it shows type and code in place of ports."""
    if "icmp_type" in flow:
        sport, dport = 0, flow["icmp_type"] << 8 | flow["icmp_code"]
    else:
        sport, dport = flow.get("src_port", 0), flow.get("dst_port", 0)
    family = "6" if "src6_addr" in flow else "4"
    return Core(str(ipaddress.ip_address(flow["src%s_addr" % family])), str(ipaddress.ip_address(flow["dst%s_addr" % family])),
                sport, dport, flow["proto"], flow["src_tos"], nfdump_flags(flow.get("tcp_flags", "")), flow["in_packets"],
                flow["in_bytes"], time_ns(flow["first"]) // 1_000_000, time_ns(flow["last"]) // 1_000_000)


def nfdump_flags(text):
    """"...AP.SF" to the octet: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN."""
    return int("".join("0" if letter == "." else "1" for letter in text) or "0", 2)


def nfdump_cores(flows):
    return collections.Counter(nfdump_core(flow) for flow in flows)


def summed(counter):
    """Counters of equal keys summed, as nfacctd's cache does: {Core without counters: (packets, octets)}."""
    out = {}
    for item, count in counter.items():
        key = item._replace(packets=None, octets=None)
        packets, octets = out.get(key, (0, 0))
        out[key] = (packets + item.packets * count, octets + item.octets * count)
    return out


PROTOCOLS = {"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17, "dccp": 33, "ipv6": 41, "rsvp": 46,
             "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115,
             "isis": 124, "sctp": 132, "udplite": 136, "mpls-in-ip": 137}


def nfacctd_sums(flows, blank=()):
    """nfacctd's cache as summed() shows it; `blank` names members of Core to leave out."""
    out = collections.Counter()
    for flow in flows:
        proto = flow["ip_proto"]
        out[Core(str(ipaddress.ip_address(flow["ip_src"])), str(ipaddress.ip_address(flow["ip_dst"])), flow.get("port_src", 0),
                 flow.get("port_dst", 0), int(proto) if proto.isdigit() else PROTOCOLS[proto], flow["tos"],
                 int(flow.get("tcp_flags", 0)), flow["packets"], flow["bytes"], time_ns(flow["timestamp_start"]) // 1_000_000,
                 time_ns(flow["timestamp_end"]) // 1_000_000)] += 1
    return summed(without(out, *blank))


# --- comparing ---------------------------------------------------------------------------------------------------------

class Differ(AssertionError):
    """Two sides that should be equal are not; the text shows the first few differences."""


def same(expected, got, what="records"):
    """Compares multisets or dicts and shows what is only on one side."""
    if expected == got:
        return
    if isinstance(expected, collections.Counter):
        missing, extra = list((expected - got).elements()), list((got - expected).elements())
    else:
        missing = [(k, v) for k, v in expected.items() if got.get(k) != v]
        extra = [(k, v) for k, v in got.items() if expected.get(k) != v]
    lines = ["%s differ: %d only expected, %d only got" % (what, len(missing), len(extra))]
    lines += ["  expected %s" % (item,) for item in sorted(missing, key=str)[:4]]
    lines += ["  got      %s" % (item,) for item in sorted(extra, key=str)[:4]]
    raise Differ("\n".join(lines))


def same_value(expected, got, what):
    if expected != got:
        raise Differ("%s: expected %r, got %r" % (what, expected, got))


def check(condition, what, *args):
    if not condition:
        raise Differ(what % args if args else what)


TIMES = {"Nanoseconds": 1, "Microseconds": 1000, "Milliseconds": 1_000_000, "Seconds": SECOND}


def same_elements(expected_halves, flows, must=()):
    """Compares every element both sides know, matching records by Core and flow id.

    A wire record may carry an element the JSON has not only if it is `must` or derived; it must have those of `must`.
    """
    def key(half):
        return core(half) + (half.get("flowId"),)

    with_id = all("flowId" in flow for flow in flows) and all("flowId" in half for half in expected_halves)
    order = key if with_id else core
    expected, got = sorted(expected_halves, key=order), sorted(flows, key=order)
    same(collections.Counter(map(order, expected)), collections.Counter(map(order, got)))
    for half, flow in zip(expected, got):
        for name in must:
            check(name in flow, "%s is missing in %s", name, dict(flow))
        for name, value in flow.items():
            if name in half and not name.startswith("flowStart") and not name.startswith("flowEnd"):
                same_value(half[name], value, "%s of %s" % (name, order(half)))
        same_times(half, flow)


def same_times(half, flow):
    """Compares every time element of a wire record with the JSON's nanoseconds, to the element's own precision."""
    for name, value in flow.items():
        for prefix in ("flowStart", "flowEnd", "reverseFlowStart", "reverseFlowEnd"):
            unit = TIMES.get(name[len(prefix):]) if name.startswith(prefix) else None
            expected = half.get(prefix + "Nanoseconds")
            if unit and expected is not None:
                same_value(expected // unit * unit, value, name)
    if "flowEndReason" in half and "flowEndReason" in flow:
        same_value(half["flowEndReason"], flow["flowEndReason"], "flowEndReason")

#!/usr/bin/env python3
"""The reference meter: flow records of a capture by METERING.md, as JSON Lines.

    meter.py [options] CAPTURE... >records.json 2>books.json

Written to be read beside METERING.md sections 4 to 7, not to be fast. Deadlines are settled
lazily: when a packet arrives on a flow's 5-tuple, when time is set back, and at the end.
"""

import argparse
import datetime
import ipaddress
import json
import sys
from decimal import Decimal

sys.dont_write_bytecode = True  # nothing is left behind in the tree

import ip_header
import tshark_packets

SECOND = 10**9
FRAGMENT_LIFE = 30 * SECOND
FRAGMENT_TRAINS = 65536
FLOWS_PER_TUPLE = 8
FIN, SYN, RST, ACK = 1, 2, 4, 16
IDLE, ACTIVE, CLOSED, FORCED, LACK = 1, 2, 3, 4, 5  # flowEndReason
FORWARD, REVERSE = 0, 1

# (version, protocol): {request type: reply type}
ICMP_PAIRS = {
    (4, ip_header.ICMP): {8: 0, 13: 14, 15: 16, 17: 18},
    (6, ip_header.ICMP6): {128: 129},
}


class Options:
    def __init__(self, idle=15 * SECOND, active=60 * SECOND, linger=2 * SECOND, tos_mask=0xFC):
        self.idle = idle
        self.active = active
        self.linger = linger
        self.tos_mask = tos_mask


class Counters:
    """One direction of one record."""

    def __init__(self):
        self.packets = self.octets = self.flags = 0
        self.first = self.last = self.tos = self.min_ttl = self.max_ttl = None

    def add(self, ip, time):
        if not self.packets:
            self.first, self.last, self.tos = time, time, ip.tos
            self.min_ttl = self.max_ttl = ip.ttl
        self.packets += 1
        self.octets += ip.octets
        self.flags |= ip.tcp_flags or 0
        self.first, self.last = min(self.first, time), max(self.last, time)
        self.min_ttl, self.max_ttl = min(self.min_ttl, ip.ttl), max(self.max_ttl, ip.ttl)


class Record:
    """What a flow has gathered since its last export."""

    def __init__(self, arrival):
        self.arrival = arrival
        self.sides = (Counters(), Counters())


class Flow:
    def __init__(self, number, key, packet):
        self.number = number
        self.key = key  # a FlowKey, oriented so that its source is the initiator
        self.vlans = packet.vlans
        self.macs = (packet.source_mac, packet.destination_mac)
        self.interfaces = [None, None]
        self.tos = [None, None]  # masked, per direction; part of the key
        self.heard = [False, False]
        self.fin = [False, False]
        self.reset = False
        self.closing = None  # arrival of the packet that closed TCP, while it is closed
        self.last_arrival = None
        self.record = None

    def direction(self, key):
        """The direction a packet with this key has here, or None."""
        if key.fixed_direction is not None:
            return key.fixed_direction
        return FORWARD if key.ends == self.key.ends else REVERSE

    def add(self, packet, ip, direction, arrival, time, tos_mask):
        if not self.heard[direction]:
            self.heard[direction] = True
            self.tos[direction] = ip.tos & tos_mask
            self.interfaces[direction] = packet.interface
        if self.record is None:
            self.record = Record(arrival)
        self.record.sides[direction].add(ip, time)
        self.last_arrival = arrival
        if ip.protocol == ip_header.TCP:
            self.follow_tcp(ip.tcp_flags or 0, direction, arrival)

    def follow_tcp(self, flags, direction, arrival):
        self.reset = self.reset or bool(flags & RST)
        self.fin[direction] = self.fin[direction] or bool(flags & FIN)
        all_fin = all(fin for fin, heard in zip(self.fin, self.heard) if heard)
        if not (self.reset or all_fin):
            self.closing = None
        elif self.closing is None:
            self.closing = arrival

    def deadline_due(self, clock, options):
        """The reason that fell due first by this clock, or None."""
        due = []
        idle = self.last_arrival + options.idle
        if clock > idle:
            due.append((idle, 0, IDLE))
        if self.closing is not None and clock > self.closing + options.linger:
            due.append((self.closing + options.linger, 1, CLOSED))
        if self.record is not None and clock >= self.record.arrival + options.active:
            due.append((self.record.arrival + options.active, 2, ACTIVE))
        return min(due)[2] if due else None


class FlowKey:
    """A packet's key without interface (a replay has one) and ToS (kept by the flow).

    group is the same for both directions. ends is (source, source port, destination,
    destination port); an ICMP reply's is its request's, with fixed_direction REVERSE.
    """

    def __init__(self, ip, ports, icmp_known, protocol):
        self.version, self.protocol = ip.version, protocol
        self.icmp = ip_header.is_icmp(ip.version, protocol)
        self.icmp_known = self.icmp and icmp_known
        self.ends = (ip.source, ports[0], ip.destination, ports[1])
        self.fixed_direction = None
        if self.icmp:
            self.orient_icmp()
            self.group = (self.version, protocol, self.icmp_known, self.ends)
        else:
            low, high = sorted((self.ends[:2], self.ends[2:]))
            self.group = (self.version, protocol, low, high)

    def orient_icmp(self):
        self.fixed_direction = FORWARD
        source, _, destination, port = self.ends
        pairs = ICMP_PAIRS[(self.version, self.protocol)]
        for request, reply in pairs.items():
            if self.icmp_known and port == reply * 256:
                self.ends = (destination, 0, source, request * 256)
                self.fixed_direction = REVERSE

    def turn(self):
        self.ends = self.ends[2:] + self.ends[:2]


class Meter:
    def __init__(self, options=None):
        self.options = options or Options()
        self.clock = None
        self.groups = {}
        self.trains = {}
        self.records = []
        self.books = dict.fromkeys(
            "observed unsampled non_ip malformed metered flows_created records".split(), 0)

    # --- packets in ---------------------------------------------------------------------

    def observe(self, packet):
        """One packet handed over by the input: its fate, the clock, its flow."""
        self.books["observed"] += 1
        self.books[packet.fate] += 1
        time = self.move_clock(packet.time)
        if packet.fate == "metered":
            self.meter(packet, time)

    def move_clock(self, time):
        """Moves the clock and returns the packet's own time."""
        if time is None:
            time = self.clock or 0
        if self.clock is None:
            self.clock = time
        elif self.clock - time > self.options.idle:
            self.end_everything()
            self.clock = time
        else:
            self.clock = max(self.clock, time)
        return time

    def meter(self, packet, time):
        ip = packet.ip
        for outer in packet.outer:
            self.through_fragment_cache(outer)
        ports, known, protocol = self.through_fragment_cache(ip)
        key = self.make_key(packet, ip, ports, known, protocol)
        if protocol != ip.protocol:
            ip = ip._replace(protocol=protocol)
        self.settle(key.group)
        flow, direction = self.find(key, ip)
        if flow and flow.closing is not None and opens_anew(ip):
            self.end(flow, CLOSED)
            flow = None
        if flow is None:
            flow, direction = self.create(key, ip, packet)
        flow.add(packet, ip, direction, self.clock, time, self.options.tos_mask)

    def make_key(self, _packet, ip, ports, known, protocol):
        return FlowKey(ip, ports, known, protocol)

    def through_fragment_cache(self, ip):
        """Ports, icmp_known and protocol, a later fragment's taken from its first."""
        own = ((ip.source_port, ip.destination_port), ip.icmp_known, ip.protocol)
        if ip.fragment_role == "first":
            self.trains.pop(ip.fragment_key, None)
            if len(self.trains) == FRAGMENT_TRAINS:
                del self.trains[next(iter(self.trains))]
            self.trains[ip.fragment_key] = (self.clock, own)
        elif ip.fragment_role == "later" and ip.fragment_key in self.trains:
            born, first = self.trains[ip.fragment_key]
            if self.clock - born <= FRAGMENT_LIFE:
                return first
        return own

    # --- flows --------------------------------------------------------------------------

    def find(self, key, ip):
        """The held flow the packet belongs to and its direction there, or (None, None)."""
        tos = ip.tos & self.options.tos_mask
        candidates = []
        for flow in self.groups.get(key.group, ()):
            direction = flow.direction(key)
            if flow.tos[direction] in (tos, None):
                candidates.append((flow.tos[direction] is None, flow.number, direction, flow))
        if not candidates:
            return None, None
        best = min(candidates, key=lambda candidate: candidate[:2])
        return best[3], best[2]

    def create(self, key, ip, packet):
        held = self.groups.setdefault(key.group, [])
        if len(held) == FLOWS_PER_TUPLE:
            self.end(min(held, key=lambda flow: (flow.last_arrival, flow.number)), LACK)
        direction = key.fixed_direction or FORWARD
        if is_syn_ack(ip) and key.ends[:2] != key.ends[2:]:
            key.turn()
            direction = REVERSE
        self.books["flows_created"] += 1
        flow = Flow(self.books["flows_created"], key, packet)
        if direction == REVERSE:
            flow.macs = flow.macs[::-1]
        self.groups.setdefault(key.group, []).append(flow)
        return flow, direction

    def settle(self, group):
        """Lets everything that is due on these flows happen, in the order it fell due."""
        for flow in list(self.groups.get(group, ())):
            while (reason := flow.deadline_due(self.clock, self.options)) is not None:
                if reason != ACTIVE:
                    self.end(flow, reason)
                    break
                self.export(flow, ACTIVE)

    def end(self, flow, reason):
        self.export(flow, reason)
        held = self.groups[flow.key.group]
        held.remove(flow)
        if not held:
            del self.groups[flow.key.group]

    def end_everything(self):
        for group in list(self.groups):
            self.settle(group)
            for flow in list(self.groups.get(group, ())):
                self.end(flow, FORCED)
        self.trains.clear()

    def finish(self):
        self.end_everything()
        return self.records

    def export(self, flow, reason):
        if flow.record is None:
            return
        self.books["records"] += 1
        self.records.append(record_json(flow, reason))
        flow.record = None


def is_syn_ack(ip):
    return ip.protocol == ip_header.TCP and (ip.tcp_flags or 0) & (SYN | ACK) == SYN | ACK


def opens_anew(ip):
    return ip.protocol == ip_header.TCP and (ip.tcp_flags or 0) & (SYN | ACK) == SYN


# --- records out ----------------------------------------------------------------------------

def record_json(flow, reason):
    """A biflow record with the names of weir's json. What does not apply is left out."""
    key, (forward, reverse) = flow.key, flow.record.sides
    source, source_port, destination, destination_port = key.ends
    times = forward if forward.packets else reverse
    record = {
        f"sourceIPv{key.version}Address": str(ipaddress.ip_address(source)),
        f"destinationIPv{key.version}Address": str(ipaddress.ip_address(destination)),
        "protocolIdentifier": key.protocol,
        "sourceTransportPort": source_port,
        "destinationTransportPort": destination_port,
        "flowStartNanoseconds": rfc3339(times.first),
        "flowEndNanoseconds": rfc3339(times.last),
        **side_json(forward, ""),
        **side_json(reverse, "reverse"),
        "flowEndReason": reason,
        "flowId": flow.number,
        "biflowDirection": 1,
    }
    if reverse.packets:
        record["reverseFlowStartNanoseconds"] = rfc3339(reverse.first)
        record["reverseFlowEndNanoseconds"] = rfc3339(reverse.last)
    if key.icmp_known:
        record[f"icmpTypeCodeIPv{key.version}"] = destination_port
    record["ingressInterface"] = flow.interfaces[FORWARD] or flow.interfaces[REVERSE]
    if flow.interfaces[REVERSE]:
        record["reverseIngressInterface"] = flow.interfaces[REVERSE]
    for name, vlan in zip(("vlanId", "dot1qCustomerVlanId"), flow.vlans):
        record[name] = vlan
    for name, mac in zip(("sourceMacAddress", "destinationMacAddress"), flow.macs):
        if mac:
            record[name] = mac.hex(":")
    return record


def side_json(side, prefix):
    def name(element):
        return prefix + element[0].upper() + element[1:] if prefix else element

    values = {name("packetDeltaCount"): side.packets, name("octetDeltaCount"): side.octets}
    if side.packets:
        values[name("ipClassOfService")] = side.tos
        values[name("tcpControlBits")] = side.flags
        values[name("minimumTTL")] = side.min_ttl
        values[name("maximumTTL")] = side.max_ttl
    return values


def rfc3339(nanoseconds):
    whole, part = divmod(nanoseconds, SECOND)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=whole)
    return f"{moment.isoformat()}.{part:09d}Z"


# --- command line ---------------------------------------------------------------------------

def seconds(text):
    return int((Decimal(text) * SECOND).to_integral_value())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captures", nargs="+", metavar="CAPTURE")
    parser.add_argument("--idle-timeout", type=seconds, default=15 * SECOND, metavar="S")
    parser.add_argument("--active-timeout", type=seconds, default=60 * SECOND, metavar="S")
    parser.add_argument("--tcp-linger", type=seconds, default=2 * SECOND, metavar="S")
    parser.add_argument("--tos-mask", type=lambda text: int(text, 0), default=0xFC, metavar="M")
    parser.add_argument("--decapsulate", default="", metavar="LIST",
                        help="of " + ",".join(tshark_packets.WRAPPERS))
    return parser.parse_args()


def main():
    args = arguments()
    wrappers = [name for name in args.decapsulate.split(",") if name]
    unknown = set(wrappers) - set(tshark_packets.WRAPPERS)
    if unknown:
        sys.exit(f"meter.py: --decapsulate: unknown {', '.join(sorted(unknown))}")
    meter = Meter(Options(args.idle_timeout, args.active_timeout, args.tcp_linger, args.tos_mask))
    for path in args.captures:
        for packet in tshark_packets.packets(path, wrappers):
            meter.observe(packet)
    for record in meter.finish():
        print(json.dumps(record))
    print(json.dumps(meter.books), file=sys.stderr)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Unit tests of the reference meter: hand-made packets, records worked out from METERING.md.

    python3 tests/reference/test_meter.py
"""

import struct
import sys
import unittest

sys.dont_write_bytecode = True  # nothing is left behind in the tree

import compare
import ip_header
import meter
import tshark_packets
from meter import SECOND, Meter, Options
from tshark_packets import Packet

A, B, C = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"
FIN, SYN, RST, ACK = 1, 2, 4, 16
UDP, TCP, ICMP, ICMP6, GRE = 17, 6, 1, 58, 47


def ns(seconds):
    return None if seconds is None else round(seconds * SECOND)


def packet(at, source=A, destination=B, protocol=UDP, ports=(1000, 53), *, tos=0, ttl=64, octets=100,
           flags=None, known=False, role=None, key=None, interface=1, vlans=()):
    version = 4 if len(source) == 4 else 6
    ip = ip_header.Ip(version, source, destination, protocol, *ports, known, flags, tos, ttl, octets,
                      role, key)
    return Packet(ns(at), interface, "metered", ip, vlans, None, None)


def back(at, **more):
    """The answer to packet(at)."""
    return packet(at, B, A, ports=(53, 1000), **more)


def tcp(at, flags, **more):
    return packet(at, protocol=TCP, ports=(4000, 80), flags=flags, **more)


def tcp_back(at, flags, **more):
    return packet(at, B, A, protocol=TCP, ports=(80, 4000), flags=flags, **more)


def icmp(at, kind, code=0, source=A, destination=B, **more):
    protocol = ICMP if len(source) == 4 else ICMP6
    return packet(at, source, destination, protocol, (0, kind * 256 + code), known=True, **more)


def other(at, fate="non_ip"):
    return Packet(ns(at), 1, fate, None, (), None, None)


def clock_to(at):
    """A packet of a flow of its own that moves the clock."""
    return packet(at, C, C, ports=(9, 9))


def run(*packets, **options):
    """Feeds the packets; returns the meter, records in the order they were exported."""
    made = Meter(Options(**options))
    for one in packets:
        made.observe(one)
    made.finish()
    made.records = [r for r in made.records if r["destinationTransportPort"] != 9]
    return made


def brief(made):
    """(end reason, forward packets, reverse packets) of each record."""
    return [(r["flowEndReason"], r["packetDeltaCount"], r["reversePacketDeltaCount"])
            for r in made.records]


class Directions(unittest.TestCase):
    def test_both_directions_are_one_record(self):
        made = run(packet(1), back(1.5, octets=300), packet(2, ttl=60))
        (record,) = made.records
        self.assertEqual(brief(made), [(4, 2, 1)])
        self.assertEqual(record["sourceIPv4Address"], "10.0.0.1")
        self.assertEqual((record["octetDeltaCount"], record["reverseOctetDeltaCount"]), (200, 300))
        self.assertEqual((record["minimumTTL"], record["maximumTTL"]), (60, 64))
        self.assertEqual(record["flowStartNanoseconds"], "1970-01-01T00:00:01.000000000Z")
        self.assertEqual(record["flowEndNanoseconds"], "1970-01-01T00:00:02.000000000Z")
        self.assertEqual(record["reverseFlowStartNanoseconds"], "1970-01-01T00:00:01.500000000Z")

    def test_syn_ack_first_turns_the_flow(self):
        made = run(tcp_back(1, SYN | ACK))
        (record,) = made.records
        self.assertEqual(brief(made), [(4, 0, 1)])
        self.assertEqual((record["sourceIPv4Address"], record["sourceTransportPort"]), ("10.0.0.1", 4000))
        self.assertEqual(record["flowStartNanoseconds"], record["reverseFlowStartNanoseconds"])
        self.assertEqual(record["biflowDirection"], 1)

    def test_any_other_first_tcp_packet_is_the_initiators(self):
        made = run(tcp_back(1, ACK), tcp(1, ACK))
        self.assertEqual(made.records[0]["sourceIPv4Address"], "10.0.0.2")

    def test_fragment_of_tcp_gives_no_flags_and_no_turn(self):
        made = run(packet(1, protocol=TCP, flags=None))
        self.assertEqual(made.records[0]["sourceIPv4Address"], "10.0.0.1")

    def test_other_protocols_pair_by_addresses(self):
        made = run(packet(1, protocol=GRE, ports=(0, 0)), packet(1, B, A, GRE, (0, 0)))
        self.assertEqual(brief(made), [(4, 1, 1)])

    def test_a_flow_with_itself_is_forward(self):
        made = run(packet(1, A, A, ports=(7, 7)), packet(2, A, A, ports=(7, 7)))
        self.assertEqual(brief(made), [(4, 2, 0)])

    def test_protocol_and_version_are_in_the_key(self):
        made = run(packet(1), packet(1, protocol=TCP, flags=ACK), packet(1, A6, B6))
        self.assertEqual(len(made.records), 3)


class Icmp(unittest.TestCase):
    def test_pairs_of_the_list(self):
        for request, reply in ((8, 0), (13, 14), (15, 16), (17, 18)):
            made = run(icmp(1, request), icmp(1, reply, 0, B, A))
            self.assertEqual(brief(made), [(4, 1, 1)])
            self.assertEqual(made.records[0]["destinationTransportPort"], request * 256)
            self.assertEqual(made.records[0]["icmpTypeCodeIPv4"], request * 256)

    def test_icmp6_echo(self):
        made = run(icmp(1, 128, 0, A6, B6), icmp(1, 129, 0, B6, A6), icmp(1, 135, 0, A6, B6),
                   icmp(1, 136, 0, B6, A6))
        self.assertEqual(brief(made), [(4, 1, 1), (4, 1, 0), (4, 1, 0)])

    def test_reply_first_is_turned_to_its_request(self):
        made = run(icmp(1, 0, 0, B, A))
        (record,) = made.records
        self.assertEqual(brief(made), [(4, 0, 1)])
        self.assertEqual(record["sourceIPv4Address"], "10.0.0.1")
        self.assertEqual(record["destinationTransportPort"], 2048)

    def test_no_other_type_has_a_reverse(self):
        made = run(icmp(1, 3, 3), icmp(1, 3, 3, B, A))
        self.assertEqual(brief(made), [(4, 1, 0), (4, 1, 0)])

    def test_a_request_each_way_is_two_flows(self):
        made = run(icmp(1, 8), icmp(1, 8, 0, B, A), icmp(1, 0, 0, B, A), icmp(1, 0, 0, A, B))
        self.assertEqual(brief(made), [(4, 1, 1), (4, 1, 1)])

    def test_a_code_that_is_not_0_has_no_reverse(self):
        made = run(icmp(1, 8, 1), icmp(1, 0, 1, B, A))
        self.assertEqual(brief(made), [(4, 1, 0), (4, 1, 0)])

    def test_unknown_type_is_no_echo_reply(self):
        unknown = packet(1, B, A, ICMP, (0, 0))
        made = run(icmp(1, 0, 0, B, A), unknown, packet(1, A, B, ICMP, (0, 0)))
        self.assertEqual(brief(made), [(4, 0, 1), (4, 1, 0), (4, 1, 0)])
        self.assertNotIn("icmpTypeCodeIPv4", made.records[1])


class Tos(unittest.TestCase):
    def test_ecn_does_not_tear_a_flow_apart(self):
        made = run(packet(1, tos=0x29), packet(2, tos=0x2B))
        self.assertEqual(brief(made), [(4, 2, 0)])
        self.assertEqual(made.records[0]["ipClassOfService"], 0x29)

    def test_dscp_does(self):
        self.assertEqual(len(run(packet(1, tos=0), packet(1, tos=4)).records), 2)

    def test_masks(self):
        packets = packet(1, tos=0x28), packet(1, tos=0x29), packet(1, tos=0)
        self.assertEqual(len(run(*packets, tos_mask=0xFF).records), 3)
        self.assertEqual(len(run(*packets, tos_mask=0).records), 1)

    def test_directions_have_their_own(self):
        made = run(packet(1, tos=0x20), back(1, tos=0x40), back(2, tos=0x40), back(3, tos=0x60))
        self.assertEqual(brief(made), [(4, 1, 2), (4, 1, 0)])
        self.assertEqual(made.records[0]["reverseIpClassOfService"], 0x40)
        self.assertEqual(made.records[1]["sourceIPv4Address"], "10.0.0.2")

    def test_matching_is_preferred_to_unset_then_the_oldest(self):
        made = run(packet(1, tos=0), packet(1, tos=4), back(2, tos=8),  # joins the oldest
                   back(2, tos=12),                                      # only the second is unset
                   back(3, tos=12), back(3, tos=8))
        self.assertEqual(brief(made), [(4, 1, 2), (4, 1, 2)])

    def test_set_in_a_younger_beats_unset_in_an_older(self):
        made = run(packet(1, tos=0), packet(1, tos=4), back(1, tos=8), back(1, tos=12),
                   packet(2, tos=16), back(3, tos=12))
        self.assertEqual(brief(made), [(4, 1, 1), (4, 1, 2), (4, 1, 0)])

    def test_stays_over_an_active_timeout_but_the_record_has_its_own_byte(self):
        made = run(packet(0, tos=0x28), packet(10, tos=0x2A), packet(11, tos=0), active=5 * SECOND)
        self.assertEqual(brief(made), [(2, 1, 0), (4, 1, 0), (4, 1, 0)])
        self.assertEqual(made.records[1]["ipClassOfService"], 0x2A)
        self.assertEqual(made.records[0]["flowId"], made.records[1]["flowId"])

    def test_a_ninth_ends_the_longest_idle(self):
        eight = [packet(1 + i / 10, tos=4 * i) for i in range(8)]
        made = run(*eight, packet(2, tos=0), packet(3, tos=0x80))
        self.assertEqual(made.records[0]["flowEndReason"], 5)
        self.assertEqual(made.records[0]["ipClassOfService"], 4)
        self.assertEqual(len(made.records), 9)

    def test_among_equally_idle_the_oldest(self):
        made = run(*(packet(1, tos=4 * i) for i in range(9)))
        self.assertEqual((made.records[0]["flowEndReason"], made.records[0]["ipClassOfService"]), (5, 0))

    def test_what_is_due_makes_room_by_itself(self):
        made = run(*(packet(1, tos=4 * i) for i in range(8)), packet(17, tos=0x80))
        self.assertEqual([r["flowEndReason"] for r in made.records], [1] * 8 + [4])


class Deadlines(unittest.TestCase):
    def test_idle_is_due_after_its_instant(self):
        self.assertEqual(brief(run(packet(1), packet(16))), [(4, 2, 0)])
        self.assertEqual(brief(run(packet(1), packet(16 + 1e-9))), [(1, 1, 0), (4, 1, 0)])

    def test_idle_counts_from_either_direction(self):
        self.assertEqual(brief(run(packet(1), back(12), packet(25))), [(4, 2, 1)])

    def test_active_is_due_at_its_instant(self):
        steps = [packet(at) for at in range(0, 60, 10)]
        self.assertEqual(brief(run(*steps, packet(60 - 1e-9))), [(4, 7, 0)])
        made = run(*steps, packet(60))
        self.assertEqual(brief(made), [(2, 6, 0), (4, 1, 0)])
        self.assertEqual(made.records[0]["flowId"], made.records[1]["flowId"])
        self.assertEqual(made.books["flows_created"], 1)

    def test_active_counts_from_the_records_first_packet(self):
        made = run(packet(0), packet(9), packet(11), packet(20), packet(21), active=10 * SECOND)
        self.assertEqual(brief(made), [(2, 2, 0), (2, 2, 0), (4, 1, 0)])

    def test_a_new_record_keeps_the_initiator(self):
        made = run(packet(0), back(6), packet(6), active=5 * SECOND)
        self.assertEqual(brief(made), [(2, 1, 0), (4, 1, 1)])
        made = run(packet(0), back(6), active=5 * SECOND)
        self.assertEqual(made.records[1]["sourceIPv4Address"], "10.0.0.1")
        self.assertEqual(brief(made), [(2, 1, 0), (4, 0, 1)])

    def test_what_fell_due_first_happened_first(self):
        # active at 5, idle at 15: one record, then the flow ends without one
        made = run(packet(0), packet(100), active=5 * SECOND)
        self.assertEqual(brief(made), [(2, 1, 0), (4, 1, 0)])
        self.assertEqual(made.books["flows_created"], 2)
        # idle at 15, active at 60
        self.assertEqual(brief(run(packet(0), packet(100))), [(1, 1, 0), (4, 1, 0)])

    def test_idle_before_active_on_one_instant(self):
        made = run(packet(0), packet(20), idle=10 * SECOND, active=10 * SECOND)
        self.assertEqual(brief(made), [(1, 1, 0), (4, 1, 0)])

    def test_at_that_instant_itself_only_active_is_due(self):
        made = run(packet(0), packet(10), idle=10 * SECOND, active=10 * SECOND)
        self.assertEqual(brief(made), [(2, 1, 0), (4, 1, 0)])
        self.assertEqual(made.books["flows_created"], 1)

    def test_closed_before_active_and_after_idle(self):
        steps = [tcp(0, SYN), tcp(8, RST), clock_to(50)]
        self.assertEqual(brief(run(*steps, active=10 * SECOND)), [(3, 2, 0)])
        self.assertEqual(brief(run(tcp(8, RST), clock_to(50), idle=2 * SECOND)), [(1, 1, 0)])

    def test_due_at_the_end(self):
        self.assertEqual(brief(run(packet(0), clock_to(15.5))), [(1, 1, 0)])
        self.assertEqual(brief(run(packet(0), clock_to(15))), [(4, 1, 0)])

    def test_no_record_without_packets(self):
        made = run(packet(0), clock_to(6), active=5 * SECOND)
        self.assertEqual(brief(made), [(2, 1, 0)])


class TcpClosed(unittest.TestCase):
    def test_fin_both_ways_lingers(self):
        steps = [tcp(0, SYN), tcp_back(0, SYN | ACK), tcp(1, FIN | ACK), tcp_back(1, FIN | ACK)]
        self.assertEqual(brief(run(*steps, tcp(3, ACK))), [(4, 3, 2)])
        self.assertEqual(brief(run(*steps, tcp(3.1, ACK))), [(3, 2, 2), (4, 1, 0)])
        self.assertEqual(brief(run(*steps, clock_to(3))), [(4, 2, 2)])

    def test_the_linger_is_not_prolonged(self):
        steps = [tcp(0, FIN), tcp(1.5, ACK), tcp(2, ACK), clock_to(2.5)]
        self.assertEqual(brief(run(*steps)), [(3, 3, 0)])

    def test_one_fin_of_two_directions_is_not_closed(self):
        steps = [tcp(0, SYN), tcp_back(0, SYN | ACK), tcp(1, FIN | ACK), clock_to(10)]
        self.assertEqual(brief(run(*steps)), [(4, 2, 1)])

    def test_fin_of_the_only_direction_closes(self):
        self.assertEqual(brief(run(tcp(0, FIN | ACK), clock_to(3))), [(3, 1, 0)])

    def test_the_other_side_without_fin_reopens(self):
        self.assertEqual(brief(run(tcp(0, FIN), tcp_back(1, ACK), clock_to(10))), [(4, 1, 1)])
        steps = [tcp(0, FIN), tcp_back(1, ACK), tcp_back(5, FIN)]
        self.assertEqual(brief(run(*steps, clock_to(7))), [(4, 1, 2)])
        self.assertEqual(brief(run(*steps, clock_to(7.1))), [(3, 1, 2)])

    def test_the_other_side_with_fin_leaves_the_closing_packet(self):
        made = run(tcp(0, FIN), tcp_back(1, FIN), clock_to(2.5))
        self.assertEqual(brief(made), [(3, 1, 1)])

    def test_rst_closes_either_way(self):
        steps = [tcp(0, SYN), tcp_back(1, RST | ACK), tcp(1.5, ACK), clock_to(3.5)]
        self.assertEqual(brief(run(*steps)), [(3, 2, 1)])

    def test_syn_on_a_closed_flow(self):
        made = run(tcp(0, FIN), tcp(1, SYN))
        self.assertEqual(brief(made), [(3, 1, 0), (4, 1, 0)])
        self.assertNotEqual(made.records[0]["flowId"], made.records[1]["flowId"])
        self.assertEqual(brief(run(tcp(0, RST), tcp_back(1, SYN))), [(3, 1, 0), (4, 1, 0)])

    def test_syn_on_an_open_flow_and_syn_ack_on_a_closed_one_join(self):
        self.assertEqual(brief(run(tcp(0, SYN), tcp(1, SYN))), [(4, 2, 0)])
        self.assertEqual(brief(run(tcp(0, RST), tcp(1, SYN | ACK))), [(4, 2, 0)])

    def test_state_stays_over_an_active_timeout(self):
        made = run(tcp(0, SYN), tcp(4, FIN), tcp(5.5, SYN), active=5 * SECOND)
        self.assertEqual(brief(made), [(2, 2, 0), (4, 1, 0)])
        self.assertNotEqual(made.records[0]["flowId"], made.records[1]["flowId"])

    def test_flags_are_ored_per_direction(self):
        made = run(tcp(0, SYN | 0x1C0), tcp_back(0, SYN | ACK), tcp(1, ACK))
        self.assertEqual(made.records[0]["tcpControlBits"], 0x1D2)
        self.assertEqual(made.records[0]["reverseTcpControlBits"], 0x12)


class Clock(unittest.TestCase):
    def test_a_late_packet_arrives_at_the_clock(self):
        made = run(clock_to(14), packet(1), packet(29))
        self.assertEqual(brief(made), [(4, 2, 0)])
        self.assertTrue(made.records[0]["flowStartNanoseconds"].startswith("1970-01-01T00:00:01."))

    def test_a_late_packet_can_be_the_least_time_of_its_record(self):
        (record,) = run(packet(5), packet(3)).records
        self.assertTrue(record["flowStartNanoseconds"].startswith("1970-01-01T00:00:03."))
        self.assertTrue(record["flowEndNanoseconds"].startswith("1970-01-01T00:00:05."))

    def test_idle_timeout_behind_is_late_more_is_set_back(self):
        self.assertEqual(brief(run(packet(20), packet(5))), [(4, 2, 0)])
        made = run(packet(20), packet(4))
        self.assertEqual(brief(made), [(4, 1, 0), (4, 1, 0)])
        self.assertEqual(made.books["flows_created"], 2)

    def test_what_is_due_ends_first_when_time_is_set_back(self):
        made = run(packet(0), clock_to(40), packet(39, C), other(1), packet(2))
        self.assertEqual([r["flowEndReason"] for r in made.records], [1, 4, 4])

    def test_the_clock_starts_anew(self):
        made = run(clock_to(100), packet(1), packet(16), packet(32))
        self.assertEqual(brief(made), [(1, 2, 0), (4, 1, 0)])

    def test_every_observed_packet_moves_it(self):
        for fate in ("non_ip", "malformed"):
            self.assertEqual(brief(run(packet(0), other(16, fate))), [(1, 1, 0)])

    def test_a_packet_without_a_time_has_the_clocks(self):
        (record,) = run(clock_to(3), packet(None)).records
        self.assertTrue(record["flowStartNanoseconds"].startswith("1970-01-01T00:00:03."))
        (record,) = run(packet(None)).records
        self.assertTrue(record["flowStartNanoseconds"].startswith("1970-01-01T00:00:00."))

    def test_books(self):
        made = run(packet(0), other(0), other(0, "malformed"), back(1))
        self.assertEqual(made.books, {"observed": 4, "unsampled": 0, "non_ip": 1, "malformed": 1,
                                      "metered": 2, "flows_created": 1, "records": 1})


class Fragments(unittest.TestCase):
    KEY = (4, A, B, UDP, 7)
    KEY6 = (6, A6, B6, 7)

    def first(self, at, **more):
        return packet(at, role="first", key=self.KEY, **more)

    def later(self, at, **more):
        return packet(at, ports=(0, 0), role="later", key=self.KEY, **more)

    def test_the_first_gives_its_ports(self):
        self.assertEqual(brief(run(self.first(0), self.later(1))), [(4, 2, 0)])

    def test_without_its_first_ports_are_0(self):
        made = run(self.later(0), self.first(1))
        self.assertEqual(brief(made), [(4, 1, 0), (4, 1, 0)])
        self.assertEqual(made.records[0]["destinationTransportPort"], 0)

    def test_for_30_seconds(self):
        self.assertEqual(len(run(self.first(0), self.later(30), idle=60 * SECOND).records), 1)
        self.assertEqual(len(run(self.first(0), self.later(30.1), idle=60 * SECOND).records), 2)

    def test_later_ones_do_not_prolong_it(self):
        made = run(self.first(0), self.later(29), self.later(31), idle=60 * SECOND)
        self.assertEqual(brief(made), [(4, 2, 0), (4, 1, 0)])

    def test_time_set_back_forgets_trains(self):
        made = run(self.first(100), self.later(50))
        self.assertEqual(made.records[1]["destinationTransportPort"], 0)

    def test_in_ipv6_the_protocol_too(self):
        made = run(packet(0, A6, B6, role="first", key=self.KEY6),
                   packet(0, A6, B6, 60, (0, 0), role="later", key=self.KEY6))
        self.assertEqual(brief(made), [(4, 2, 0)])

    def test_icmp(self):
        made = run(icmp(0, 8), icmp(0, 0, 0, B, A, role="first", key=self.KEY),
                   packet(0, B, A, ICMP, (0, 0), role="later", key=self.KEY))
        self.assertEqual(brief(made), [(4, 1, 2)])

    def test_a_first_that_was_looked_through_gives_its_ports_too(self):
        inner = packet(0, C, A, protocol=GRE, ports=(0, 0))
        made = run(inner._replace(outer=(self.first(0).ip,)), self.later(0))
        self.assertEqual([r["destinationTransportPort"] for r in made.records], [0, 53])

    def test_the_oldest_train_is_overwritten(self):
        def train(number, role, ports):
            return packet(0, ports=ports, role=role, key=(4, A, B, UDP, number))

        made = Meter()
        for number in range(meter.FRAGMENT_TRAINS + 1):
            made.observe(train(number, "first", (1000, 53)))
        made.observe(train(0, "later", (0, 0)))
        made.observe(train(1, "later", (0, 0)))
        self.assertEqual([r["packetDeltaCount"] for r in made.finish()], [meter.FRAGMENT_TRAINS + 2, 1])


def header4(total=28, protocol=UDP, fragment=0, rest=b"", tos=0, first=0x45):
    return struct.pack("!BBHHHBBH", first, tos, total, 7, fragment, 64, protocol, 0) + A + B + rest


def header6(payload, next_header, rest=b"", traffic_class=0):
    return struct.pack("!IHBB", 6 << 28 | traffic_class << 20, payload, next_header, 64) + A6 + B6 + rest


PORTS = struct.pack("!HHHH", 1000, 53, 8, 0)


class Headers(unittest.TestCase):
    def ports(self, ip):
        return ip.protocol, ip.source_port, ip.destination_port

    def test_ip4(self):
        ip = ip_header.parse(header4(rest=PORTS + bytes(18), tos=0xB9), 46, 4)
        self.assertEqual((ip.octets, ip.tos, ip.ttl), (28, 0xB9, 64))
        self.assertEqual(self.ports(ip), (UDP, 1000, 53))

    def test_malformed(self):
        for data in (header4()[:19], header4(first=0x44), header4(first=0x65), header4(total=19),
                     header4(first=0x46, total=20)):
            self.assertIsNone(ip_header.parse(data, len(data), 4))
        self.assertIsNone(ip_header.parse(header6(0, 59)[:39], 60, 6))
        self.assertIsNone(ip_header.parse(b"", 0, 4))

    def test_cut_after_the_fixed_header_is_metered(self):
        ip = ip_header.parse(header4(first=0x4F, total=100), 100, 4)
        self.assertEqual((ip.octets, *self.ports(ip)), (100, UDP, 0, 0))

    def test_offloaded_lengths(self):
        self.assertEqual(ip_header.parse(header4(total=0, rest=PORTS), 3000, 4).octets, 3000)
        self.assertEqual(ip_header.parse(header6(0, TCP), 3000, 6).octets, 3000)
        self.assertEqual(ip_header.parse(header6(0, TCP), 47, 6).octets, 47)
        self.assertEqual(ip_header.parse(header6(0, TCP), 46, 6).octets, 40)
        self.assertEqual(ip_header.parse(header6(0, 59), 3000, 6).octets, 40)
        self.assertEqual(ip_header.parse(header6(0, 0, bytes([TCP, 0, 1, 4, 0, 0, 0, 0])), 900, 6).octets, 900)

    def test_jumbo(self):
        hop = bytes([UDP, 0, 0xC2, 4]) + struct.pack("!I", 70000)
        ip = ip_header.parse(header6(0, 0, hop + PORTS), 70040, 6)
        self.assertEqual((ip.octets, *self.ports(ip)), (70040, UDP, 1000, 53))

    def test_padding_is_not_a_transport_header(self):
        self.assertEqual(self.ports(ip_header.parse(header4(total=20, rest=PORTS), 46, 4)), (UDP, 0, 0))

    def test_tcp_cut_before_its_flags(self):
        body = struct.pack("!HHIIBB", 1000, 80, 0, 0, 0x51, 0xC2)
        self.assertEqual(ip_header.parse(header4(60, TCP, 0, body), 60, 4).tcp_flags, 0x1C2)
        cut = ip_header.parse(header4(60, TCP, 0, body[:13]), 60, 4)
        self.assertEqual((cut.tcp_flags, *self.ports(cut)), (None, TCP, 1000, 80))

    def test_icmp_needs_type_and_code(self):
        self.assertTrue(ip_header.parse(header4(60, ICMP, 0, b"\3\1"), 60, 4).icmp_known)
        self.assertFalse(ip_header.parse(header4(60, ICMP, 0, b"\3"), 60, 4).icmp_known)

    def test_extension_walk(self):
        chain = bytes([43, 0]) + bytes(6) + bytes([60, 0]) + bytes(6) + bytes([51, 0]) + bytes(6) \
            + bytes([UDP, 4]) + bytes(22)
        ip = ip_header.parse(header6(len(chain) + 8, 0, chain + PORTS, 0xB9), 200, 6)
        self.assertEqual((ip.tos, *self.ports(ip)), (0xB9, UDP, 1000, 53))

    def test_walk_ends(self):
        for protocol in (50, 59, 135, 139, 140):
            ip = ip_header.parse(header6(8, protocol, bytes([UDP, 0]) + bytes(6) + PORTS), 60, 6)
            self.assertEqual(self.ports(ip), (protocol, 0, 0))
        self.assertEqual(self.ports(ip_header.parse(header4(60, 51, 0, bytes(24) + PORTS), 60, 4)), (51, 0, 0))

    def test_walk_cut(self):
        ip = ip_header.parse(header6(100, 0, bytes([43])), 140, 6)
        self.assertEqual(self.ports(ip), (0, 0, 0))
        ip = ip_header.parse(header6(100, 0, bytes([43, 0])), 140, 6)
        self.assertEqual(self.ports(ip), (43, 0, 0))

    def test_fragments(self):
        first = ip_header.parse(header4(28, UDP, 0x2000, PORTS), 28, 4)
        self.assertEqual((first.fragment_role, first.fragment_key), ("first", (4, A, B, UDP, 7)))
        self.assertEqual(first.destination_port, 53)
        later = ip_header.parse(header4(28, UDP, 1, PORTS), 28, 4)
        self.assertEqual((later.fragment_role, later.destination_port), ("later", 0))
        self.assertIsNone(ip_header.parse(header4(28, UDP, 0x4000, PORTS), 28, 4).fragment_role)
        for bits, role, port in ((1, "first", 53), (0, None, 53), (8, "later", 0)):
            body = struct.pack("!BBHI", UDP, 0, bits, 9) + PORTS
            ip = ip_header.parse(header6(16, 44, body), 56, 6)
            self.assertEqual((ip.fragment_role, ip.protocol, ip.destination_port), (role, UDP, port))


class Dissection(unittest.TestCase):
    def block(self, protocols, layers, data, **frame):
        values = {"frame.encap_type": "1", "frame.len": str(len(data)), "frame.protocols": protocols,
                  "frame.time_epoch": "1.5", **frame}
        pairs = [("frame_raw", [data.hex(), 0, len(data), 0, 1]), ("frame", list(values.items()))]
        return pairs + [(name + "_raw", ["", at, size, 0, 1]) for name, at, size in layers]

    def test_vlan_and_mac(self):
        data = bytes(range(12)) + bytes.fromhex("810000c881000abc0800") + header4(rest=PORTS)
        layers = [("eth", 0, 14), ("vlan", 14, 4), ("vlan", 18, 4), ("ip", 22, 20)]
        got = tshark_packets.to_packet(
            self.block("eth:ethertype:vlan:ethertype:vlan:ethertype:ip:data", layers, data), set())
        self.assertEqual((got.time, got.interface, got.fate), (1500000000, 1, "metered"))
        self.assertEqual(got.vlans, (200, 0xABC))
        self.assertEqual((got.source_mac, got.destination_mac), (data[6:12], data[:6]))

    def test_fates(self):
        ether = [("eth", 0, 14)]
        def fate(block):
            return tshark_packets.to_packet(block, set()).fate

        self.assertEqual(fate(self.block("eth:ethertype:data", ether, bytes(60))), "non_ip")
        self.assertEqual(fate(self.block("eth", [], bytes(8)) + [("_ws.short", "")]), "malformed")
        self.assertEqual(fate(self.block("eth:ethertype:ip", ether, bytes(14) + header4()[:19])), "malformed")
        self.assertEqual(fate(self.block("eth:ethertype:ip", ether, bytes(14) + header4(first=0x4F, total=60))),
                         "metered")
        six = bytes(14) + header6(8, UDP, PORTS)
        self.assertEqual(fate(self.block("eth:ethertype:ip:ipv6", ether + [("ipv6", 14, 40)], six)), "malformed")

    def test_custom_blocks_are_no_packets(self):
        block = [("frame_raw", ["00", 0, 1, 0, 1]), ("frame", [("frame.len", "1")])]
        self.assertIsNone(tshark_packets.to_packet(block, set()))

    def test_decapsulation(self):
        inner = header4(28, UDP, 0, PORTS)
        data = header4(52, GRE, 0, bytes.fromhex("00000800")) + inner
        block = self.block("ip:gre:ip", [("ip", 0, 20), ("gre", 20, 4), ("ip", 24, 20)], data)
        self.assertEqual(tshark_packets.to_packet(block, set()).ip.protocol, GRE)
        self.assertEqual(tshark_packets.to_packet(block, {"erspan"}).ip.protocol, GRE)
        self.assertEqual(tshark_packets.to_packet(block, {"gre"}).ip.protocol, UDP)
        broken = self.block("ip:gre:ip", [("ip", 0, 20), ("gre", 20, 4)], data[:30])
        self.assertEqual(tshark_packets.to_packet(broken, {"gre"}).ip.protocol, GRE)


class Comparison(unittest.TestCase):
    def test_absent_is_zero_and_ids_are_free(self):
        made = run(packet(0), packet(20), packet(21), active=SECOND)
        theirs = [{name: value for name, value in record.items() if value} for record in made.records]
        for record in theirs:
            record["flowId"] += 100
        self.assertEqual(compare.compare(made, theirs, made.books), [])
        for record in theirs:
            record["flowId"] = 1
        self.assertEqual([name for name, _ in compare.compare(made, theirs, made.books)], ["flowId"])

    def test_a_changed_field_is_named(self):
        made = run(packet(0))
        theirs = [dict(made.records[0], octetDeltaCount=1)]
        self.assertEqual([name for name, _ in compare.compare(made, theirs, made.books)], ["octetDeltaCount"])
        self.assertEqual([name for name, _ in compare.compare(made, [], made.books)], ["record"])
        books = dict(made.books, malformed=1)
        self.assertEqual([name for name, _ in compare.compare(made, made.records, books)], ["malformed"])


if __name__ == "__main__":
    unittest.main()

"""Unit tests of the expectations: how a biflow falls in two, how collectors' words are read, and the CBOR decoder."""
import unittest

import cbor
import records

FORWARD = {"sourceIPv4Address": "10.0.0.1", "destinationIPv4Address": "10.0.0.2", "sourceTransportPort": 1000,
           "destinationTransportPort": 80, "protocolIdentifier": 6, "ipClassOfService": 1, "tcpControlBits": 0x1B,
           "packetDeltaCount": 5, "octetDeltaCount": 500, "minimumTTL": 60, "maximumTTL": 64,
           "flowStartNanoseconds": "2023-11-14T22:13:20.001000000Z", "flowEndNanoseconds": "2023-11-14T22:13:21.000000009Z",
           "reversePacketDeltaCount": 0, "reverseOctetDeltaCount": 0, "flowId": 9, "flowEndReason": 3, "biflowDirection": 1}
REVERSE = {"reversePacketDeltaCount": 4, "reverseOctetDeltaCount": 400, "reverseIpClassOfService": 2,
           "reverseTcpControlBits": 0x13, "reverseMinimumTTL": 50, "reverseMaximumTTL": 51,
           "reverseFlowStartNanoseconds": "2023-11-14T22:13:20.002Z", "reverseFlowEndNanoseconds": "2023-11-14T22:13:20.5Z"}


class Split(unittest.TestCase):
    def test_one_direction_gives_one_record(self):
        [half] = records.split(FORWARD)
        self.assertEqual(half["flowStartNanoseconds"], 1700000000001000000)
        self.assertNotIn("reversePacketDeltaCount", half)

    def test_both_directions_give_two(self):
        forward, reverse = records.split({**FORWARD, **REVERSE})
        self.assertEqual(records.core(forward)[:9], ("10.0.0.1", "10.0.0.2", 1000, 80, 6, 1, 0x1B, 5, 500))
        self.assertEqual(records.core(reverse)[:9], ("10.0.0.2", "10.0.0.1", 80, 1000, 6, 2, 0x13, 4, 400))
        self.assertEqual(records.core(reverse)[9:], (1700000000002, 1700000000500))
        self.assertEqual((reverse["flowId"], reverse["minimumTTL"]), (9, 50))

    def test_a_flow_whose_initiator_was_never_heard(self):
        record = {**FORWARD, **REVERSE, "packetDeltaCount": 0, "octetDeltaCount": 0}
        del record["reverseFlowStartNanoseconds"], record["reverseFlowEndNanoseconds"]
        [half] = records.split(record)
        self.assertEqual(half["sourceTransportPort"], 80)
        self.assertEqual(half["flowStartNanoseconds"], 1700000000001000000)
        turned = records.ipfix_biflow(record)
        self.assertEqual((turned["sourceIPv4Address"], turned["biflowDirection"], turned["packetDeltaCount"]), ("10.0.0.2", 2, 4))

    def test_the_reverse_half_of_a_ping(self):
        ping = {**FORWARD, **REVERSE, "protocolIdentifier": 1, "sourceTransportPort": 0, "destinationTransportPort": 8 << 8,
                "icmpTypeCodeIPv4": 8 << 8}
        _, reverse = records.split(ping)
        found = (reverse["sourceTransportPort"], reverse["destinationTransportPort"], reverse["icmpTypeCodeIPv4"])
        self.assertEqual(found, (0, 0, 0))

    def test_times_have_nine_decimals_or_fewer(self):
        self.assertEqual(records.time_ns("1970-01-01T00:00:01.5Z"), 1_500_000_000)
        self.assertEqual(records.time_ns("1970-01-01 00:00:00.000000001"), 1)


class Collectors(unittest.TestCase):
    def test_nfdump_flags(self):
        self.assertEqual(records.nfdump_flags("...AP.SF"), 0x1B)
        self.assertEqual(records.nfdump_flags("CEUAPRSF"), 0xFF)

    def test_sums(self):
        item = records.Core("a", "b", 1, 2, 6, 0, 0, 3, 30, 0, 0)
        self.assertEqual(list(records.summed({item: 2}).values()), [(6, 60)])

    def test_a_difference_is_shown(self):
        item = records.Core("a", "b", 1, 2, 6, 0, 0, 3, 30, 0, 0)
        with self.assertRaisesRegex(records.Differ, "1 only expected, 0 only got"):
            records.same(records.collections.Counter([item, item]), records.collections.Counter([item]))


class Cbor(unittest.TestCase):
    def test_examples_of_rfc_8949(self):
        for text, value in (("00", 0), ("1818", 24), ("1bffffffffffffffff", 2**64 - 1), ("29", -10), ("fb3ff199999999999a", 1.1),
                            ("f93c00", 1.0), ("f4", False), ("f6", None), ("4401020304", b"\1\2\3\4"), ("62c3bc", "\u00fc"),
                            ("83010203", [1, 2, 3]), ("a201020304", {1: 2, 3: 4}), ("7f657374726561646d696e67ff", "streaming"),
                            ("9f0102ff", [1, 2]), ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2})):
            self.assertEqual(cbor.sequence(bytes.fromhex(text)), [value], text)

    def test_a_sequence_is_items_in_a_row(self):
        self.assertEqual(cbor.sequence(bytes.fromhex("0001a10203")), [0, 1, {2: 3}])

    def test_tags(self):
        [item] = cbor.sequence(bytes.fromhex("c11a514b67b0"))
        self.assertEqual((item.tag, item.value), (1, 1363896240))

    def test_what_is_cut_short_or_has_a_key_twice(self):
        for text in ("1a0000", "440102", "a201020103"):
            with self.assertRaises(ValueError):
                cbor.sequence(bytes.fromhex(text))


if __name__ == "__main__":
    unittest.main()

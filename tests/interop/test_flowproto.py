"""Unit tests of the decoder on hand-made bytes: what is right passes, and each broken rule is found.

`python3 -m unittest` in this folder, or `python3 test_flowproto.py`. Needs nothing but Python.
"""
import os
import struct
import tempfile
import unittest

import elements
import flowproto
import makeflow as m

SECOND = 1_000_000_000
T0 = 1699999000
FLOW = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 8), (2, 8), (152, 8), (153, 8)]
FLOW_VALUES = [0x0A000001, 0x0A000002, 1000, 80, 6, 60, 1, T0 * 1000 + 7, T0 * 1000 + 9]
FLOW9 = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (22, 4), (21, 4)]
FLOW9_VALUES = [0x0A000001, 0x0A000002, 1000, 80, 6, 60, 1, 1000, 2000]


def decode(*messages):
    return flowproto.read_stream(messages)


def flow_message(sequence=0, count=1, templates=True, **header):
    sets = [m.a_set(2, m.template(256, FLOW))] if templates else []
    return m.ipfix(sequence, sets + [m.a_set(256, m.record(FLOW, FLOW_VALUES) * count)], **header)


class Base(unittest.TestCase):
    def good(self, stream):
        self.assertEqual(stream.problems, [])
        return stream

    def bad(self, stream, *words):
        text = "\n".join(stream.problems)
        for word in words:
            self.assertIn(word, text)


class NetFlow5(Base):
    def test_record_and_times(self):
        stream = self.good(decode(m.v5(0, [m.v5_record()], uptime=100000, secs=T0, nsecs=999_999_999)))
        flow = stream.flows()[0]
        self.assertEqual(flow["sourceIPv4Address"], "10.0.0.1")
        self.assertEqual(flow["destinationTransportPort"], 80)
        self.assertEqual(flow.time_ns("Start"), (T0 * 1000 + 999 - 100000 + 1000) * 1_000_000)

    def test_sampling_field_splits_in_mode_and_interval(self):
        self.assertEqual(decode(m.v5(0, [m.v5_record()], sampling=0x4000 | 100)).messages[0].sampling, (1, 100))

    def test_sequence_counts_records(self):
        two = [m.v5_record()] * 2
        self.good(decode(m.v5(0, two), m.v5(2, two)))
        self.bad(decode(m.v5(0, two), m.v5(1, two)), "sequence 1, expected 2")

    def test_length_and_count(self):
        self.bad(decode(m.v5(0, [m.v5_record()]) + b"x"), "length 73")
        self.bad(decode(m.v5(0, [m.v5_record()] * 31)), "count 31")

    def test_uptime_order(self):
        self.bad(decode(m.v5(0, [m.v5_record(first=5, last=3)])), "first 5 after last 3")
        self.bad(decode(m.v5(0, [m.v5_record(last=100001)])), "after sysUptime")

    def test_padding_and_empty_flow(self):
        self.bad(decode(m.v5(0, [m.v5_record(pad=1)])), "padding")
        self.bad(decode(m.v5(0, [m.v5_record(packets=0)])), "without packets")


class NetFlow9(Base):
    def message(self, sequence=0, count=2, templates=True, records=1, **header):
        sets = [m.a_set(0, m.template(256, FLOW9))] if templates else []
        return m.v9(sequence, count, sets + [m.a_set(256, m.record(FLOW9, FLOW9_VALUES) * records)], **header)

    def test_flow_times_are_absolute(self):
        flow = self.good(decode(self.message(uptime=100000, time=T0))).flows()[0]
        self.assertEqual(flow.time_ns("Start"), (T0 - 100 + 1) * SECOND)
        self.assertEqual(flow["octetDeltaCount"], 60)

    def test_sequence_counts_messages_per_source(self):
        self.good(decode(self.message(7), self.message(7, source=2), self.message(8, 3, False, 3), self.message(8, source=2)))
        self.bad(decode(self.message(7), self.message(9)), "sequence 9, expected 8")

    def test_count_includes_templates(self):
        self.bad(decode(self.message(count=1)), "count 1, but 1 records and 1 templates")

    def test_boot_on_whole_second(self):
        self.bad(decode(self.message(uptime=100001)), "whole second")

    def test_uptime_wrap(self):
        self.bad(decode(self.message(uptime=(1 << 31) + 352)), "past 2^31")

    def test_options_template_and_scope(self):
        scope, fields = [(1, 4)], [(34, 4), (35, 1)]
        sets = [m.a_set(1, m.v9_options_template(257, scope, fields)), m.a_set(257, m.record(scope + fields, [1, 10, 2]))]
        record = self.good(decode(m.v9(0, 2, sets))).options("samplingInterval")[0]
        self.assertEqual((record["scopeSystem"], record["samplingInterval"], record.scope), (1, 10, ("scopeSystem",)))

    def test_set_length_multiple_of_four(self):
        sets = [m.a_set(0, m.template(256, FLOW9)), m.a_set(256, m.record(FLOW9, FLOW9_VALUES), pad=1)]
        self.bad(decode(m.v9(0, 2, sets)), "not a multiple of 4")

    def test_variable_length_unknown_in_v9(self):
        self.bad(decode(m.v9(0, 1, [m.a_set(0, m.template(256, [(82, 65535)]))])), "v9 does not know")

    def test_last_zero_means_no_time(self):
        values = FLOW9_VALUES[:-2] + [0, 0]
        sets = [m.a_set(0, m.template(256, FLOW9)), m.a_set(256, m.record(FLOW9, values))]
        self.bad(decode(m.v9(0, 2, sets)), "no time")


class Ipfix(Base):
    def test_flow(self):
        flow = self.good(decode(flow_message())).flows()[0]
        self.assertEqual(flow["sourceIPv4Address"], "10.0.0.1")
        self.assertEqual(flow.time_ns("Start"), T0 * SECOND + 7_000_000)

    def test_header_length(self):
        self.bad(decode(flow_message() + b"\0"), "IPFIX length")

    def test_sequence_counts_data_records_of_both_kinds(self):
        scope, fields = [(144, 4)], [(41, 8)]
        options = [m.a_set(3, m.ipfix_options_template(300, scope, fields)), m.a_set(300, m.record(scope + fields, [1, 5]) * 2)]
        self.good(decode(m.ipfix(0, options), flow_message(2, 3), flow_message(5)))
        self.bad(decode(m.ipfix(0, options), flow_message(0, 3)), "sequence 0, expected 2")

    def test_sequence_is_per_domain(self):
        self.good(decode(flow_message(0, 2), flow_message(9, domain=2), flow_message(2)))

    def test_data_before_template(self):
        self.bad(decode(flow_message(templates=False)), "without a template")

    def test_templates_are_per_domain(self):
        self.bad(decode(flow_message(), flow_message(0, templates=False, domain=2)), "without a template")

    def test_template_may_be_repeated_but_not_changed(self):
        self.good(decode(flow_message(), flow_message(1)))
        changed = m.ipfix(1, [m.a_set(2, m.template(256, FLOW[:-1]))])
        self.bad(decode(flow_message(), changed), "changed without withdrawal")

    def test_withdrawal_in_a_session_but_not_over_udp(self):
        withdrawal = m.ipfix(1, [m.a_set(2, struct.pack("!HH", 256, 0))])
        self.bad(decode(flow_message(), withdrawal), "withdrawn over UDP")
        stream = flowproto.Stream(udp=False)
        for message in (flow_message(), withdrawal, flow_message(1, templates=False)):
            stream.feed(message)
        self.assertEqual(len(stream.problems), 1)
        self.bad(stream, "without a template")

    def test_reverse_elements_have_reverse_names(self):
        fields = FLOW + [(2, 8, elements.REVERSE_PEN), (152, 8, elements.REVERSE_PEN)]
        values = FLOW_VALUES + [9, T0 * 1000]
        sets = [m.a_set(2, m.template(256, fields)), m.a_set(256, m.record(fields, values))]
        flow = self.good(decode(m.ipfix(0, sets))).flows()[0]
        self.assertEqual(flow["reversePacketDeltaCount"], 9)
        self.assertEqual(flow["reverseFlowStartMilliseconds"], T0 * SECOND)

    def test_a_key_has_no_reverse(self):
        fields = FLOW + [(8, 4, elements.REVERSE_PEN)]
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, fields))])), "cannot be reversed")

    def test_unknown_elements(self):
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, [(32000, 4)]))])), "not in the registry")
        self.good(decode(m.ipfix(0, [m.a_set(2, m.template(256, FLOW + [(5, 4, 12345)]))])))

    def test_element_lengths(self):
        self.good(decode(m.ipfix(0, [m.a_set(2, m.template(256, [(1, 3), (6, 1), (302, 4)]))])))
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, [(8, 3)]))])), "sourceIPv4Address has length 3")
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, [(4, 2)]))])), "protocolIdentifier has length 2")

    def test_an_element_twice(self):
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, [(1, 8), (1, 8)]))])), "octetDeltaCount twice")

    def test_variable_length_short_and_long(self):
        scope, fields = [(10, 4)], [(82, 65535)]
        body = struct.pack("!I", 1) + b"\4eth0" + struct.pack("!IBH", 2, 255, 300) + b"x" * 300
        sets = [m.a_set(3, m.ipfix_options_template(300, scope, fields)), m.a_set(300, body)]
        names = [r["interfaceName"] for r in self.good(decode(m.ipfix(0, sets))).options("interfaceName")]
        self.assertEqual(names, ["eth0", "x" * 300])

    def test_variable_length_past_the_set(self):
        cut = struct.pack("!IB", 1, 9) + b"eth"
        sets = [m.a_set(3, m.ipfix_options_template(300, [(10, 4)], [(82, 65535)])), m.a_set(300, cut)]
        self.bad(decode(m.ipfix(0, sets)), "cut short")

    def test_padding(self):
        body = m.record(FLOW, FLOW_VALUES)  # 45 bytes: three of padding
        self.good(decode(m.ipfix(0, [m.a_set(2, m.template(256, FLOW)), m.a_set(256, body)])))
        self.good(decode(m.ipfix(0, [m.a_set(2, m.template(256, FLOW)), m.a_set(256, body, pad=1)])))
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, FLOW)), m.a_set(256, body + b"\1\0\0")])), "not zero")
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(256, FLOW)), m.a_set(256, body + bytes(1), pad=1)])), "align nothing")

    def test_padding_shorter_than_a_record(self):
        sets = [m.a_set(2, m.template(256, FLOW) + bytes(4))]
        self.bad(decode(m.ipfix(0, sets)), "4 bytes of padding")

    def test_bad_sets(self):
        self.bad(decode(m.ipfix(0, [m.a_set(4, b"1234")])), "set id 4")
        self.bad(decode(m.ipfix(0, [struct.pack("!HH", 256, 2)])), "length 2")
        self.bad(decode(m.ipfix(0, [struct.pack("!HH", 256, 4)])), "empty")
        self.bad(decode(m.ipfix(0, [m.a_set(2, m.template(255, FLOW))])), "template id 255")

    def test_options_template_needs_scope(self):
        body = struct.pack("!HHH", 300, 1, 0) + struct.pack("!HH", 41, 8)
        self.bad(decode(m.ipfix(0, [m.a_set(3, body)])), "0 scope fields")

    def test_ntp_times(self):
        fields = [(8, 4), (2, 8), (154, 8), (157, 8)]
        ntp = (T0 + flowproto.NTP_EPOCH) << 32
        micro, nano = (123_456 << 32) // 10**6 & ~0x7FF, (123_456_789 << 32) // 10**9
        sets = [m.a_set(2, m.template(256, fields)), m.a_set(256, m.record(fields, [1, 1, ntp | micro, ntp | nano]))]
        flow = self.good(decode(m.ipfix(0, sets))).flows()[0]
        self.assertEqual(flow["flowStartMicroseconds"], T0 * SECOND + 123_456_000)
        self.assertEqual(flow["flowEndNanoseconds"], T0 * SECOND + 123_456_789)

    def test_start_after_end(self):
        values = FLOW_VALUES[:-2] + [2000, 1000]
        sets = [m.a_set(2, m.template(256, FLOW)), m.a_set(256, m.record(FLOW, values))]
        self.bad(decode(m.ipfix(0, sets)), "after its end")

    def test_every_cut_is_noticed(self):
        whole = flow_message()
        for length in range(len(whole)):
            self.assertTrue(decode(whole[:length]).problems, length)

    def test_other_versions(self):
        self.bad(decode(struct.pack("!HH", 8, 4)), "version 8")


class File(Base):
    def read(self, data):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(data)
        self.addCleanup(os.unlink, file.name)
        return flowproto.read_ipfix_file(file.name)

    def test_messages_one_after_another(self):
        stream = self.good(self.read(flow_message() + flow_message(1, 2, False)))
        self.assertEqual(len(stream.flows()), 3)

    def test_rest_at_the_end(self):
        self.bad(self.read(flow_message() + b"\0\n\0"), "file offset")

    def test_empty_file_is_no_message(self):
        self.assertEqual(self.good(self.read(b"")).messages, [])


class Registry(unittest.TestCase):
    def test_reverse_name(self):
        self.assertEqual(elements.lookup(2, elements.REVERSE_PEN).name, "reversePacketDeltaCount")

    def test_reduced_sizes(self):
        self.assertTrue(elements.BY_NAME["octetDeltaCount"].accepts(1))
        self.assertFalse(elements.BY_NAME["octetDeltaCount"].accepts(9))
        self.assertFalse(elements.BY_NAME["flowStartMilliseconds"].accepts(4))
        self.assertTrue(elements.BY_NAME["interfaceName"].accepts(65535))


if __name__ == "__main__":
    unittest.main()

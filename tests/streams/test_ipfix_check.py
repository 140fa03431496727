#!/usr/bin/env python3
"""The checker on hand-made bytes: what is right passes, and every broken rule is found."""
import struct
import unittest

import ipfix_check
import makeflow as m  # the checker put its folder on the path

FLOW = [(8, 4), (12, 4), (4, 1), (1, 8), (2, 8)]
VALUES = [0x0A000001, 0x0A000002, 17, 60, 1]
OPTIONS = ([(143, 4)], [(41, 8)])
TEMPLATE = m.a_set(2, m.template(256, FLOW))
OPTIONS_TEMPLATE = m.a_set(3, m.ipfix_options_template(512, *OPTIONS))


def data(count=1, pad=4):
    return m.a_set(256, m.record(FLOW, VALUES) * count, pad)


def good():
    options = m.a_set(512, m.record(OPTIONS[0] + OPTIONS[1], [1, 2]))
    return [m.ipfix(0, [TEMPLATE, OPTIONS_TEMPLATE]), m.ipfix(0, [data(3), options]), m.ipfix(4, [data()])]


def with_length(message, length):
    return message[:2] + struct.pack("!H", length) + message[4:]


class Checker(unittest.TestCase):
    def sound(self, messages, **how):
        self.assertEqual(ipfix_check.check_session(b"".join(messages), **how).problems, [])

    def broken(self, messages, word, **how):
        problems = ipfix_check.check_session(b"".join(messages), **how).problems
        self.assertIn(word, "\n".join(problems))

    def test_a_sound_session(self):
        self.sound(good())
        self.assertEqual(len(ipfix_check.check_session(b"".join(good())).flows()), 4)

    def test_a_cut_session_is_sound_only_where_it_may_be_cut(self):
        whole = b"".join(good())
        for end, word in ((len(whole) - 1, "bytes left"), (len(b"".join(good()[:2])) + 1, "not a header")):
            self.sound([whole[:end]], cut=True)
            self.broken([whole[:end]], word)
        self.broken([whole, b"\0\x0a"], "not a header")

    def test_message_length(self):
        first = good()[0]
        self.broken([with_length(first, len(first) + 1), *good()[1:]], "version")  # all that follows is shifted
        self.broken([with_length(first, 15)], "length 15")
        self.broken([with_length(first, 0)], "length 0")
        self.broken([b"\0\x09" + first[2:]], "version 9")

    def test_set_length(self):
        for size, word in ((3, "of length 3"), (4, "is empty"), (200, "cut short")):
            self.broken([m.ipfix(0, [TEMPLATE, struct.pack("!HH", 256, size) + data()[4:]])], word)

    def test_padding(self):
        self.sound([m.ipfix(0, [TEMPLATE, data(1)])])
        self.sound([m.ipfix(0, [TEMPLATE, data(1, pad=1)])])
        self.broken([m.ipfix(0, [TEMPLATE, m.a_set(256, m.record(FLOW, VALUES) + b"\0\0\1", pad=1)])], "padding is not zero")
        self.broken([m.ipfix(0, [TEMPLATE, m.a_set(256, m.record(FLOW, VALUES) + bytes(11), pad=1)])], "bytes of padding")

    def test_templates_before_data_and_once(self):
        self.broken([m.ipfix(0, [data(), TEMPLATE])], "data set 256 without a template")
        self.broken([m.ipfix(0, [TEMPLATE], domain=7), m.ipfix(0, [data()], domain=8)], "without a template")
        self.broken([m.ipfix(0, [TEMPLATE]), m.ipfix(0, [TEMPLATE])], "sent 2 times")
        other = m.a_set(2, m.template(256, FLOW[:3]))
        self.broken([m.ipfix(0, [TEMPLATE]), m.ipfix(0, [other])], "changed without withdrawal")

    def test_reserved_ids(self):
        self.broken([m.ipfix(0, [m.a_set(5, b"\0" * 8)])], "set id 5")
        self.broken([m.ipfix(0, [m.a_set(2, m.template(255, FLOW))])], "template id 255")

    def test_sequence(self):
        first, second, third = good()
        self.broken([first, second, second], "sequence 0, expected 4")
        self.broken([first, third], "sequence 4, expected 0")
        self.broken([m.ipfix(9, [TEMPLATE, data()])], "begins with 9")

    def test_sequence_is_of_the_domain(self):
        self.sound([m.ipfix(0, [TEMPLATE, data(2)], domain=1), m.ipfix(0, [TEMPLATE, data()], domain=2),
                    m.ipfix(2, [data()], domain=1), m.ipfix(1, [data()], domain=2)])
        self.broken([m.ipfix(0, [TEMPLATE, data(2)], domain=1), m.ipfix(2, [TEMPLATE, data()], domain=2)], "begins with 2")

    def test_options_scope(self):
        for scope in (0, 3):
            body = struct.pack("!HHH", 512, 2, scope) + struct.pack("!HHHH", 143, 4, 41, 8)
            self.broken([m.ipfix(0, [m.a_set(3, body)])], "%d scope fields of 2" % scope)

    def test_every_cut_and_many_flips_are_survived(self):
        """Whatever comes, the checker ends and says something of a header that is wrong."""
        whole = bytearray(b"".join(good()))
        for at in range(len(whole)):
            bad = bytearray(whole)
            bad[at] ^= 0xFF
            ipfix_check.check_session(bytes(bad))
            ipfix_check.check_session(bytes(whole[:at]))


if __name__ == "__main__":
    unittest.main()

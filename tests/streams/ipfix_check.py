#!/usr/bin/env python3
"""Is a stream of bytes one sound IPFIX session? RFC 7011 alone says what is; nothing here knows weir.

    ipfix_check.py FILE ...      each file is what one transport session brought, or an IPFIX file; exit 1 on a problem

Checked: message framing and length, set lengths, padding, reserved ids, templates before data and once a session, options
scope, element lengths, sequence from 0 by observation domain. The messages themselves are taken apart by the decoder of
tests/interop.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))

import flowproto  # noqa: E402

HEADER = flowproto.IPFIX_HEADER


class Result:
    """`problems` are lines of text, `stream` has the records."""

    def __init__(self, stream):
        self.stream, self.problems = stream, stream.problems

    def flows(self):
        return self.stream.flows()


def split(data, cut=False):
    """(messages, problem or None); `cut`: the session was, so its last message may be."""
    messages, at = [], 0
    while at < len(data):
        if len(data) - at < 4:
            return messages, None if cut else "offset %d: %d bytes, not a header" % (at, len(data) - at)
        version, size = int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 2:at + 4], "big")
        if version != 10 or size < HEADER:
            return messages, "offset %d: version %d, length %d" % (at, version, size)
        if size > len(data) - at:
            return messages, None if cut else "offset %d: message length %d, %d bytes left" % (at, size, len(data) - at)
        messages.append(data[at:at + size])
        at += size
    return messages, None


def check_messages(messages, from_zero=True, udp=False):
    """Checks the messages of one session; `udp`: templates may come again."""
    stream = flowproto.Stream(udp=udp)
    for message in messages:
        stream.feed(message)
    for (_, domain), first in stream.first_sequence.items():
        if from_zero and first != 0:
            stream.problems.append("domain %d: the sequence begins with %d" % (domain, first))
    if not udp:
        for (_, domain, tid), numbers in stream.template_messages.items():
            if len(numbers) > 1:
                stream.problems.append("domain %d: template %d sent %d times" % (domain, tid, len(numbers)))
    return Result(stream)


def check_session(data, cut=False):
    messages, problem = split(data, cut)
    result = check_messages(messages)
    if problem:
        result.problems.append(problem)
    return result


def main():
    bad = 0
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            result = check_session(file.read())
        print("%s: %d messages, %d records, %d problems" %
              (path, len(result.stream.messages), len(result.stream.records), len(result.problems)))
        print("".join("  %s\n" % problem for problem in result.problems[:20]), end="")
        bad += bool(result.problems)
    return 1 if bad or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())

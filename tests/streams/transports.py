"""The stream transports: how weir is told of each, and which flows a session brought, in order.

A flow is named by (number, direction), see source.py; direction 1 is the answer where a record has one direction.
"""
import json
import socket

import ipfix_check
import records


class Transport:
    """One row: its name, what it carries, whether over TLS."""

    def __init__(self, scheme, sessions, one_way, tls=False):
        self.scheme, self.sessions, self.one_way, self.tls = scheme, sessions, one_way, tls


def number_of(source, target):
    """(number, direction) from the addresses of a record."""
    ends = [int.from_bytes(socket.inet_aton(a), "big") - 0x0A000000 for a in (source, target)]
    return (ends[0], 0) if 0 <= ends[0] < 1 << 24 else (ends[1], 1)


def of_json(line):
    record = json.loads(line)
    return number_of(record["sourceIPv4Address"], record["destinationIPv4Address"])


def ipfix(data, cut):
    result = ipfix_check.check_session(data, cut)
    records.check(not result.problems, "not sound IPFIX: %s", "; ".join(result.problems[:4]))
    return [number_of(r["sourceIPv4Address"], r["destinationIPv4Address"]) for r in result.flows()]


def lines(data, cut):
    *whole, rest = data.split(b"\n")
    records.check(cut or not rest, "a line without its end: %s", rest[:80])
    return [of_json(line) for line in whole]


def syslog(data, cut):
    """Octet counting: every message as long as is said before it (RFC 6587 §3.4.1)."""
    found, at = [], 0
    while at < len(data):
        blank = data.find(b" ", at, at + 8)
        size = int(data[at:blank]) if blank > 0 and data[at:blank].isdigit() else None
        if size is None or blank + 1 + size > len(data):
            records.check(cut and (size is not None or data[at:].isdigit()), "no message at %d: %s", at, data[at:at + 40])
            return found
        message = data[blank + 1:blank + 1 + size]
        records.check(message.startswith(b"<") and message.endswith(b"}"), "not a message: %s", message[:80])
        found.append(of_json(message[message.index(b"{"):]))
        at = blank + 1 + size
    return found


ALL = [
    Transport("ipfix+tcp", ipfix, True),
    Transport("ipfix+tls", ipfix, True, tls=True),
    Transport("json+tcp", lines, False),
    Transport("json+tls", lines, False, tls=True),
    Transport("syslog+tcp", syslog, False),
    Transport("syslog+tls", syslog, False, tls=True),
]

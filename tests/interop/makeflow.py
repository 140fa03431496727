"""Builds NetFlow v5, v9 and IPFIX messages by hand, for the tests of the decoder and of the collector harness.

A field is (number, length) or (number, length, pen). Values are ints (written big-endian in the field's length) or bytes.
"""
import struct


def template(tid, fields):
    out = struct.pack("!HH", tid, len(fields))
    return out + b"".join(_spec(field) for field in fields)


def ipfix_options_template(tid, scope, fields):
    out = struct.pack("!HHH", tid, len(scope) + len(fields), len(scope))
    return out + b"".join(_spec(field) for field in scope + fields)


def v9_options_template(tid, scope, fields):
    out = struct.pack("!HHH", tid, 4 * len(scope), 4 * len(fields))
    return out + b"".join(_spec(field) for field in scope + fields)


def _spec(field):
    if len(field) == 3:
        return struct.pack("!HHI", field[0] | 0x8000, field[1], field[2])
    return struct.pack("!HH", field[0], field[1])


def record(fields, values):
    assert len(fields) == len(values)
    return b"".join(v if isinstance(v, bytes) else v.to_bytes(f[1], "big") for f, v in zip(fields, values))


def a_set(set_id, body, pad=4):
    body += bytes(-len(body) % pad)
    return struct.pack("!HH", set_id, 4 + len(body)) + body


def ipfix(sequence, sets, domain=1, time=1700000000):
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), time, sequence, domain) + body


def v9(sequence, count, sets, uptime=100000, time=1700000000, source=1):
    return struct.pack("!HHIIII", 9, count, uptime, time, sequence, source) + b"".join(sets)


def v5(sequence, records, uptime=100000, secs=1700000000, nsecs=0, sampling=0, engine=(0, 0)):
    return struct.pack("!HHIIIIBBH", 5, len(records), uptime, secs, nsecs, sequence, *engine, sampling) + b"".join(records)


def v5_record(src=0x0A000001, dst=0x0A000002, packets=1, octets=60, first=1000, last=2000, sport=1000, dport=80, flags=0x1B,
              proto=6, tos=0, pad=0):
    return struct.pack("!IIIHHIIIIHHBBBBHHBBH", src, dst, 0, 1, 0, packets, octets, first, last, sport, dport, pad, flags, proto,
                       tos, 0, 0, 0, 0, 0)

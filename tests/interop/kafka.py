"""A Kafka broker (librdkafka's mock, out of weir's process) and what kcat reads from it.

Keys and partitions are worked out here once more, from a record as JSON has it: the key from the description in weir(8)
with the reference implementation of XXH3, the partition as Kafka clients' "consistent" partitioner does, CRC32.
"""
import collections
import contextlib
import ctypes
import ipaddress
import os
import subprocess
import threading
import zlib

import tools

TOPIC = "flows"

Message = collections.namedtuple("Message", "partition offset key payload")

_build_lock = threading.Lock()


def mockbroker(bench):
    """Builds the broker once; its path."""
    program = os.path.join(bench.dir, "mockbroker")
    with _build_lock:
        if not os.path.exists(program):
            flags, _ = bench.run(["pkg-config", "--cflags", "--libs", "rdkafka"])
            bench.run(["cc", "-O1", "-Wall", "-o", program, os.path.join(tools.HERE, "mockbroker.c"), *flags.split()])
    return program


class Broker:
    def __init__(self, bench, process, servers):
        self._bench, self._process, self.servers = bench, process, servers

    def tell(self, line):
        """Has the broker obey a line (see mockbroker.c)."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise tools.Failed("mockbroker did not do: %s" % line)

    def url(self, *options):
        return "kafka://%s/%s%s" % (self.servers, TOPIC, "?" + "&".join(options) if options else "")

    def read(self):
        """All messages of the topic, by kcat."""
        argv = ["kcat", "-b", self.servers, "-t", TOPIC, "-C", "-e", "-q", "-D", "", "-f", "%p %o %K %S\n%k%s\n",
                "-X", "compression.codec=none"]
        with self._bench.child(tools.need(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, err = process.communicate(timeout=tools.RUN_SECONDS)
        if process.returncode:
            raise tools.Failed("kcat: exit %d\n%s" % (process.returncode, err.decode()[-1000:]))
        return list(_messages(out))


def _messages(data):
    """What kcat printed, by lengths: a payload may hold anything."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        partition, offset, key_len, payload_len = map(int, data[at:end].split())
        key = data[end + 1:end + 1 + key_len]
        payload = data[end + 1 + key_len:end + 1 + key_len + payload_len]
        yield Message(partition, offset, key.decode(), payload)
        at = end + 1 + key_len + payload_len + 1


@contextlib.contextmanager
def broker(bench, partitions=4):
    with bench.child([mockbroker(bench), TOPIC, str(partitions)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     stderr=subprocess.DEVNULL, text=True) as process:
        servers = process.stdout.readline().strip()
        if not servers:
            raise tools.Failed("mockbroker did not begin")
        yield Broker(bench, process, servers)


def _xxh3():
    try:
        function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    except OSError:
        raise tools.Missing("libxxhash.so.0 is not installed") from None
    function.restype, function.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
    return function


def key_of(record):
    """The key of a record's flow, from the record."""
    proto = record["protocolIdentifier"]
    family = "IPv6" if "sourceIPv6Address" in record else "IPv4"
    ends = []
    for side in ("source", "destination"):
        address = ipaddress.ip_address(record["%s%sAddress" % (side, family)]).packed
        port = 0 if proto in (1, 58) else record.get(side + "TransportPort", 0)
        ends.append(address.ljust(16, b"\0") + port.to_bytes(2, "big"))
    hashed = b"".join(sorted(ends)) + bytes([proto])
    return "%016x" % _xxh3()(hashed, len(hashed))


def partition_of(key, partitions):
    return zlib.crc32(key.encode()) % partitions

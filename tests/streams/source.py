"""A live source: flows numbered in their addresses, sent into one end of a veth pair of the run's own namespace.

Flow n is one packet from 10.0.0.0 + n to 192.0.2.1; every fourth is answered. So what the collectors must have got is known
without asking weir.
"""
import socket
import struct
import subprocess
import threading
import time

ANSWERED = 4  # one flow in so many
FILTER = "udp and src or dst net 10.0.0.0/8"
_serial = iter(range(1 << 20))
STEP_S = 0.005


def _packet(source, target, sport, dport):
    ip = [0x45, 0, 28, 0, 0, 64, 17, 0, source, target]
    words = struct.unpack("!10H", struct.pack("!BBHHHBBHII", *ip))
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    ip[7] = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHHBBHII", *ip) + struct.pack("!HHHH", sport, dport, 8, 0)


def frames(number):
    """The packets of a flow, as frames."""
    ends = (0x0A000000 + number, 0xC0000201)
    out = [b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + _packet(*ends, 1000, 2000)]
    if number % ANSWERED == 0:
        out.append(b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + _packet(*reversed(ends), 2000, 1000))
    return out


def one_way(flows):
    """Records of `flows` flows where a record has one direction."""
    return flows + -(-flows // ANSWERED)


class Wire:
    """A veth pair: `port` is watched, what is sent goes into the other end."""

    def __init__(self):
        number = next(_serial)
        self.port, self._end = "in%d" % number, "out%d" % number
        for words in (("add", self._end, "type", "veth", "peer", "name", self.port),
                      ("set", self._end, "up"), ("set", self.port, "up")):
            subprocess.run(["ip", "link", *words], check=True, capture_output=True)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind((self._end, 0))

    def send(self, frame):
        self._socket.send(frame)

    def close(self):
        self._socket.close()
        subprocess.run(["ip", "link", "del", self._end], check=False, capture_output=True)


class Source(threading.Thread):
    """Sends `rate` flows a second until it is told to stop, or has sent `limit`; `flows` were sent so far."""

    def __init__(self, wire, rate, limit=1 << 24):
        super().__init__(daemon=True)
        self._wire, self._rate, self._limit = wire, rate, limit
        self._ended = threading.Event()
        self.flows = 0

    def run(self):
        start = time.monotonic()
        while not self._ended.is_set() and self.flows < self._limit:
            due = min(int((time.monotonic() - start) * self._rate), self._limit)
            while self.flows < due:
                self.note()
                for frame in frames(self.flows):
                    self._wire.send(frame)
                self.flows += 1
            time.sleep(STEP_S)

    def note(self):
        """Called before each flow."""

    def stop(self):
        self._ended.set()
        self.join()

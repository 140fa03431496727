"""DTLS peers of weir: certificates, OpenSSL's s_server, a collector that knows associations apart, and a relay between."""
import collections
import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import tools

Identity = collections.namedtuple("Identity", "ca cert key name")
Keys = collections.namedtuple("Keys", "server client stranger")

_lock = threading.Lock()
_made = {}


def keys(bench):
    """An authority, a collector (server.example, 127.0.0.1) and a probe (probe.example) that it knows, and one it does not."""
    with _lock:
        if bench.dir not in _made:
            _made[bench.dir] = _make_keys(bench)
        return _made[bench.dir]


def _make_keys(bench):
    folder = bench.new_dir()
    for authority in ("ca", "other"):
        _openssl(bench, "req", "-x509", *NEW_KEY, "-days", "30", "-subj", "/CN=" + authority, "-keyout",
                 "%s/%s.key" % (folder, authority), "-out", "%s/%s.pem" % (folder, authority))
    return Keys(_identity(bench, folder, "ca", "server"), _identity(bench, folder, "ca", "probe"),
                _identity(bench, folder, "other", "stranger"))


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _identity(bench, folder, authority, name):
    path = "%s/%s" % (folder, name)
    _openssl(bench, "req", *NEW_KEY, "-subj", "/CN=" + name, "-keyout", path + ".key", "-out", path + ".csr",
             "-addext", "subjectAltName=DNS:%s.example,IP:127.0.0.1" % name)
    ca = "%s/%s" % (folder, authority)
    _openssl(bench, "x509", "-req", "-in", path + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
             "-days", "30", "-copy_extensions", "copy", "-out", path + ".pem")
    os.chmod(path + ".key", 0o600)
    return Identity(folder + "/ca.pem", path + ".pem", path + ".key", name + ".example")


def _openssl(bench, *argv):
    bench.run(["openssl", *argv])


def url(port, identity, *options):
    parts = ["ca=" + identity.ca, "cert=" + identity.cert, "key=" + identity.key, *options]
    return "ipfix+dtls://%s:%d?%s" % (tools.LOOPBACK, port, "&".join(parts))


@contextlib.contextmanager
def s_server(bench, server):
    """OpenSSL's own server; yields (port, function that gives the plaintext so far)."""
    port, path = tools.free_port(), bench.new_dir() + "/out"
    argv = ["openssl", "s_server", "-dtls1_2", "-quiet", "-accept", "%s:%d" % (tools.LOOPBACK, port), "-cert", server.cert,
            "-key", server.key, "-CAfile", server.ca, "-Verify", "1", "-verify_return_error"]
    with open(path, "wb") as out, bench.child(argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL):
        tools.wait_for("s_server", lambda: tools.udp_queue(port))
        yield port, lambda: open(path, "rb").read()


def messages(data):
    """IPFIX messages one after the other."""
    out, at = [], 0
    while at < len(data):
        size = struct.unpack_from("!H", data, at + 2)[0]
        out.append(data[at:at + size])
        at += size
    return out


class Peer:
    """tests/interop/dtlspeer.c: `read()` gives the datagrams of each association, and whether it ended in order."""

    def __init__(self, path, process):
        self._path, self._process = path, process

    def doze(self, until, seconds):
        """Has it run half of the time: not at all for so many seconds, then again, until `until` (an Event) is set."""
        while not until.wait(seconds):
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self._process.send_signal(signal.SIGCONT)

    def read(self):
        datagrams, ended, at = collections.defaultdict(list), set(), 0
        with open(self._path, "rb") as file:
            data = file.read()
        while at + 8 <= len(data):
            number, size = struct.unpack_from("!II", data, at)
            if size:
                datagrams[number].append(data[at + 8:at + 8 + size])
            else:
                ended.add(number)
            at += 8 + size
        return [(datagrams[number], number in ended) for number in sorted(datagrams)]


@contextlib.contextmanager
def peer(bench, server, port=None):
    program = os.path.join(bench.dir, "dtlspeer")
    with _lock:
        if not os.path.exists(program):
            bench.run(["cc", "-O1", "-Wall", "-o", program, os.path.join(tools.HERE, "dtlspeer.c"), "-lssl", "-lcrypto"])
    port, path = port or tools.free_port(), bench.new_dir() + "/out"
    with open(path, "wb") as out, bench.child([program, str(port), server.cert, server.key, server.ca], stdout=out) as process:
        tools.wait_for("dtlspeer", lambda: tools.udp_queue(port))
        yield port, Peer(path, process)


class Relay:
    """UDP between weir and a peer: notes the sizes of what weir sends, and loses what `lose(direction, number)` says.
    A peer that is not there is not betrayed by ICMP."""

    def __init__(self, port, lose=lambda direction, number: False):
        self.sizes, self.target = [], port
        self._lose, self._stop, self._counts = lose, False, [0, 0]
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind((tools.LOOPBACK, 0))
        self._front.settimeout(0.02)
        self._backs = {}
        self.port = self._front.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _passes(self, direction):
        self._counts[direction] += 1
        return not self._lose(direction, self._counts[direction] - 1)

    def _run(self):
        while not self._stop:
            with contextlib.suppress(socket.timeout, ConnectionError):
                while True:
                    data, source = self._front.recvfrom(65535)
                    self.sizes.append(len(data))
                    if source not in self._backs:
                        self._backs[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                        self._backs[source].setblocking(False)
                    if self._passes(0):
                        self._backs[source].sendto(data, (tools.LOOPBACK, self.target))
                    self._answers()
            self._answers()

    def _answers(self):
        for source, back in self._backs.items():
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    data = back.recv(65535)
                    if self._passes(1):
                        self._front.sendto(data, source)

    def close(self):
        self._stop = True
        self._thread.join()
        for sock in (self._front, *self._backs.values()):
            sock.close()

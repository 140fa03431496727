"""Runs weir and the collectors it is judged by: nfcapd and nfdump, nfacctd, tshark, libfixbuf.

Everything stays on 127.0.0.1 and free ports, in one temporary directory; every process started is ended by its own id,
whatever happens. A tool that is missing raises Missing: a failure, never a skip.
"""
import contextlib
import glob
import json
import multiprocessing
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LOOPBACK, LOOPBACK6 = "127.0.0.1", "::1"
OWN_PCAPS = os.path.join(TOP, "pcaps")
RUN_SECONDS = 60  # no single command may take longer


class Missing(Exception):
    """A tool the suite needs is not installed."""


class Failed(Exception):
    """A command ended badly; the text says how."""


class Skipped(Exception):
    """What the case is about is not there: real captures, SCTP, IPv6."""


class Bench:
    """Where a run works: weir's path, the captures, a temporary directory, the children to end."""

    def __init__(self, weir, pcaps):
        self.weir, self.pcaps = weir, pcaps
        self.dir = tempfile.mkdtemp(prefix="weir-interop-")
        self._children = set()
        self._closed = False
        self._lock = threading.Lock()
        self._serial = 0

    def end_children(self):
        """Ends what still runs and lets nothing more be started."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            if child.poll() is None:
                child.kill()

    def close(self):
        self.end_children()
        shutil.rmtree(self.dir, ignore_errors=True)

    def pcap(self, name):
        """The path of a real capture, or of a small one of this tree."""
        path = os.path.join(self.pcaps, name)
        if not os.path.isdir(self.pcaps):
            path = os.path.join(OWN_PCAPS, name)
            if not os.path.exists(path):
                raise Skipped("no real captures at WEIR_PCAPS (%s)" % self.pcaps)
        if not os.path.exists(path):
            raise Failed("no capture %s in %s" % (name, self.pcaps))
        return path

    def new_dir(self):
        with self._lock:
            self._serial += 1
            path = os.path.join(self.dir, "%04d" % self._serial)
        os.mkdir(path)
        return path

    @contextlib.contextmanager
    def child(self, argv, **popen):
        """A process that lives as long as the block and is killed at its end if it still runs."""
        popen.setdefault("stdin", subprocess.DEVNULL)
        with self._lock:
            if self._closed:
                raise Failed("interrupted")
            process = subprocess.Popen(need(argv), **popen)
            self._children.add(process)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe and not pipe.closed:
                    with contextlib.suppress(OSError):
                        pipe.close()
            with self._lock:
                self._children.discard(process)

    def run(self, argv, expect=0, env=None):
        """Runs a command to its end; returns (standard output, standard error) as text."""
        with self.child(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
            try:
                out, err = process.communicate(timeout=RUN_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failed("%s: no end after %d s" % (" ".join(argv), RUN_SECONDS)) from None
        if expect is not None and process.returncode != expect:
            raise Failed("%s: exit %d\n%s" % (" ".join(argv), process.returncode, err.decode(errors="replace")[-2000:]))
        return out.decode(), err.decode(errors="replace")


def real_or_own(names):
    """Captures that a case is about; this tree's demo.pcap alone where the real ones are not there."""
    return names if os.path.isdir(os.environ["WEIR_PCAPS"]) else ["demo.pcap"]


def need(argv):
    if shutil.which(argv[0]) is None:
        raise Missing("%s is not installed" % argv[0])
    return argv


def utc():
    return dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8")


# --- UDP ---------------------------------------------------------------------------------------------------------------

_next_port = multiprocessing.Value("I", os.getpid() * 64)


def free_port():
    """A port, free for TCP and UDP, that a program of this run may take by its number, now or later.

    It is below those that the kernel gives to who asks for any, so nobody gets it meanwhile; and no other call of this
    run gives it, in whichever process (another run begins elsewhere).
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        below = int(file.read().split()[0])
    first = min(10000, below // 2)
    for _ in range(first, below):
        with _next_port.get_lock():
            _next_port.value += 1
            port = first + _next_port.value % (below - first)
        with contextlib.suppress(OSError), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((LOOPBACK, port))
            udp.bind((LOOPBACK, port))
            return port
    raise Failed("no free port from %d to %d" % (first, below - 1))


class Sink:
    """A UDP port that keeps every datagram sent to it."""

    FAMILY, IP = socket.AF_INET, LOOPBACK

    def __init__(self):
        self.datagrams = []
        self._sock = socket.socket(self.FAMILY, socket.SOCK_DGRAM)
        self._sock.bind((self.IP, 0))
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._sock.settimeout(0.05)
        self.port = self._sock.getsockname()[1]
        self._stop = False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _take(self):
        return self._sock.recv(65535)

    def _receive(self):
        while True:
            try:
                self.datagrams.append(self._take())
            except socket.timeout:
                if self._stop:
                    return

    def close(self):
        """Takes what the kernel still holds, then closes; loopback delivers at once, so nothing is under way."""
        self._stop = True
        self._thread.join()
        self._sock.setblocking(False)  # the thread may have seen _stop between its last timeout and the last datagram
        with contextlib.suppress(BlockingIOError):
            while True:
                self.datagrams.append(self._take())
        self._sock.close()
        return self.datagrams


def need_ip6():
    """Containers may have no IPv6 at all."""
    try:
        socket.create_server((LOOPBACK6, 0), family=socket.AF_INET6).close()
    except OSError as error:
        raise Skipped("no IPv6 on loopback here: %s" % error) from None


def udp_queue(port):
    """(bytes queued, datagrams dropped) of the UDP socket bound to the port, None when there is none."""
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with open(table) as file:
            for line in file.readlines()[1:]:
                column = line.split()
                if int(column[1].rsplit(":", 1)[1], 16) == port:
                    return int(column[4].split(":")[1], 16), int(column[12])
    return None


def wait_for(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise Failed("waited %d s for %s" % (seconds, what))


def send(datagrams, port):
    """Sends datagrams no faster than the receiver reads them and fails if its socket dropped any."""
    wait_for("a listener on port %d" % port, lambda: udp_queue(port) is not None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, port))
        for number, datagram in enumerate(datagrams):
            sock.send(datagram)
            if number % 8 == 7:
                wait_for("port %d to read" % port, lambda: udp_queue(port)[0] == 0)
    wait_for("port %d to read" % port, lambda: udp_queue(port)[0] == 0)
    if udp_queue(port)[1]:
        raise Failed("the test's own collector dropped datagrams")
    time.sleep(0.1)


# --- weir --------------------------------------------------------------------------------------------------------------

class Replay:
    """What one replay gave: `json` records, `stats`, and per UDP URL the datagrams."""

    def __init__(self, records, stats, datagrams):
        self.json, self.stats, self.datagrams = records, stats, datagrams


def weir(bench, args, expect=0):
    return bench.run([bench.weir] + args, expect=expect)


def weir_file(bench, pcap, scheme, suffix="", args=(), query=""):
    """Replays into one file output; returns its path."""
    path = os.path.join(bench.new_dir(), "out" + suffix)
    weir(bench, ["-r", bench.pcap(pcap), "-o", "%s:%s%s" % (scheme, path, query), *args])
    return path


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line]


def replay(bench, pcap, urls=(), args=()):
    """Replays a capture to JSON and, in the same run, to UDP outputs given as "netflow9" or "ipfix?mtu=512"."""
    sinks = {url: Sink() for url in urls}
    try:
        outputs = ["json:-"]
        for url, sink in sinks.items():
            scheme, _, query = url.partition("?")
            outputs.append("%s://%s:%d%s" % (scheme, LOOPBACK, sink.port, "?" + query if query else ""))
        argv = ["-r", bench.pcap(pcap), "--stats", "json", *args]
        for output in outputs:
            argv += ["-o", output]
        out, err = weir(bench, argv)
    finally:
        datagrams = {url: sink.close() for url, sink in sinks.items()}
    return Replay(json_lines(out), last_json(err), datagrams)


def last_json(text):
    """The last line of text that is a JSON object (log lines may come before it)."""
    start = text.rfind("\n{")
    start = 0 if start < 0 else start + 1
    try:
        return json.JSONDecoder().raw_decode(text[start:].lstrip())[0]
    except ValueError:
        raise Failed("no JSON object on standard error:\n" + text[-1000:]) from None


# --- nfcapd and nfdump -------------------------------------------------------------------------------------------------

class Nfcapd:
    """What nfcapd and nfdump understood: `flows` (nfdump's JSON), `failures` in sequence, `log`."""

    def __init__(self, flows, failures, log):
        self.flows, self.failures, self.log = flows, failures, log


@contextlib.contextmanager
def nfcapd(bench, ip=LOOPBACK):
    """Yields (port, result); result(FILTER) ends nfcapd and says what it understood, of flows that nfdump's filter lets pass."""
    folder, port = bench.new_dir(), free_port()
    log = os.path.join(bench.new_dir(), "log")
    argv = ["nfcapd", "-w", folder, "-p", str(port), "-b", ip, "-t", "3600", "-C", "none", "-B", "4000000", "-v", "-v"]
    with open(log, "w") as file, bench.child(argv, stdout=file, stderr=file, env=utc()) as process:
        wait_for("nfcapd", lambda: udp_queue(port))

        def result(*only):
            process.send_signal(signal.SIGTERM)
            if process.wait(RUN_SECONDS):
                raise Failed("nfcapd: exit %d\n%s" % (process.returncode, open(log).read()))
            return nfdump(bench, folder, open(log).read(), only)
        yield port, result


def nfdump(bench, folder, log, only=()):
    [path] = glob.glob(folder + "/nfcapd.*")
    text, _ = bench.run(["nfdump", "-C", "none", "-r", path, "-o", "json", *only], env=utc())
    text = text.replace("No matching flows", "")
    start, end = text.find("["), text.rfind("]")
    flows = json.loads(text[start:end + 1]) if 0 <= start < end else []
    info, _ = bench.run(["nfdump", "-C", "none", "-I", "-r", path], env=utc())
    failures = [int(line.split(":")[1]) for line in info.splitlines() if line.startswith("Sequence failures")]
    return Nfcapd(flows, failures[0], log)


def nfcapd_reads(bench, datagrams, *only):
    with nfcapd(bench) as (port, result):
        send(datagrams, port)
        return result(*only)


# --- nfacctd -----------------------------------------------------------------------------------------------------------

NFACCTD_CONF = """daemonize: false
nfacctd_ip: {ip}
nfacctd_port: {port}
nfacctd_renormalize: {renormalize}
nfacctd_disable_checks: false
pidfile: {folder}/pid
timestamps_utc: true
plugins: print[p]
aggregate[p]: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, timestamp_start, timestamp_end
print_output[p]: json
print_output_file[p]: {folder}/out.json
print_output_file_append[p]: true
print_refresh_time[p]: 3600
print_cache_entries[p]: 4099
plugin_pipe_size[p]: 4096000
plugin_buffer_size[p]: 4096
"""


class Nfacctd:
    """What nfacctd understood: `flows`, one a distinct key with summed counters, and its `log`."""

    def __init__(self, flows, log):
        self.flows, self.log = flows, log


def nfacctd_reads(bench, datagrams, renormalize=False):
    folder, port = bench.new_dir(), free_port()
    with open(folder + "/conf", "w") as file:
        file.write(NFACCTD_CONF.format(ip=LOOPBACK, port=port, folder=folder, renormalize=str(renormalize).lower()))
    with open(folder + "/log", "w") as file, bench.child(["nfacctd", "-f", folder + "/conf"], stdout=file, stderr=file,
                                                         start_new_session=True) as process:
        try:
            wait_for("nfacctd", lambda: "setting object handlers" in open(folder + "/log").read())
            send(datagrams, port)
            process.send_signal(signal.SIGINT)
            wait_for("nfacctd to write", lambda: "Purging cache - END" in open(folder + "/log").read())
        finally:
            with contextlib.suppress(ProcessLookupError):  # its plugin is a child in a session of our making
                os.killpg(process.pid, signal.SIGKILL)
    flows = []
    if os.path.exists(folder + "/out.json"):
        with open(folder + "/out.json") as file:
            flows = json_lines(file.read())
    return Nfacctd(flows, open(folder + "/log").read())


# --- tshark ------------------------------------------------------------------------------------------------------------

def write_pcap(path, streams):
    """Writes datagrams as UDP in IPv4 (link type raw): streams is a list of (destination port, datagrams)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101))
        for number, (port, datagrams) in enumerate(streams):
            for second, data in enumerate(datagrams):
                udp = struct.pack("!HHHH", 50000 + number, port, 8 + len(data), 0) + data
                address = socket.inet_aton(LOOPBACK)
                ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), second & 0xFFFF, 0, 64, 17, 0, address, address)
                file.write(struct.pack("<IIII", 1700000000 + second, 0, len(ip) + len(udp), len(ip) + len(udp)) + ip + udp)


TSHARK_FIELDS = ["frame.number", "cflow.version", "_ws.expert.severity", "_ws.expert.message", "_ws.malformed",
                 "cflow.sequence_analysis.expected_sn", "cflow.unknown_field_type"]


def tshark(bench, argv):
    """Rows of tshark's view of every frame, as dicts by field name."""
    fields = [part for field in TSHARK_FIELDS for part in ("-e", field)]
    out, _ = bench.run(["tshark", "-n", "-T", "fields", "-E", "separator=|", *fields, *argv], env=utc())
    return [dict(zip(TSHARK_FIELDS, line.split("|"))) for line in out.splitlines()]


def tshark_datagrams(bench, streams):
    path = os.path.join(bench.new_dir(), "export.pcap")
    write_pcap(path, streams)
    ports = [part for port, _ in streams for part in ("-d", "udp.port==%d,cflow" % port)]
    return tshark(bench, ["-r", path, *ports])


# --- libfixbuf ---------------------------------------------------------------------------------------------------------

_fixread_lock = threading.Lock()


def fixread(bench, argument):
    """Builds the libfixbuf reader once and returns what it printed."""
    program = os.path.join(bench.dir, "fixread")
    with _fixread_lock:
        if not os.path.exists(program):
            flags, _ = bench.run(["pkg-config", "--cflags", "--libs", "libfixbuf"])
            bench.run(["cc", "-O1", "-Wall", "-o", program, os.path.join(HERE, "fixread.c"), *flags.split()])
    return bench.run([program, argument])[0]

#!/usr/bin/env python3
"""weir as a process: signals, pipes, and what a live flood leaves behind.

Each case runs the program as a user would and bounds its time. Live cases need root and make their
own network namespace; without root they are skipped, which is said. Closing line: N passed, N failed.
"""
import contextlib
import ipaddress
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(TOP, "weir"))
DEMO = os.path.join(TOP, "pcaps", "demo.pcap")
CASES = []


def case(function):
    CASES.append(function)
    return function


class Skip(Exception):
    """The case cannot run here; its text says why."""


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def books_of(stderr):
    return json.loads([line for line in stderr.splitlines() if line.startswith("{")][-1])


@contextlib.contextmanager
def started(args, **more):
    process = subprocess.Popen([WEIR] + args, stderr=subprocess.PIPE, text=True, **more)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process, seconds=20):
    _, stderr = process.communicate(timeout=seconds)
    return process.returncode, stderr


def udp_frame(number):
    """Ethernet, IPv4, UDP from a source of its own."""
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28, 0, 0, 64, 17, 0, 0x0a000000 + number, 0xc0a80001)
    return bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", 1000, 2000, 8, 0)


def write_capture(path, packets):
    """`packets` small frames of as many flows as fit in 16 bits, a microsecond apart."""
    frames = [udp_frame(n) for n in range(1 << 12)]
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for n in range(packets):
            frame = frames[n % len(frames)]
            file.write(struct.pack("<IIII", 1700000000 + n // 1000000, n % 1000000, len(frame), len(frame)))
            file.write(frame)


@case
def books_balance_when_several_workers_are_stopped(folder):
    write_capture(folder + "/big.pcap", 400000)
    for wait in (0.01, 0.05, 0.1, 0.2):
        args = ["-r", folder + "/big.pcap"] * 6 + ["-w", "3", "-o", "null:", "--stats", "json"]
        with started(args) as process:
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            code, stderr = ended(process)
        if code == -signal.SIGINT:
            continue  # before the run began: nothing to balance
        check(code == 0, "exit %d: %s" % (code, stderr))
        check(books_of(stderr)["balanced"], "books do not balance: %s" % stderr)


@case
def two_signals_at_once_are_one(folder):
    with started(["-r", "-", "-o", "json:%s/out" % folder], stdin=subprocess.PIPE) as process:
        with open(DEMO, "rb") as file:
            process.stdin.buffer.write(file.read()[:-1000])
        process.stdin.flush()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=10)
        check(code == 0, "exit %d" % code)
        check(os.path.getsize(folder + "/out") > 1000, "what was held was not exported")


@case
def second_signal_leaves_while_an_output_is_slow(_):
    with started(["-r", DEMO, "-o", "netflow9://127.0.0.1:9?rate=1"]) as process:
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        time.sleep(0.8)
        process.send_signal(signal.SIGINT)
        code, _ = ended(process, 5)
        check(code == 130, "exit %d" % code)


@case
def pipe_given_by_its_path_is_read_once(folder):
    fifo = folder + "/fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cp", DEMO, fifo]) as feeder:
        with started(["-r", fifo, "-o", "null:", "--stats", "json"]) as process:
            code, stderr = ended(process)
        feeder.wait(timeout=5)
    check(code == 0, "exit %d: %s" % (code, stderr))
    check(books_of(stderr)["observed"] == 368, "observed %d" % books_of(stderr)["observed"])


@case
def file_size_limit_is_an_error_and_not_the_end(folder):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    with started(["-r", DEMO, "-o", "json:" + folder + "/out", "-o", "null:", "--stats", "json"], preexec_fn=limit) as process:
        code, stderr = ended(process)
    check(code == 1, "exit %d: %s" % (code, stderr))
    check("File too large" in stderr, stderr)
    file, null = books_of(stderr)["outputs"]
    check(file["records_dropped"] > 0 and null["records"] == books_of(stderr)["records"], stderr)


@case
def wrong_input_touches_no_output(folder):
    out = folder + "/keep.json"
    with open(out, "w", encoding="ascii") as file:
        file.write("keep\n")
    for args in (["-r", DEMO, "-r", folder + "/none"], ["-i", "nosuchport"]):
        with started(args + ["-o", "json:" + out]) as process:
            code, _ = ended(process)
        check(code == 1, "exit %d" % code)
        with open(out, encoding="ascii") as file:
            check(file.read() == "keep\n", "the output was touched")


@contextlib.contextmanager
def a_port():
    """A veth pair with its far end in a namespace; gives the near end's name."""
    if os.geteuid() != 0:
        raise Skip("live inputs need root")
    name = "wp%d" % (os.getpid() % 100000)
    steps = ["ip netns add %s" % name, "ip link add %s type veth peer name p0 netns %s" % (name, name),
             "ip link set %s up" % name, "ip -n %s link set p0 up" % name]
    try:
        for step in steps:
            subprocess.run(step.split(), check=True, capture_output=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


SENDER = """
import socket, sys, time
sys.path.insert(0, sys.argv[1])
import run
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("p0", 0))
for n in range(int(sys.argv[2])):
    s.send(run.udp_frame(n))
    if n % 200 == 0:
        time.sleep(0.001)
"""


def live_flood(more, flows, wait):
    with a_port() as port:
        with started(["-i", port, "-f", "udp port 2000", "-o", "null:", "--stats", "json"] + more) as process:
            time.sleep(0.7)
            subprocess.run(["ip", "netns", "exec", port, sys.executable, "-c", SENDER,
                            os.path.dirname(os.path.abspath(__file__)), str(flows)], check=True, timeout=60)
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            code, stderr = ended(process)
    books = books_of(stderr)
    check(code == 0 and books["balanced"], stderr)
    check(books["observed"] + books["dropped"] >= flows, "observed %d" % books["observed"])
    check(books["records_lost"] == 0, "%d records lost" % books["records_lost"])
    check(books["outputs"][0]["records"] == books["records"] >= books["observed"], stderr)


@case
def a_live_stop_exports_all_that_is_held(_):
    live_flood([], 30000, 0.5)


@case
def a_burst_of_expiries_is_not_lost(_):
    live_flood(["--idle-timeout", "3"], 30000, 4.5)


BOOKS = {"url", "records_in", "recovered", "records", "unsampled", "filtered", "messages", "bytes", "records_dropped",
         "dropped_by_reason", "queued", "unconfirmed", "spooled", "spooled_bytes", "lag_seconds", "reconnects", "connected"}
CLOSED_PORT = 1  # nobody listens there, and the kernel gives it to nobody who asks for any port
HELD = ("queued", "unconfirmed", "spooled")


def size_of(folder, ending=""):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(ending))


@case
def every_output_keeps_all_of_its_books(folder):
    """A file, a collector over UDP, and two that are not there, one of them with a spool; judged by what is on disk."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(0.2)
        args = ["-r", DEMO, "--idle-timeout", "0.01", "-o", "json:%s/all" % folder,
                "-o", "ipfix://127.0.0.1:%d" % sink.getsockname()[1],
                "-o", "json+tcp://127.0.0.1:%d?connect-wait=0" % CLOSED_PORT,
                "-o", "json+tcp://127.0.0.1:%d?connect-wait=0&spool=%s/spool" % (CLOSED_PORT, folder)]
        with started(args + ["--stats", "json"]) as process:
            code, stderr = ended(process)
        datagrams = []
        with contextlib.suppress(TimeoutError):
            while True:
                datagrams.append(len(sink.recv(65536)))
    check(code == 1, "exit %d: %s" % (code, stderr))
    file, udp, away, spooling = outputs = books_of(stderr)["outputs"]
    lines = len(json_lines(folder + "/all"))
    for output in outputs:
        check(set(output) == BOOKS, "%s has %s" % (output["url"], sorted(set(output) ^ BOOKS)))
        check(output["records_in"] == output["records"] + output["records_dropped"] + sum(output[h] for h in HELD), output)
    check((file["records"], file["bytes"]) == (lines, size_of(folder, "all")), file)
    check((udp["messages"], udp["bytes"]) == (len(datagrams), sum(datagrams)), udp)
    check(away["dropped_by_reason"] == {"away": lines} and not any(away[h] for h in HELD), away)
    check((spooling["spooled"], spooling["spooled_bytes"]) == (lines, size_of(folder + "/spool", ".seg")), spooling)
    check(spooling["spooled_bytes"] > 0 and spooling["lag_seconds"] > 0, spooling)
    with started(args + ["--stats", "text"]) as process:
        _, stderr = ended(process)
    for text in ("%d in, %d records, 1 messages, %d bytes, 0 dropped" % (lines, lines, file["bytes"]),
                 ", %d in the spool, %d bytes of spool, " % (2 * lines, size_of(folder + "/spool", ".seg")), " s behind"):
        check(text in stderr, "no %r in %s" % (text, stderr))


@case
def books_tell_in_the_log_what_an_output_holds(folder):
    """A collector that is not there, while packets still come: its records wait."""
    with open(DEMO, "rb") as file, \
         started(["-r", "-", "--idle-timeout", "0.01", "-o", "json+tcp://127.0.0.1:%d" % CLOSED_PORT],
                 stdin=subprocess.PIPE) as process:
        process.stdin.buffer.write(file.read())
        process.stdin.flush()
        time.sleep(0.7)
        process.send_signal(signal.SIGUSR1)
        line = ""
        while "books: output=" not in line:
            line = process.stderr.readline()
            check(line != "", "weir ended without a word of its output")
        books = dict(word.split("=", 1) for word in line.split("books: ")[1].split())
    check(int(books["in"]) == int(books["queued"]) > 0 and books["dropped"] == "0" and books["connected"] == "no", line)
    check(float(books["lag_s"]) > 0, line)


# An expression, and the same asked of a JSON record. Elements a record lacks are false to ask for.
FILTERS = [
    ("sourceIPv4Address in 10.0.0.0/8 and packetDeltaCount > 1",
     lambda r: within(r, "sourceIPv4Address", "10.0.0.0/8") and r["packetDeltaCount"] > 1),
    ("sourceIPv6Address in fe80::/10 or destinationIPv6Address in ff00::/8",
     lambda r: within(r, "sourceIPv6Address", "fe80::/10") or within(r, "destinationIPv6Address", "ff00::/8")),
    ("sourceIPv4Address not in 192.168.0.0/16",
     lambda r: "sourceIPv4Address" in r and not within(r, "sourceIPv4Address", "192.168.0.0/16")),
    ("not sourceIPv4Address in 192.168.0.0/16", lambda r: not within(r, "sourceIPv4Address", "192.168.0.0/16")),
    ("destinationTransportPort in {53, 80, 443, 8000-8100}",
     lambda r: r["destinationTransportPort"] in [53, 80, 443] + list(range(8000, 8101))),
    ("protocolIdentifier == tcp and tcpControlBits & syn|fin == syn",
     lambda r: r["protocolIdentifier"] == 6 and r["tcpControlBits"] & 3 == 2),
    ("octetDeltaCount >= 1KiB or reverseOctetDeltaCount >= 1KiB",
     lambda r: r["octetDeltaCount"] >= 1024 or r["reverseOctetDeltaCount"] >= 1024),
    ("reversePacketDeltaCount == 0 and not (protocolIdentifier in {1, 58} or packetDeltaCount < 3)",
     lambda r: r["reversePacketDeltaCount"] == 0 and not (r["protocolIdentifier"] in (1, 58) or
                                                          r["packetDeltaCount"] < 3)),
    ("icmpTypeCodeIPv4 == 0x800 or icmpTypeCodeIPv6 in 128 - 65535",
     lambda r: r.get("icmpTypeCodeIPv4") == 0x800 or r.get("icmpTypeCodeIPv6", 0) >= 128),
    ("vlanId >= 0 or flowEndReason != 4", lambda r: "vlanId" in r or r["flowEndReason"] != 4),
    ("reverseMinimumTTL > 64", lambda r: r.get("reverseMinimumTTL", 0) > 64),
]


def within(record, element, network):
    return element in record and ipaddress.ip_address(record[element]) in ipaddress.ip_network(network)


def captures():
    """Ours, and the small ones of the real captures."""
    real = os.environ.get("WEIR_PCAPS", os.path.join(TOP, "..", "shared", "pcaps"))
    names = [DEMO]
    for name in sorted(os.listdir(real)) if os.path.isdir(real) else []:
        if name.endswith((".pcap", ".pcapng")) and os.path.getsize(os.path.join(real, name)) < 4 << 20:
            names.append(os.path.join(real, name))
    return names


def json_lines(path):
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file]


@case
def filters_agree_with_python_on_captures(folder):
    asked = passed = 0
    for capture in captures():
        outputs = ["-o", "json:%s/all" % folder]
        for n, (text, _) in enumerate(FILTERS):
            outputs += ["-o", "json:%s/%d?filter=%s" % (folder, n, text)]
        with started(["-r", capture, "--stats", "json"] + outputs) as process:
            code, stderr = ended(process)
        if code != 0:
            continue  # a capture that cannot be read
        records = json_lines(folder + "/all")
        for n, (text, wanted) in enumerate(FILTERS):
            right = [r for r in records if wanted(r)]
            check(json_lines("%s/%d" % (folder, n)) == right, "%s: %s" % (capture, text))
            stats = books_of(stderr)["outputs"][n + 1]
            check(stats["records"] == len(right) and stats["filtered"] == len(records) - len(right) and
                  stats["records_in"] == len(records), "%s: %s: %s" % (capture, text, stats))
            asked += len(records)
            passed += len(right)
    check(0 < passed < asked, "%d of %d" % (passed, asked))


@case
def sampled_flows_are_whole_and_the_same_each_time(folder):
    ends = ("sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address")
    outputs = ["-o", "json:%s/all" % folder, "-o", "json:%s/some?sample=4" % folder,
               "-o", "json:%s/ways?sample=4&biflow=no" % folder]
    for capture in captures():
        with started(["-r", capture, "--active-timeout", "1", "--stats", "json"] + outputs) as process:
            code, stderr = ended(process)
        if code != 0:
            continue
        everything, some = json_lines(folder + "/all"), json_lines(folder + "/some")
        taken = {r["flowId"] for r in some}
        check(some == [r for r in everything if r["flowId"] in taken], "%s: a flow in part" % capture)
        check({r["flowId"] for r in json_lines(folder + "/ways")} == taken, "%s: other flows" % capture)
        hosts = lambda r: frozenset(r[e] for e in ends if e in r)
        ports = lambda r: frozenset((r["sourceTransportPort"], r["destinationTransportPort"]))
        key = lambda r: (hosts(r), r["protocolIdentifier"]) + (() if "icmpTypeCodeIPv4" in r else (ports(r),))
        left = {key(r) for r in everything if r["flowId"] not in taken}
        check(not any(key(r) in left and hosts(r) and "icmpTypeCodeIPv6" not in r for r in some),
              "%s: two records of the same ends, one in, one out" % capture)
        stats = books_of(stderr)["outputs"][1]
        check(stats["unsampled"] == len(everything) - len(some), str(stats))


# In a network of its own: what a collector on loopback of a given MTU gets, in arrivals of one or
# more datagrams (UDP_GRO tells where a train of the sender's is to be cut).
COLLECTOR = """
import hashlib, json, socket, struct, subprocess, sys
mtu, command = sys.argv[1], sys.argv[2:]
subprocess.run(["ip", "link", "set", "lo", "up", "mtu", mtu], check=True)
UDP_GRO = 104
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
s.bind(("127.0.0.1", 0))
s.settimeout(0.5)
command = [word.replace("PORT", str(s.getsockname()[1])) for word in command]
weir = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
datagrams, longest = [], 0
while True:
    try:
        data, control, _, _ = s.recvmsg(65536, 64)
    except TimeoutError:
        if weir.poll() is not None:
            break
        continue
    size = next((struct.unpack("i", c[2][:4])[0] for c in control if c[1] == UDP_GRO), len(data))
    arrived = [data[i:i + size] for i in range(0, len(data), size)]
    longest = max(longest, len(arrived))
    datagrams += arrived
books = json.loads(weir.stderr.read().splitlines()[-1])
print(json.dumps({"count": len(datagrams), "bytes": sum(map(len, datagrams)), "longest": longest,
    "digest": hashlib.md5(b"".join(struct.pack("I", len(d)) + d for d in datagrams)).hexdigest(),
    "sent": books["outputs"][0]}))
"""


def collected(mtu, *args):
    command = ["unshare", "-n", sys.executable, "-c", COLLECTOR, str(mtu), WEIR, *args, "--stats", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, done.stderr)
    got = json.loads(done.stdout)
    check((got["count"], got["bytes"]) == (got["sent"]["messages"], got["sent"]["bytes"]), done.stdout)
    return got


def same_with_and_without_trains(folder, url):
    if os.geteuid() != 0:
        raise Skip("a network of its own needs root")
    write_capture(folder + "/flows.pcap", 1 << 12)
    args = ["-r", folder + "/flows.pcap", "-o", url]
    trains = collected(65536, *args)
    single = collected(1280, *args)  # narrower than the messages: the kernel refuses to cut
    check(trains["longest"] > 1, "the kernel was not given trains: %s" % trains)
    check(single["longest"] == 1, "a train where none can pass: %s" % single)
    check(trains["digest"] == single["digest"], "datagrams differ: %s, %s" % (trains, single))


@case
def datagrams_in_trains_are_the_same_ipfix(folder):
    same_with_and_without_trains(folder, "ipfix://127.0.0.1:PORT?rate=0")


@case
def datagrams_in_trains_are_the_same_at_a_pace(folder):
    same_with_and_without_trains(folder, "netflow9://127.0.0.1:PORT?rate=20000")


def main():
    passed = failed = skipped = 0
    for function in CASES:
        if len(sys.argv) > 1 and function.__name__ not in sys.argv[1:]:
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                function(folder)
            passed += 1
        except Skip as why:
            print("SKIPPED %s: %s" % (function.__name__, why))
            skipped += 1
        except (AssertionError, subprocess.SubprocessError, OSError, IndexError) as why:
            print("FAILED %s: %s" % (function.__name__, why))
            failed += 1
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

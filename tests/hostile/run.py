#!/usr/bin/env python3
"""Broken captures through every output, under sanitizers.

For each capture and each set of options: no sanitizer report, exit status 0 or 1, books that
balance, and as many packets observed as the index of the captures says (where it can be read whole).
"""
import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PCAPS = os.environ.get("WEIR_PCAPS") or os.path.join(TOP, "..", "shared", "pcaps")
OPTIONS = [
    [],
    ["--decapsulate", "all", "-w", "2"],
    ["-s", "3", "--tos-mask", "0", "--key", "vlan,mac"],
    ["-s", "flow:2", "--rate-cap", "100", "--idle-timeout", "0.001", "--active-timeout", "0.001",
     "--tcp-linger", "0"],
    ["-s", "random:2", "--flows", "64", "--key=-ports,-interface", "--seed", "7"],
]


def outputs(folder, port):
    """Every output there is."""
    files = ["json:%s/a.json", "json:%s/b.json?names=ecs", "csv:%s/a.csv", "cbor:%s/a.cbor",
             "table:%s/a.txt", "ipfix-file:%s/a.ipfix", "ipfix-file:%s/b.ipfix?biflow=no",
             "json:%s/%%Y/%%m%%d%%H.json?rotate=60"]
    urls = [f % folder for f in files]
    urls += ["%s://127.0.0.1:%d?%s" % (s, port, o) for s, o in
             [("netflow5", "rate=0"), ("netflow9", "mtu=512"), ("ipfix", "template-refresh=1"),
              ("ipfix", "biflow=yes&mtu=9000")]]
    return urls + ["null:"]


def run(weir, path, options, port):
    """One replay; a list of complaints."""
    env = dict(os.environ, ASAN_OPTIONS="exitcode=99:detect_leaks=1", UBSAN_OPTIONS="exitcode=99")
    with tempfile.TemporaryDirectory() as folder:
        cmd = [weir, "-r", path, "--stats", "json"] + options
        for url in outputs(folder, port):
            cmd += ["-o", url]
        done = subprocess.run(cmd, env=env, capture_output=True, timeout=300, check=False)
        left = [f for _, _, files in os.walk(folder) for f in files if f.endswith(".part")]
    text = done.stderr.decode("utf-8", "replace")
    bad = []
    if done.returncode not in (0, 1) or "Sanitizer" in text or "runtime error" in text:
        return ["exit %d\n%s" % (done.returncode, text[-4000:])]
    if left:
        bad.append("left behind: %s" % left)
    books = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if not books:
        # a file that is no capture ends before there are books: one line says so
        if done.returncode != 1 or len(text.strip().splitlines()) != 1:
            bad.append("no books: exit %d, %r" % (done.returncode, text))
        return bad
    if not books[0]["balanced"]:
        bad.append("books do not balance: %s" % books[0])
    return bad


def main():
    weir = sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "weir")
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))  # never read: what does not fit is the kernel's to drop
    port = sink.getsockname()[1]
    hostile = os.path.join(PCAPS, "hostile")
    own = os.path.join(TOP, "pcaps")
    folders = [d for d in (hostile, PCAPS, own) if os.path.isdir(d)]
    if PCAPS not in folders:
        print("hostile: SKIPPED, no real captures at WEIR_PCAPS (%s); only those of pcaps/ are tried" % PCAPS)
    files = [os.path.join(d, f) for d in folders for f in sorted(os.listdir(d))
             if ".pcap" in f or f.endswith(".snoop")]
    # the sound ones once and with every wrapper looked through; the broken ones with all options
    jobs = [(f, o) for f in files for i, o in enumerate(OPTIONS)
            if f.startswith(hostile) or i == 0 or (i == 1 and os.path.getsize(f) < 200000)]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda j: run(weir, j[0], j[1], port), jobs)
        for (path, options), bad in zip(jobs, results):
            for b in bad:
                print("FAILED %s %s: %s" % (os.path.basename(path), " ".join(options), b))
            failed += bool(bad)
    print("hostile: %d passed, %d failed" % (len(jobs) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

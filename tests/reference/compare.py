#!/usr/bin/env python3
"""Compares weir's records and books with the reference meter's, capture by capture.

    compare.py --weir ./weir [--pcaps DIR] [--hostile] [CAPTURE...]

Each capture is one job; two run at a time. Prints every difference, then "N passed, N failed".
Without the folder of real captures the small ones of this tree are compared, and it is said so.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict, namedtuple

sys.dont_write_bytecode = True  # nothing is left behind in the tree

import meter
import tshark_packets

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_PCAPS = os.path.join(HERE, "..", "..", "..", "shared", "pcaps")
OWN_PCAPS = os.path.join(HERE, "..", "..", "pcaps")
ACCEPTED_FILE = os.path.join(HERE, "accepted-differences.txt")
MAX_ACCEPTED = 5
WEIR_TIMEOUT_S = 120
SHOWN = 8

BOOKS = "observed unsampled non_ip malformed metered flows_created records".split()
KEY_FIELDS = """sourceAddress destinationAddress protocolIdentifier sourceTransportPort
    destinationTransportPort""".split()
SIDE_FIELDS = """packetDeltaCount octetDeltaCount ipClassOfService tcpControlBits minimumTTL
    maximumTTL""".split()
FIELDS = KEY_FIELDS + [
    "flowStartNanoseconds", "flowEndNanoseconds",
    "reverseFlowStartNanoseconds", "reverseFlowEndNanoseconds",
    *SIDE_FIELDS, *("reverse" + name[0].upper() + name[1:] for name in SIDE_FIELDS),
    "icmpTypeCode", "vlanId", "flowEndReason", "ingressInterface", "biflowDirection",
]
# Compared only where both sides give them: no contract says that JSON always carries them.
OPTIONAL_FIELDS = ["dot1qCustomerVlanId", "sourceMacAddress", "destinationMacAddress",
                   "reverseIngressInterface"]
FAMILY_FIELDS = {"sourceIPv4Address": "sourceAddress", "sourceIPv6Address": "sourceAddress",
                 "destinationIPv4Address": "destinationAddress",
                 "destinationIPv6Address": "destinationAddress",
                 "icmpTypeCodeIPv4": "icmpTypeCode", "icmpTypeCodeIPv6": "icmpTypeCode"}

# A run is one set of options; inputs lets a run replay its capture with others.
Run = namedtuple("Run", "label wrappers weir_options meter_options inputs",
                 defaults=((), (), {}, ()))
Job = namedtuple("Job", "path name runs")

SECOND = meter.SECOND
VARIATIONS = [
    Run("idle 1, active 5", (), ("--idle-timeout", "1", "--active-timeout", "5"),
        {"idle": SECOND, "active": 5 * SECOND}),
    Run("active 0.25", (), ("--active-timeout", "0.25"), {"active": SECOND // 4}),
    Run("idle 10, active 10", (), ("--idle-timeout", "10", "--active-timeout", "10"),
        {"idle": 10 * SECOND, "active": 10 * SECOND}),
    Run("tos-mask 0xff", (), ("--tos-mask", "0xff"), {"tos_mask": 0xFF}),
    Run("tos-mask 0", (), ("--tos-mask", "0"), {"tos_mask": 0}),
    Run("linger 0.5", (), ("--tcp-linger", "0.5"), {"linger": SECOND // 2}),
    Run("linger 0", (), ("--tcp-linger", "0"), {"linger": 0}),
]
VARIED = """joy-firefox58.pcap ndpi-1kxun.pcap ndpi-bitcoin.pcap ndpi-whatsapp.pcap
    ndpi-reddit.pcap pcpp-example.pcap pcpp-many-protocols.pcap pcpp-4KHttpRequests.pcap
    ipfixprobe-mixed.pcap sanders-synscan.pcapng sanders-ipv6_fragments.pcapng
    zeek-ssh.client-side-half-duplex.pcap zeek-Teredo.pcap arkime-pim.pcap tcpdump-HDLC.pcap
    tcpdump-mpls-traceroute.pcap rustiflow-nmap_tcp_syn_version.pcap""".split()
DECAPSULATED = {
    "arkime-gre-sample.pcap": ["gre", "ipip"],
    "arkime-gtp-u.pcap": ["gtpu"],
    "arkime-ipv6-in-ipv4.pcap": ["ipip", "gre"],
    "tcpdump-erspan-type-ii-3.pcap": ["erspan", "gre"],
    "tcpdump-erspan-type-iii-ft-0.pcap": ["erspan", "gre"],
    "tcpdump-geneve.pcap": ["geneve", "vxlan"],
    "tcpdump-various_gre.pcap": ["gre"],
    "tcpdump-pptp.pcap": ["gre"],
    "tcpdump-vxlan.pcap": ["vxlan", "vxlan,gre"],
    "zeek-4in4.pcap": ["ipip", "gre"],
    "zeek-Teredo.pcap": ["teredo"],
    "zeek-gtp9_unknown_or_too_short_payload.pcap": ["gtpu"],
}
ALL_WRAPPERS = ",".join(tshark_packets.WRAPPERS)
# Replayed after the named capture in the same run, some of them earlier in time.
FOLLOWED_BY = {
    "arkime-twovlan.pcap": ["arkime-v6-http.pcap"],
    "sanders-tcp_teardown.pcapng": ["sanders-tcp_dupack.pcapng", "sanders-tcp_teardown.pcapng"],
    "arkime-gre-sample.pcap": ["arkime-gre-sample.pcap"],
    "pcpp-ip4_fragments.pcap": ["pcpp-ip4_fragments.pcap"],
}


# Small captures of this tree that tests/golden judges alone, and why.
GOLDEN_ONLY = {
    "bad-version.pcap": "tshark names no IP layer",
    "cut-extension.pcap": "tshark gives no extension header that is cut",
    "link-vlan-9-tags.pcap": "tshark believes any number of tags",
    "no-capture.pcap": "weir refuses it",
    "no-capture-empty.pcap": "weir refuses it",
    "no-capture-short.pcap": "weir refuses it",
    "pcap-absurd-length.pcap": "weir ends with status 1",
    "pcap-absurd-length-2.pcap": "weir ends with status 1",
}


# --- what is run ----------------------------------------------------------------------------

def make_job(path):
    name = os.path.basename(path)
    runs = [Run("defaults")]
    if name in VARIED:
        runs += VARIATIONS
    if name in DECAPSULATED:
        for wrappers in DECAPSULATED[name] + [ALL_WRAPPERS]:
            runs.append(Run(f"decapsulate {wrappers}", tuple(wrappers.split(",")),
                            ("--decapsulate", wrappers)))
    if name in FOLLOWED_BY:
        others = tuple(os.path.join(os.path.dirname(path), other) for other in FOLLOWED_BY[name])
        runs.append(Run("with " + ", ".join(FOLLOWED_BY[name]), inputs=others))
    return Job(path, name, runs)


def do_job(job, weir):
    """Every run of one capture: a list of (label, differences)."""
    packets = {}

    def load(path, wrappers):
        if (path, wrappers) not in packets:
            packets[path, wrappers] = list(tshark_packets.packets(path, wrappers))
        return packets[path, wrappers]

    results = []
    for run in job.runs:
        inputs = (job.path, *run.inputs)
        reference = meter.Meter(meter.Options(**run.meter_options))
        for path in inputs:
            for packet in load(path, run.wrappers):
                reference.observe(packet)
        reference.finish()
        try:
            records, books = run_weir(weir, inputs, run.weir_options)
            differences = compare(reference, records, books)
        except WeirFailed as failure:
            differences = [("run", str(failure))]
        results.append((run.label, differences))
    return results


class WeirFailed(Exception):
    pass


def run_weir(weir, inputs, options):
    command = [weir]
    for path in inputs:
        command += ["-r", path]
    command += ["-o", "json:-", "--stats", "json", *options]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=WEIR_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise WeirFailed(f"no end after {WEIR_TIMEOUT_S} s") from late
    except OSError as error:
        raise WeirFailed(f"cannot run {weir}: {error.strerror}") from error
    if done.returncode:
        raise WeirFailed(f"exit status {done.returncode}: {done.stderr.strip()[-300:]}")
    try:
        records = [json.loads(line) for line in done.stdout.splitlines()]
        books = last_object(done.stderr)
    except ValueError as error:
        raise WeirFailed(f"output is not JSON: {error}") from error
    return records, books


def last_object(text):
    """The statistics object on stderr; log lines may stand before it."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, _ = decoder.raw_decode(text[at:])
            if "observed" in value:
                return value
        except ValueError:
            pass
        at = text.find("{", at + 1)
    raise ValueError("no statistics object on stderr")


# --- how it is compared ---------------------------------------------------------------------

def normal(record):
    """A record with family-free names; absent, null and 0 are one."""
    values = {FAMILY_FIELDS.get(name, name): value for name, value in record.items()}
    return tuple(values.get(name) or 0 for name in FIELDS)


def compare(reference, records, books):
    """Differences as (field or book, text)."""
    differences = []
    for name in BOOKS:
        if books.get(name) != reference.books[name]:
            differences.append((name, f"book {name}: reference {reference.books[name]},"
                                      f" weir {books.get(name)}"))
    differences += compare_records(reference.records, records)
    if not differences:
        differences += compare_flow_ids(reference.records, records)
        differences += compare_optional(reference.records, records)
    return differences


def compare_records(expected, got):
    wanted, seen = Counter(map(normal, expected)), Counter(map(normal, got))
    missing = list((wanted - seen).elements())
    extra = list((seen - wanted).elements())
    differences = []
    for left, right in pair_up(missing, extra):
        if right is None:
            differences.append(("record", f"missing: {describe(left)}"))
        elif left is None:
            differences.append(("record", f"not expected: {describe(right)}"))
        else:
            for name, a, b in zip(FIELDS, left, right):
                if a != b:
                    differences.append((name, f"{heading(left)}: {name}: reference {a}, weir {b}"))
    return differences


def pair_up(missing, extra):
    """Pairs records that are nearly the same, nearest first; None where there is no partner."""
    pairs, by_key = [], defaultdict(list)
    for record in extra:
        by_key[frozenset(ends(record))].append(record)
    for record in missing:
        partners = by_key[frozenset(ends(record))]
        if not partners:
            pairs.append((record, None))
            continue
        best = max(partners, key=lambda other: sum(a == b for a, b in zip(record, other)))
        partners.remove(best)
        pairs.append((record, best))
    return pairs + [(None, record) for rest in by_key.values() for record in rest]


def ends(record):
    values = dict(zip(FIELDS, record))
    return (values["sourceAddress"], values["destinationAddress"]), values["protocolIdentifier"]


def ends_text(record):
    values = dict(zip(FIELDS, record))
    return (f"{values['sourceAddress']} {values['sourceTransportPort']} >"
            f" {values['destinationAddress']} {values['destinationTransportPort']}"
            f" protocol {values['protocolIdentifier']}")


def heading(record):
    return f"{ends_text(record)} from {dict(zip(FIELDS, record))['flowStartNanoseconds']}"


def describe(record):
    rest = [f"{name}={value}" for name, value in zip(FIELDS, record)
            if value and name not in KEY_FIELDS]
    return f"{ends_text(record)} {' '.join(rest)}"


def compare_flow_ids(expected, got):
    """The same records must share a flow id; the ids themselves are free."""
    if by_flow(expected) == by_flow(got):
        return []
    return [("flowId", "records are not grouped into flows by flowId as in the reference")]


def by_flow(records):
    flows = defaultdict(list)
    for record in records:
        flows[record.get("flowId")].append(normal(record))
    return Counter(tuple(sorted(map(repr, flow))) for flow in flows.values())


def compare_optional(expected, got):
    """Elements weir may leave out. Records equal in all else are compared as a group."""
    differences = []
    for name in OPTIONAL_FIELDS:
        left, right = Counter(), Counter()
        present = {normal(record) for record in got if name in record}
        present &= {normal(record) for record in expected if name in record}
        for side, records in ((left, expected), (right, got)):
            side.update((normal(record), record.get(name) or 0) for record in records
                        if normal(record) in present)
        for (record, value), _ in (left - right).items():
            theirs = [other for (same, other) in (right - left) if same == record]
            differences.append((name, f"{heading(record)}: {name}: reference {value}, weir {theirs}"))
    return differences


# --- accepted differences, report -----------------------------------------------------------

def read_accepted(path):
    entries = set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                capture, field, _reason = line.rstrip("\n").split("\t", 2)
                entries.add((capture, field))
    if len(entries) > MAX_ACCEPTED:
        sys.exit(f"compare.py: {path}: {len(entries)} entries, at most {MAX_ACCEPTED} are allowed")
    return entries


def report(job, results, accepted, show_all):
    """Prints one capture's differences; returns (passed, failed) runs."""
    failed = 0
    for label, differences in results:
        left = [text for field, text in differences if (job.name, field) not in accepted]
        if not left:
            continue
        failed += 1
        print(f"FAIL {job.name} [{label}]: {len(left)} differences")
        for text in left if show_all else left[:SHOWN]:
            print(f"    {text}")
        if len(left) > SHOWN and not show_all:
            print(f"    … {len(left) - SHOWN} more (--all shows them)")
    return len(results) - failed, failed


def find_captures(folder):
    endings = (".pcap", ".pcapng")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if name.endswith(endings))


def chosen_captures(folder, hostile):
    if not os.path.isdir(folder):
        print(f"reference: SKIPPED, no real captures at WEIR_PCAPS ({folder});"
              " only the small ones of pcaps/ are compared")
        return [path for path in find_captures(OWN_PCAPS)
                if os.path.basename(path) not in GOLDEN_ONLY]
    return find_captures(folder) + (find_captures(os.path.join(folder, "hostile")) if hostile else [])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weir", required=True, metavar="PATH")
    parser.add_argument("--pcaps", default=os.environ.get("WEIR_PCAPS") or DEFAULT_PCAPS, metavar="DIR")
    parser.add_argument("--hostile", action="store_true", help="the hostile captures too")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--all", action="store_true", help="print every difference")
    parser.add_argument("captures", nargs="*", metavar="CAPTURE", help="only these")
    return parser.parse_args()


def main():
    args = arguments()
    if not shutil.which("tshark"):
        sys.exit("compare.py: tshark is not there; install it (Debian: tshark)")
    accepted = read_accepted(ACCEPTED_FILE)
    captures = args.captures or chosen_captures(args.pcaps, args.hostile)
    jobs = sorted(map(make_job, captures), key=lambda job: -os.path.getsize(job.path))
    passed = failed = 0
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(do_job, job, os.path.abspath(args.weir)): job for job in jobs}
        for done in concurrent.futures.as_completed(waiting):
            good, bad = report(waiting[done], done.result(), accepted, args.all)
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

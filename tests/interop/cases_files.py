"""Repeatability, worker counts, files: rotation and atomic names, CSV and CBOR against JSON, several outputs at once."""
import collections
import csv
import glob
import os
import re
import subprocess
import time

import cbor
import makepcap
import records
import tools
from cases_collectors import replay
from cases_wire import MIXED, V4_SHORT, captures, no_problems, read_json
from suite import case, each
import flowproto

LONG = "ndpi-whatsapp.pcap"  # 24 hours
FILE_FORMATS = ("json", "csv", "cbor", "table", "ipfix-file")


# --- the same bytes again ----------------------------------------------------------------------------------------------

def everything(bench, pcap, args):
    """All file formats and all UDP formats of one run, as {name: bytes or datagrams}."""
    folder = bench.new_dir()
    argv = ["--seed", "7", *args]
    for scheme in FILE_FORMATS:
        argv += ["-o", "%s:%s" % (scheme, os.path.join(folder, scheme))]
    got = tools.replay(bench, pcap, ("netflow5", "netflow9", "ipfix", "ipfix?biflow=yes"), argv)
    out = dict(got.datagrams)
    for scheme in FILE_FORMATS:
        with open(os.path.join(folder, scheme), "rb") as file:
            out[scheme] = file.read()
    return out


@each(*[(pcap, args) for pcap in ("ndpi-1kxun.pcap", MIXED, LONG) for args in ((), ("-s", "random:3"), ("-s", "flow:2"))])
def the_same_run_writes_the_same_bytes(bench, pcap, args):
    first, second = everything(bench, pcap, args), everything(bench, pcap, args)
    for name, data in first.items():
        records.check(data == second[name], "%s differs between two runs: %s", name, first_difference(data, second[name]))


def first_difference(one, two):
    if isinstance(one, list):
        one, two = b"".join(one), b"".join(two)
    at = next((i for i, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two)))
    near = slice(max(0, at - 20), at + 20)
    return "lengths %d and %d, first at %d: %r and %r" % (len(one), len(two), at, one[near], two[near])


@each(*FILE_FORMATS)
def a_large_file_is_the_same_every_time(bench, scheme):
    found = set()
    for _ in range(8):
        with open(tools.weir_file(bench, "markofu-ftp-crack.pcap", scheme, query="?biflow=no"), "rb") as file:
            found.add(file.read())
    records.same_value(1, len(found), "different files in 8 runs")


@each("random:3", "flow:2")
def another_seed_samples_other_packets(bench, sample):
    one, two = (records.cores(records.one_way(replay(bench, "pcpp-example.pcap", ("-s", sample, "--seed", seed)).json))
                for seed in "12")
    records.check(one != two, "two seeds gave the same records")


@each(*captures())
def one_worker_and_four_give_the_same_records(bench, pcap):
    lines = {}
    for workers in "14":
        out, _ = tools.weir(bench, ["-r", bench.pcap(pcap), "-w", workers, "--seed", "7", "-o", "json:-"])
        lines[workers] = collections.Counter(out.splitlines())
    records.same(lines["1"], lines["4"], "JSON lines of -w 1 and -w 4")


@each(*[(sample, workers) for sample in ("systematic:3", "random:3", "flow:3") for workers in "24"])
def sampling_does_not_depend_on_workers(bench, sample, workers):
    args = ["-r", bench.pcap("ndpi-1kxun.pcap"), "-s", sample, "--seed", "7", "-o", "json:-"]
    one, many = (tools.weir(bench, args + ["-w", count])[0] for count in ("1", workers))
    records.same(collections.Counter(one.splitlines()), collections.Counter(many.splitlines()))


# --- formats against JSON ----------------------------------------------------------------------------------------------

@each("pcpp-example.pcap", MIXED, "arkime-v6-http.pcap", "arkime-empty.pcap", "ndpi-1kxun.pcap")
def csv_equals_json(bench, pcap):
    folder = bench.new_dir()
    got = tools.replay(bench, pcap, args=("-o", "csv:" + folder + "/out.csv"))
    with open(folder + "/out.csv", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        header = reader.fieldnames
    records.check(header and len(set(header)) == len(header), "header %s", header)
    records.same_value(len(got.json), len(rows), "rows")
    for record, row in zip(got.json, rows):
        records.same({name: str(value) for name, value in record.items() if name in header},
                     {name: value for name, value in row.items() if name in record}, "fields")
        extra = [name for name, value in row.items() if name not in record and value != ""]
        records.check(not extra, "CSV has %s, JSON has not", extra)
        for name in ("packetDeltaCount", "reverseOctetDeltaCount", "flowStartNanoseconds", "sourceTransportPort"):
            records.check(name in header, "no column %s", name)


@each("pcpp-example.pcap", MIXED, "arkime-v6-http.pcap", "arkime-empty.pcap", "ndpi-1kxun.pcap")
def cbor_equals_json(bench, pcap):
    folder = bench.new_dir()
    got = tools.replay(bench, pcap, args=("-o", "cbor:" + folder + "/out.cbor"))
    with open(folder + "/out.cbor", "rb") as file:
        items = cbor.sequence(file.read())
    records.same_value(len(got.json), len(items), "items")
    for record, item in zip(got.json, items):
        records.same(records.normal(record), {cbor_name(k): cbor_value(cbor_name(k), v) for k, v in item.items()}, "record")


def cbor_name(key):
    """A map key is the element's name, or its number (the sign tells a reverse element)."""
    if isinstance(key, str):
        return key
    name = flowproto.elements.BY_NUMBER[abs(key)].name
    return records.reverse_of(name) if key < 0 else name


def cbor_value(name, value):
    """A CBOR value as records.normal() has it: addresses and MACs may be bytes, times text, tagged or integers."""
    if isinstance(value, cbor.Tagged):
        value = value.value
    if isinstance(value, dict):  # tag 1001: {1: seconds, -9: nanoseconds}
        return value[1] * records.SECOND + value.get(-9, 0)
    if isinstance(value, bytes) and len(value) in (4, 16) and "IPv" in name:
        return flowproto._ip(value)
    if isinstance(value, bytes) and "MacAddress" in name:
        return value.hex(":")
    return records.normal({name: value})[name]


@case
def table_shows_every_record_aligned(bench):
    path = tools.weir_file(bench, V4_SHORT, "table", ".txt")
    with open(path) as file:
        lines = file.read().splitlines()
    count = len(replay(bench, V4_SHORT).json)
    records.check(len(lines) > count, "%d lines for %d records", len(lines), count)
    for record in replay(bench, V4_SHORT).json:
        records.check(any(record["sourceIPv4Address"] in line for line in lines), "%s not shown", record["sourceIPv4Address"])


@case
def ecs_names_are_not_iana_names(bench):
    text, _ = tools.weir(bench, ["-r", bench.pcap(V4_SHORT), "-o", "json:-?names=ecs"])
    for record in tools.json_lines(text):
        records.check("sourceIPv4Address" not in record, "IANA names with names=ecs: %s", record)
        records.check(any(key == "source" or key.startswith("source.") for key in record), "no source in %s", record)


# --- rotation and names ------------------------------------------------------------------------------------------------

def tree(folder):
    """All files below a folder, by relative name in name order."""
    paths = [p for p in glob.glob(folder + "/**", recursive=True) if os.path.isfile(p)]
    return sorted(os.path.relpath(p, folder) for p in paths)


def content(folder, name):
    with open(os.path.join(folder, name), newline="") as file:
        return file.read()


@each(300, 3600)
def rotated_files_follow_the_packet_clock(bench, seconds):
    folder = bench.new_dir()
    url = "json:%s/%%Y/%%m/%%d/%%H%%M.json?rotate=%d" % (folder, seconds)
    out, _ = tools.weir(bench, ["-r", makepcap.a_day(bench), "-o", url, "-o", "json:-"])
    names = tree(folder)
    records.check(86400 // seconds <= len(names) <= 86400 // seconds + 2, "%d files", len(names))
    for name in names:
        match = re.fullmatch(r"\d{4}/\d\d/\d\d/(\d\d)(\d\d)\.json", name)
        records.check(match, "a file called %s", name)
        records.check((int(match[1]) * 60 + int(match[2])) * 60 % seconds == 0, "%s: not a multiple of %d s", name, seconds)
        records.check(content(folder, name), "%s is empty", name)
    joined = "".join(content(folder, name) for name in names)
    records.same_value(out.splitlines(), joined.splitlines(), "records in order of file names")


@each(300, 3600)
def rotation_survives_a_clock_set_back(bench, seconds):
    """This capture goes back in time three times: a name may come up twice, and nothing may be overwritten."""
    folder = bench.new_dir()
    url = "json:%s/%%Y/%%m/%%d/%%H%%M.json?rotate=%d" % (folder, seconds)
    out, _ = tools.weir(bench, ["-r", bench.pcap(LONG), "-o", url, "-o", "json:-"])
    names = tree(folder)
    records.check(len(names) > 3 and not [n for n in names if n.endswith(".part")], "files: %s", names)
    lines = collections.Counter(line for name in names for line in content(folder, name).splitlines())
    records.same(collections.Counter(out.splitlines()), lines, "lines")


@case
def every_rotated_csv_file_has_a_header(bench):
    folder = bench.new_dir()
    url = "csv:%s/%%Y%%m%%d-%%H%%M.csv?rotate=300" % folder
    out, _ = tools.weir(bench, ["-r", makepcap.a_day(bench), "-o", url, "-o", "csv:-"])
    header, *rows = out.splitlines()
    found = []
    for name in tree(folder):
        first, *rest = content(folder, name).splitlines()
        records.same_value(header, first, "first line of " + name)
        found += rest
    records.same_value(rows, found, "rows")


@case
def every_rotated_ipfix_file_stands_alone(bench):
    folder = bench.new_dir()
    tools.weir(bench, ["-r", bench.pcap(LONG), "-o", "ipfix-file:%s/%%Y%%m%%d-%%H%%M.ipfix?rotate=3600" % folder])
    names, flows = tree(folder), 0
    records.check(len(names) > 3, "only %s", names)
    for name in names:
        stream = flowproto.read_ipfix_file(os.path.join(folder, name))
        no_problems(stream)
        flows += len(stream.flows())
    records.same_value(len(replay(bench, LONG).json), flows, "records in all files")


@case
def rotation_by_size_loses_nothing(bench):
    folder = bench.new_dir()
    url = "json:%s/%%Y%%m%%d-%%H%%M%%S.json?rotate=16KiB" % folder
    out, _ = tools.weir(bench, ["-r", bench.pcap("ndpi-1kxun.pcap"), "-o", url, "-o", "json:-"])
    names = tree(folder)
    records.check(not [n for n in names if n.endswith(".part")], "parts left: %s", names)
    records.check(len(names) > 1, "one file of %d bytes", len(out))
    lines = collections.Counter(line for name in names for line in content(folder, name).splitlines())
    records.same(collections.Counter(out.splitlines()), lines, "lines")


@each("json", "csv", "cbor", "ipfix-file", "table")
def a_file_takes_its_name_only_when_complete(bench, scheme):
    folder = bench.new_dir()
    with open(bench.pcap("markofu-ftp-crack.pcap"), "rb") as file:
        data = file.read()
    with fed(bench, ["-r", "-", "-o", "%s:%s/out" % (scheme, folder)]) as process:
        process.stdin.write(data[:len(data) // 2])
        process.stdin.flush()
        tools.wait_for("a .part file", lambda: [n for n in tree(folder) if n.endswith(".part")])
        time.sleep(0.2)
        records.check("out" not in tree(folder), "the file has its name before it is complete: %s", tree(folder))
        process.stdin.write(data[len(data) // 2:])
        process.stdin.close()
        records.same_value(0, ended(process), "exit status")
    records.same_value(["out"], tree(folder), "files")


def ended(process):
    """Exit status of a process that should end by itself; None when it does not."""
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        return None


@case
def stopping_completes_the_files(bench):
    folder = bench.new_dir()
    with open(bench.pcap("markofu-ftp-crack.pcap"), "rb") as file:
        data = file.read()
    with fed(bench, ["-r", "-", "-o", "json:%s/out" % folder]) as process:
        process.stdin.write(data[:len(data) // 2])
        process.stdin.flush()
        tools.wait_for("a .part file", lambda: [n for n in tree(folder) if n.endswith(".part")])
        time.sleep(0.2)
        process.terminate()
        records.same_value(0, ended(process), "exit status after SIGTERM")
    records.same_value(["out"], tree(folder), "files")
    records.check(any(r["flowEndReason"] == 4 for r in read_json(folder + "/out")), "no flow ended by the stop")


def fed(bench, args):
    """weir reading a capture from a pipe that the test fills."""
    return bench.child([bench.weir] + args, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


# --- several outputs ---------------------------------------------------------------------------------------------------

@each("ndpi-1kxun.pcap", MIXED)
def several_outputs_are_each_complete(bench, pcap):
    folder = bench.new_dir()
    files = ("json:%s/a", "csv:%s/b", "ipfix-file:%s/c", "json:%s/d")
    args = ["-o", "null:"] + [part for url in files for part in ("-o", url % folder)]
    got = tools.replay(bench, pcap, ("netflow9", "ipfix"), args)
    count = len(got.json)
    records.check(count > 0, "no records")
    records.same_value(got.json, read_json(folder + "/a"), "first file")
    records.same_value(got.json, read_json(folder + "/d"), "last file")
    records.same_value(count + 1, len(content(folder, "b").splitlines()), "CSV lines")
    records.same_value(count, len(flowproto.read_ipfix_file(folder + "/c").flows()), "ipfix-file")
    for url in got.datagrams:
        records.same_value(len(records.one_way(got.json)), len(flowproto.read_stream(got.datagrams[url]).flows()), url)
    books = {entry["url"].split(":")[0]: entry for entry in got.stats["outputs"]}
    records.same_value(8, len(got.stats["outputs"]), "outputs in the stats")
    records.same_value(count, books["null"]["records"], "records counted by null:")
    for url, entry in books.items():
        dropped = entry["records_dropped"]
        records.check(not (sum(dropped.values()) if isinstance(dropped, dict) else dropped), "%s dropped %s", url, dropped)


@case
def an_output_that_cannot_be_opened_is_an_error(bench):
    _, err = tools.weir(bench, ["-r", bench.pcap(V4_SHORT), "-o", "json:/proc/no/such/dir/out.json", "-o", "null:"], expect=1)
    records.check("/proc/no/such/dir" in err, "the message does not name the file: %s", err)

#!/usr/bin/env python3
"""The benchmark: weir beside its floor and its peers, in one run, on one machine.

Whole processes on one core, in turn, CPU time by wait4; every result is held against the ground
truth of the generator. README.md tells how to run it, docs/PERFORMANCE.md what is measured.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

import peers
import report
from process import Failed, Sink, adopt_orphans, run

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "bench")
DOC = os.path.join(ROOT, "docs", "PERFORMANCE.md")
PLOTS = os.path.join(ROOT, "docs", "plots")

# What to reach: times the floor, times softflowd, and the floor against libpcap.
LIMITS = {
    "null": {"A": 1.8, "B": 1.6, "C": 1.4, "D": 1.7},
    "ipfix": {"A": 2.0, "B": 1.7, "C": 1.9, "D": 1.9},
    "softflowd": {"A": 25, "B": 5, "C": 10, "D": 30},
    "floor": {"A": 0.75, "B": 0.6, "C": 1.5, "D": 0.6},
}
WORKLOADS = {
    "A": "20 M packets, IMIX, TCP and UDP, 1.05 M biflows, Zipf 1.0, order random",
    "B": "10 M packets of 64 bytes, 1000 biflows in turn",
    "C": "flood: 10 M packets of 64 bytes, 8 M flows of one or two packets",
    "D": "10 M packets, IMIX, 0.2 M biflows, Zipf 0.8, half IPv6, half VLAN-tagged, ns pcap",
}
PACKETS = {"A": 20_000_000, "B": 10_000_000, "C": 10_000_000, "D": 10_000_000,
           "E": 10_000_000, "U": 10_000_000, "V": 10_000_000}
STAGES = ("A", "B", "C", "D", "workers", "flood", "memory", "curve", "peers")
LONG_S = 60  # what takes longer runs once
GIB = 1 << 30


def say(*words):
    print(*words, flush=True)


# ---- preparations --------------------------------------------------------------------------------

def build_programs():
    os.makedirs(BUILD, exist_ok=True)
    for name, libs in (("gen", ["-lm"]), ("floor", []), ("sink", []), ("pcapcount", ["-lpcap"]),
                       ("blast", []), ("ringcount", [])):
        source, program = os.path.join(HERE, name + ".c"), os.path.join(BUILD, name)
        if os.path.exists(program) and os.path.getmtime(program) >= os.path.getmtime(source):
            continue
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE",
                        "-o", program, source, *libs], check=True)


def copy_start(source, target, size):
    with open(source, "rb") as f, open(target, "wb") as t:
        while size > 0:
            piece = f.read(min(size, 1 << 24))
            t.write(piece)
            size -= len(piece)
        t.flush()
        os.fsync(t.fileno())


def memory_available():
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def make_work(wanted, need):
    """A directory of our own. Captures lie where users have them, on a file system, in its page cache: on
    /dev/shm mapping costs twice as much or not, by how torn to pieces memory is."""
    places = [wanted] if wanted else [tempfile.gettempdir(), "/dev/shm"]
    if memory_available() < need + 5 * GIB:
        say(f"bench: less than {(need / GIB + 5):.0f} GiB of memory free: captures may be read from disk")
    for place in places:
        if os.path.isdir(place) and shutil.disk_usage(place).free > need + GIB // 2:
            return tempfile.mkdtemp(prefix="weir-bench.", dir=place)
    sys.exit(f"bench: no room for {need / GIB:.1f} GiB of captures in {', '.join(places)}; "
             "name a directory with --work, or scale down with --scale")


def machine():
    """Markdown list that describes where the figures are from."""
    cpu = huge = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as f:
        total = int(f.readline().split()[1]) / (1 << 20)
    if os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"):
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as f:
            huge = f.read().split("[")[1].split("]")[0]
    caches = []
    for index in range(4):
        base = f"/sys/devices/system/cpu/cpu0/cache/index{index}/"
        if os.path.exists(base + "size"):
            with open(base + "level", encoding="ascii") as a, open(base + "size", encoding="ascii") as b, \
                    open(base + "type", encoding="ascii") as c:
                if c.read().strip() != "Instruction":
                    caches.append(f"L{a.read().strip()} {b.read().strip()}")
    return "\n".join([
        f"* CPU: {cpu}, {os.cpu_count()} cores, caches {', '.join(caches) or 'unknown'}",
        f"* memory: {total:.1f} GiB, transparent huge pages: {huge}",
        f"* kernel: {platform.system()} {platform.release()} {platform.machine()}",
    ])


# ---- the bench -----------------------------------------------------------------------------------

class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.end = time.monotonic() + args.limit
        self.rounds = 3 if args.quick else 5
        cores = sorted(os.sched_getaffinity(0))
        self.core, self.other = {cores[-1]}, cores[0]
        self.both = set(cores[-2:])
        self.file = os.path.join(work, "capture.pcap")
        self.made = None
        self.truth = {}
        self.blocks, self.results, self.skipped = {}, {}, []
        os.sched_setaffinity(0, {self.other})
        if len(cores) == 1:
            self.skip("one core only: the sink competes with what is measured")

    def skip(self, why):
        say("  SKIPPED:", why)
        if why not in self.skipped:
            self.skipped.append(why)

    def left(self):
        return self.end - time.monotonic()

    def capture(self, workload, packets=0, flows=0, pps=0):
        """Makes a capture, unless it is the one made last."""
        packets = max(int((packets or PACKETS[workload]) * self.args.scale), 1000)
        if self.made != (workload, packets, flows, pps):
            self.made = None
            if os.path.exists(self.file):
                os.unlink(self.file)
            command = [os.path.join(BUILD, "gen"), "-w", workload, "-n", str(packets), "-s",
                       str(self.args.seed)]
            command += ["-f", str(flows)] if flows else []
            command += ["-p", str(pps)] if pps else []
            done = run(command + [self.file], {self.other}, self.work, max(self.left(), 1))
            with open(self.file, "rb") as f:
                os.fsync(f.fileno())  # nothing is to be written while others are measured
            self.truth = json.loads(done.out)
            self.made = (workload, packets, flows, pps)
        return self.truth

    # -- one run of each contender; all return (ns a packet, what was accounted) --

    def execute(self, command, cores=None, **more):
        return run(command, cores or self.core, self.work, min(300, max(self.left(), 1)), **more)

    def floor(self, verify=False, file=None):
        done = self.execute([os.path.join(BUILD, "floor")] + ["-v"] * verify +
                            [str(self.truth["biflows"]), file or self.file])
        said = json.loads(done.out)
        return {"run": done, "packets": said["packets"], "octets": said["octets"],
                "records": said["flows"]}

    def libpcap(self):
        done = self.execute([os.path.join(BUILD, "pcapcount"), self.file])
        return {"run": done, "packets": json.loads(done.out)["packets"], "octets": None,
                "records": None}

    def weir(self, output="null:", flows=0, options=(), cores=None, sample=False, file=None):
        """`output` with {port} is sent to the sink. Room for the flows, if not told otherwise, of
        half as much again as there are: a table is sized for what is expected."""
        flows = flows or self.truth["biflows"] * 3 // 2 + 64
        command = [self.args.weir, "-r", file or self.file, "--flows", str(flows), "--stats", "json", *options]
        sink = Sink(os.path.join(BUILD, "sink"), self.other) if "{port}" in output else None
        try:
            done = self.execute(command + ["-o", output.format(port=sink and sink.port)],
                                cores, sample=sample)
            got = sink.totals() if sink else None
        finally:
            if sink:
                sink.close()
        said = json.loads(done.err.splitlines()[-1])
        return {"run": done, "packets": said["record_packets"], "octets": said["record_octets"],
                "records": said["records"], "said": said, "sink": got}

    def peer(self, peer):
        sink = Sink(os.path.join(BUILD, "sink"), self.other)
        try:
            done = self.execute(peer.command(self.file, self.truth["biflows"], sink.port))
            packets, octets = peer.accounted(done)
        finally:
            peer.clean()
            sink.close()
        return {"run": done, "packets": packets, "octets": octets, "records": None}

    def has_room(self, workload, peer):
        need = self.truth["biflows"] * peer.flow_bytes
        if memory_available() > need + GIB:
            return True
        self.skip(f"{workload}: {peer.name} needs {need / GIB:.1f} GiB of memory")
        return False

    def in_turn(self, contenders, rounds):
        """{name: [result]}: round by round, so that what disturbs the machine disturbs all."""
        results = {name: [] for name in contenders}
        for number in range(rounds):
            for name, once in contenders.items():
                if number > 0 and (not results[name] or results[name][-1]["run"].wall_s > LONG_S):
                    continue
                if self.left() < 5:
                    self.skip(f"{name}: out of time in round {number + 1}")
                    continue
                try:
                    results[name].append(once())
                except (Failed, OSError, subprocess.SubprocessError, ValueError, KeyError,
                        AttributeError, StopIteration) as failure:
                    self.skip(f"{name}: {failure}")
        return {name: got for name, got in results.items() if got}

    def ns(self, results):
        return [r["run"].cpu_s / self.truth["packets"] * 1e9 for r in results]

    def accounted(self, results):
        last = results[-1]
        return (report.share(last["packets"], self.truth["packets"]),
                report.share(last["octets"], self.truth["octets"]))

    # -- stages --

    def workload(self, name):
        truth = self.capture(name, 3_000_000 if self.args.quick else 0)
        try:
            self.floor(verify=True)
        except Failed as failure:
            self.skip(f"floor does not verify: {failure}")
        contenders = {
            "floor": self.floor,
            "libpcap loop": self.libpcap,
            "weir null:": self.weir,
            "weir ipfix:// to the sink": lambda: self.weir("ipfix://127.0.0.1:{port}?rate=0"),
        }
        # B's runs are short: three times as many
        results = self.in_turn(contenders, self.rounds * (3 if name == "B" else 1))
        pairs = self.pairs(results)
        if not self.args.quick:
            extras = self.extras(name)
            pairs += self.pairs(extras)
            extras.pop("weir null:", None)
            results.update(extras)
        self.results[name] = {k: {"ns": self.ns(v), "accounted": self.accounted(v)}
                              for k, v in results.items()}
        self.results[name]["truth"] = truth
        self.say_workload(name, results, pairs)

    def extras(self, name):
        """Fewer rounds of what needs longer: text to a file, and much expiry; and `null:` beside them."""
        path = os.path.join(self.work, "flows.json")

        def to_json():
            try:
                return self.weir("json:" + path)
            finally:
                if os.path.exists(path):
                    os.unlink(path)
        contenders = {"weir null:": self.weir}
        if shutil.disk_usage(self.work).free > self.truth["biflows"] * 700 + GIB and \
                memory_available() > self.truth["biflows"] * 900 + 2 * GIB:
            contenders["weir json: to a file"] = to_json
        else:
            self.skip(f"{name}: no room for the JSON file")
        if name == "A":
            hasty = ("--idle-timeout", "0.75", "--active-timeout", "3", "--tcp-linger", "0.1")
            contenders["weir ipfix://, timeouts / 20"] = lambda: self.weir(
                "ipfix://127.0.0.1:{port}?rate=0", options=hasty)
        return self.in_turn(contenders, 5 if name in "BD" else 3)

    def say_workload(self, name, results, pairs):
        floor = self.ns(results["floor"]) if "floor" in results else None
        head = ["", "ns a packet", "times the floor", "packets", "octets", "records", "delivered",
                "peak RSS MiB"]
        rows = []
        for who, got in results.items():
            ns = self.ns(got)
            last = got[-1]
            delivered = ""
            if last.get("sink"):
                delivered = report.share(last["sink"]["bytes"], last["said"]["outputs"][0]["bytes"])
            rows.append([who, report.show(ns), f"{report.ratio(ns, floor):.2f}" if floor else "",
                         *self.accounted(got), last["records"] if last["records"] is not None else "",
                         delivered, f"{last['run'].rss_bytes / (1 << 20):.0f}"])
        cut = " (a cut of it)" if self.truth["packets"] < PACKETS[name] else ""
        text = (f"**{name}**: {WORKLOADS[name]}{cut}. Truth of this run: {self.truth['packets']:,} packets, "
                f"{self.truth['octets']:,} octets, {self.truth['biflows']:,} biflows.\n\n"
                + report.table(head, rows))
        notes = self.workload_notes(results, pairs)
        self.block("workload-" + name, text + ("\n\n" + notes if notes else ""))

    @staticmethod
    def pairs(results):
        """Of each contender that weir's `null:` ran beside: what it cost more, round by round."""
        null = results.get("weir null:", [])
        return [(who, [g["run"].cpu_s - n["run"].cpu_s for g, n in zip(got, null)])
                for who, got in results.items() if null]

    def workload_notes(self, results, pairs):
        """What a record costs, from two outputs that ran beside each other."""
        null, lines = results.get("weir null:"), []
        if not null:
            return ""
        above = dict(pairs)
        for who, what in (("weir ipfix:// to the sink", "IPFIX"), ("weir json: to a file", "JSON")):
            if who not in results or null[-1]["records"] < 100_000:
                continue
            extra = report.median(above[who])
            records = results[who][-1]["said"]["outputs"][0]["records"]
            if extra > 0 and records:
                lines.append(f"{what}: {extra / records * 1e9:.0f} ns a record sent above `null:`, "
                             f"{records / extra / 1e6:.1f} M records a second a core.")
        hasty = results.get("weir ipfix://, timeouts / 20")
        if hasty:
            said = hasty[-1]["said"]
            lines.append(f"Timeouts / 20: {said['records'] / null[-1]['records']:.2f} times the records, "
                         f"worst lag of a record {said.get('export_lag_max_ns', 0) / 1e9:.2f} s.")
        return " ".join(lines)

    def workers(self):
        truth = self.capture("A", 3_000_000 if self.args.quick else 0)
        if len(self.both) < 2:
            return self.skip("workers: one core only")
        os.sched_setaffinity(0, self.both)
        contenders = {
            "-w 1, one core": lambda: self.weir(options=("-w", "1")),
            "-w 1, two cores": lambda: self.weir(options=("-w", "1"), cores=self.both),
            "-w 2, two cores": lambda: self.weir(options=("-w", "2"), cores=self.both),
        }
        results = self.in_turn(contenders, self.rounds)
        os.sched_setaffinity(0, {self.other})
        if not results:
            return None
        walls = {k: [r["run"].wall_s / truth["packets"] * 1e9 for r in v] for k, v in results.items()}
        one = min((v for k, v in walls.items() if "-w 1" in k), key=report.median, default=None)
        rows = [[k, report.show(walls[k]), f"{report.ratio(one, walls[k]):.2f}" if one else "",
                 report.show(self.ns(v)), *self.accounted(v)] for k, v in results.items()]
        self.block("workers", "Workload A, `null:`; the speed-up is against the faster of the runs "
                   "with one worker (to reach: 1.4).\n\n" +
                   report.table(["", "wall ns a packet", "speed-up", "CPU ns a packet", "packets",
                                 "octets"], rows))
        return None

    def flood(self):
        truth = self.capture("C", 3_000_000 if self.args.quick else 0)
        cap = 1_000_000 if truth["biflows"] > 2_000_000 else max(truth["biflows"] // 8, 64)
        results = self.in_turn({"uncapped": self.weir, f"--flows {cap}": lambda: self.weir(flows=cap)},
                               self.rounds)
        if not results:
            return
        base = self.ns(next(iter(results.values())))
        rows = [[k, report.show(self.ns(v)), f"{report.ratio(self.ns(v), base):.2f}",
                 *self.accounted(v), v[-1]["records"], v[-1]["said"]["end_resources"]]
                for k, v in results.items()]
        text = ("Workload C with the table capped (to reach: at most 1.5 times uncapped).\n\n" +
                report.table(["", "ns a packet", "times uncapped", "packets", "octets", "records",
                              "ended early"], rows))
        text += "\n\n" + self.background(cap)
        self.block("flood", text)

    def background(self, cap):
        """Nine parts flood, one part established flows: do these keep their records?"""
        flows = max(int(10_000 * self.args.scale), 200)
        truth = self.capture("E", 3_000_000 if self.args.quick else 0, flows)
        path = os.path.join(self.work, "flows.csv")
        try:
            got = self.weir(f"csv:{path}?fields=sourceIPv4Address,destinationIPv4Address", flows=cap)
            with open(path, "rb") as f:
                counts = Counter(self.background_address(line) for line in f)
        except (Failed, OSError, KeyError) as failure:
            self.skip(f"flood with background: {failure}")
            return ""
        finally:
            if os.path.exists(path):
                os.unlink(path)
        del counts[b""]
        whole = sum(1 for n in counts.values() if n == 1)
        return (f"Background of {flows:,} established flows (a tenth of {truth['packets']:,} packets) "
                f"under the capped flood: {100 * whole / flows:.2f} % kept one unsplit record "
                f"(to reach: 99); totals: packets {report.share(got['packets'], truth['packets'])}, "
                f"octets {report.share(got['octets'], truth['octets'])}.")

    @staticmethod
    def background_address(line):
        for address in line.rstrip().split(b","):
            if address.startswith((b"10.200.", b"10.201.", b"10.202.", b"10.203.")):
                return address
        return b""

    def memory(self):
        sizes = (100_000, 500_000) if self.args.quick else (1_000_000, 8_000_000)
        rows, points = [], {}
        for workload, family in (("B", "IPv4"), ("V", "IPv6")):
            for flows in (max(int(size * self.args.scale), 1000) for size in sizes):
                truth = self.capture(workload, flows / self.args.scale, flows, 5e6)
                try:
                    got = self.weir(flows=flows, sample=True)
                except Failed as failure:
                    self.skip(f"memory: {failure}")
                    continue
                anon = got["run"].anon_bytes
                points.setdefault(family, []).append((flows, anon))
                rows.append([f"{flows:,}", family, f"{anon / (1 << 20):.0f}", f"{anon / flows:.0f}",
                             f"{got['run'].rss_bytes / (1 << 20):.0f}", got["said"]["end_resources"],
                             report.share(got["packets"], truth["packets"])])
        if not points:
            return
        text = ("Every flow held at once, `--flows` as many as there are; anonymous memory of the whole "
                "process (`RssAnon` at its peak, so without the mapped capture), by flows "
                "(to reach: at most 160 bytes).\n\n" +
                report.table(["flows held", "", "anonymous MiB", "bytes a flow",
                              "peak RSS MiB with file", "ended early", "packets"], rows))
        for family, got in points.items():
            if len(got) == 2:
                (f0, a0), (f1, a1) = got
                text += (f"\n\n{family}, from the first to the second: {(a1 - a0) / (f1 - f0):.0f} bytes "
                         "a further flow.")
        self.block("memory", text)

    def curve(self):
        """Cost of a packet of an established flow: a run with the packets less one without them."""
        series = {"weir null:": [], "floor": []}
        rows = []
        sizes = [10 ** e for e in range(3, 6 if self.args.quick else 8)]
        packets = int(PACKETS["U"] * self.args.scale / (4 if self.args.quick else 1))
        for flows in sizes:
            if flows > 2 * packets:
                self.skip(f"curve: {flows} flows are too many for so few packets")
                continue
            # twice the packets where the flows' own are many, so that their noise is not
            more = packets * (2 if flows >= packets else 1)
            opening_packets = 2 * flows
            self.capture("U", (more + opening_packets) / self.args.scale, flows)
            total = self.truth["packets"]
            # the opening alone: every flow's first packet and its answer, then the end
            begin = os.path.join(self.work, "opening.pcap")
            copy_start(self.file, begin, 24 + opening_packets * (16 + 64))
            results = self.in_turn({"weir null:": self.weir, "floor": self.floor,
                                    "weir null: opening": lambda: self.weir(file=begin),
                                    "floor opening": lambda: self.floor(file=begin)},
                                   self.rounds)
            os.unlink(begin)
            exact = self.accounted(results["weir null:"]) if "weir null:" in results else ("", "")
            row = [f"{flows:,}"]
            for name in series:
                if name not in results or name + " opening" not in results:
                    row += ["", ""]
                    continue
                whole = [r["run"].cpu_s for r in results[name]]
                ns = [(cpu - r["run"].cpu_s) / (total - opening_packets) * 1e9
                      for cpu, r in zip(whole, results[name + " opening"])]
                series[name].append((flows, max(report.median(ns), 0.1)))
                row += [report.show(ns), f"{report.median(whole) / total * 1e9:.1f}"]
            rows.append(row + list(exact))
        if not any(series.values()):
            return
        text = ("Packets of flows that are held already, both directions of them, picked alike; beside it the "
                "whole run with the flows' first packets and their export in it.\n\n" +
                report.table(["flows held", "weir", "whole run", "floor", "whole run", "packets",
                              "octets"], rows))
        points = dict(series["weir null:"])
        if 10_000 in points and 10_000_000 in points:
            text += (f"\n\nAt 10 M flows {points[10_000_000] - points[10_000]:+.1f} ns a packet against "
                     "10 k (to reach: at most +60).")
        self.curve_plot = report.plot_curve("CPU time of a packet against flows held",
                                            {k: v for k, v in series.items() if v})
        self.block("curve", text + "\n\n![cost against flows](plots/cost-by-flows.svg)")

    def peers(self):
        """Everybody on cuts of the same workloads."""
        wanted = [w for w in "ABCD" if not self.args.only or w in self.args.only or
                  not set("ABCD") & set(self.args.only)]
        there = [p(self.work) for p in (peers.ALL[:1] if self.args.quick else peers.ALL)]
        for peer in [p for p in there if p.path is None]:
            self.skip(f"peer {peer.name}: not installed")
        there = [p for p in there if p.path is not None]
        versions = {p.name: p.version() for p in there}
        rows, bars = [], {}
        for name in wanted:
            self.capture(name, 500_000 if self.args.quick else 5_000_000)
            contenders = {"floor": self.floor, "weir null:": self.weir,
                          "weir netflow9://": lambda: self.weir("netflow9://127.0.0.1:{port}?rate=0")}
            contenders.update({p.name: lambda p=p: self.peer(p) for p in there if self.has_room(name, p)})
            results = self.in_turn(contenders, 1 if self.args.quick else 2)
            ns = {k: self.ns(v) for k, v in results.items()}
            self.results["cut " + name] = {k: {"ns": self.ns(v), "accounted": self.accounted(v)}
                                           for k, v in results.items()}
            for who, got in results.items():
                rows.append([f"{name}: {who}", report.show(self.ns(got)),
                             f"{report.ratio(ns[who], ns['floor']):.1f}" if "floor" in ns else "",
                             *(f"{report.ratio(ns[who], ns[w]):.1f}" if w in ns else ""
                               for w in ("weir null:", "weir netflow9://")),
                             *self.accounted(got), f"{got[-1]['run'].rss_bytes / (1 << 20):.0f}"])
            bars[name] = [(who, report.median(v)) for who, v in ns.items()]
        if not rows:
            return
        text = ("Cuts of " + ("0.5 M" if self.args.quick else "5 M") + " packets, " +
                "; ".join(f"{p.name}: {versions[p.name]}, sends {p.sends}" for p in there) +
                ". weir sends NetFlow v9 to the same sink as softflowd.\n\n" +
                report.table(["", "ns a packet", "times the floor", "times weir null:",
                              "times weir v9", "packets", "octets", "peak RSS MiB"], rows))
        self.bars_plot = report.plot_bars("CPU time of a packet, ns (logarithmic)", bars)
        self.block("peers", text + "\n\n![comparison](plots/comparison.svg)")

    def limits(self):
        """What is to be reached, beside what was."""
        rows = []

        def row(what, values, unit="", more=False):
            if any(v is not None for v, _ in values):
                rows.append([what] + ["" if v is None else
                                      f"{v:.2f}{unit} ({'≥' if more else '≤'} {limit}{unit})"
                                      + ("" if (v >= limit if more else v <= limit) else " ✗")
                                      for v, limit in values])

        def ratio(key, over, under):
            ns = self.results.get(key, {})
            if over not in ns or under not in ns:
                return None
            return report.ratio(ns[over]["ns"], ns[under]["ns"])

        row("floor / libpcap loop",
            [(ratio(w, "floor", "libpcap loop"), LIMITS["floor"][w]) for w in "ABCD"])
        row("weir `null:` / floor",
            [(ratio(w, "weir null:", "floor"), LIMITS["null"][w]) for w in "ABCD"])
        row("weir `ipfix://` / floor",
            [(ratio(w, "weir ipfix:// to the sink", "floor"), LIMITS["ipfix"][w]) for w in "ABCD"])
        row("softflowd / weir, both NetFlow v9",
            [(ratio("cut " + w, "softflowd", "weir netflow9://"), LIMITS["softflowd"][w])
             for w in "ABCD"], "x", True)
        if rows:
            self.block("limits", report.table(["measured (to reach)", "A", "B", "C", "D"], rows))

    # -- the end --

    def block(self, name, text):
        self.blocks[name] = text
        say("\n" + text + "\n")

    def finish(self, load_before):
        self.limits()
        version = subprocess.run([self.args.weir, "--version"], capture_output=True, text=True,
                                 timeout=10, check=False).stdout.splitlines()
        text = machine() + (f"\n* weir: {version[0] if version else 'version unknown'}; medians, ± half the "
                            f"spread; rounds: {self.rounds}, seed {self.args.seed}, scale {self.args.scale:g}"
                            f"\n* load average before and after: {load_before:.2f}, "
                            f"{os.getloadavg()[0]:.2f}"
                            f"\n* taken: {time.strftime('%Y-%m-%d', time.gmtime())}")
        if self.skipped:
            text += "\n* skipped: " + "; ".join(self.skipped)
        self.block("machine", text)
        whole = not (self.args.quick or self.args.only or self.args.scale != 1)
        into_docs = whole or self.args.write
        path = DOC if into_docs else os.path.join(BUILD, "report.md")
        if not into_docs and os.path.exists(path):
            os.unlink(path)
        report.write_blocks(path, self.blocks, "# Benchmark, partial run\n")
        plots = PLOTS if into_docs else os.path.join(BUILD, "plots")
        for attribute, file in (("curve_plot", "cost-by-flows.svg"), ("bars_plot", "comparison.svg")):
            if hasattr(self, attribute):
                report.write_plot(os.path.join(plots, file), getattr(self, attribute))
        with open(os.path.join(BUILD, "results.json"), "w", encoding="utf-8") as f:
            json.dump(self.results, f, indent=1)
        say(f"written to {os.path.relpath(path, ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="cuts, fewer rounds, only softflowd beside: under two minutes")
    parser.add_argument("--only", type=lambda s: s.split(","), default=[],
                        help="of " + ",".join(STAGES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the packets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", help="directory for captures (default: TMPDIR or /tmp)",
                        default=os.environ.get("WEIR_BENCH_DIR"))
    parser.add_argument("--weir", default=os.path.join(ROOT, "weir"))
    parser.add_argument("--limit", type=float, help="seconds for the whole run")
    parser.add_argument("--write", action="store_true",
                        help="put the figures of a partial run in docs/PERFORMANCE.md too")
    args = parser.parse_args()
    args.limit = args.limit or (110 if args.quick else 19 * 60)
    unknown = set(args.only) - set(STAGES)
    if unknown:
        parser.error(f"--only: no stage {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    if not 0 < args.scale <= 1:
        parser.error("--scale: above 0, at most 1")
    return args


def stages_of(args):
    """In an order that makes each capture once; what a reader misses most comes last."""
    default = ["A", "B", "C", "D", "peers"] if args.quick else \
        ["A", "workers", "B", "C", "flood", "D", "peers", "memory", "curve"]
    if not args.only:
        return default
    return [s for s in STAGES if s in args.only]


def main():
    args = parse()
    args.weir = os.path.abspath(args.weir)
    if not os.access(args.weir, os.X_OK):
        sys.exit(f"bench: {args.weir} is not there: run make first, or name it with --weir")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    adopt_orphans()
    build_programs()
    load = os.getloadavg()[0]
    work = make_work(args.work, int((0.6 if args.quick else 4.6) * args.scale * GIB) + (64 << 20))
    start = time.monotonic()
    try:
        bench = Bench(args, work)
        for stage in stages_of(args):
            say(f"== {stage}, {time.monotonic() - start:.0f} s")
            try:
                if bench.left() < 10:
                    bench.skip(f"stage {stage}: out of time")
                elif stage in WORKLOADS:
                    bench.workload(stage)
                else:
                    getattr(bench, stage)()
            except Failed as failure:
                bench.skip(f"stage {stage}: {failure}")
        bench.finish(load)
        say(f"{time.monotonic() - start:.0f} s in all")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

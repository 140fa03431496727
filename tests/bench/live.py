#!/usr/bin/env python3
"""The live benchmark: sent against metered packets, and what a metered packet costs, on veth pairs of its own.

Every input of weir, a bare counting loop and peers, one after the other on the same kind of port: at fixed rates and
flat out. The sender has the first core, who meters the last. README.md tells how to run it.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(HERE), "live"))

import inputs  # noqa: E402
import lab  # noqa: E402
import probe  # noqa: E402
import live_contenders as who  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import run as bench  # noqa: E402

# (name, how, packets a second, 0: flat out; rounds)
RATES = [
    ("50 k/s", "packet", 50_000, 1),
    ("100 k/s", "packet", 100_000, 1),
    ("200 k/s", "packet", 200_000, 1),
    ("flat out, veth", "packet", 0, 2),
    ("flat out, live frames", "live", 0, 2),
]
SETTLE_S = 0.3
LAG_IDLE_S = 30
FLAT_SHARE, SOFTFLOWD_SHARE, TWO_QUEUES = 0.98, 0.25, 1.8


def share_of(got):
    return got["metered"] / got["sent"]


def cost_of(got):
    return got["cpu"] / max(got["metered"], 1) * 1e9


def mark(good):
    return "" if good else " ✗"


class Live:
    def __init__(self, args, work):
        self.args, self.work = args, work
        cores = sorted(os.sched_getaffinity(0))
        self.sender, self.meter = str(cores[0]), str(cores[-1])
        self.cores = cores
        self.skipped, self.results, self.tables = [], {}, []

    def skip(self, why):
        bench.say("  SKIPPED:", why)
        self.skipped.append(why)

    def way(self, contender, how):
        """(mode, link) of the sender: frames that a port is made to receive pass by a program in its driver."""
        if how == "packet":
            return "packet", "p0"
        in_driver = contender.kind == "alone" and "generic" not in contender.name
        return ("redirect", "p0") if in_driver else ("pass", "p1")

    def once(self, contender, how, pps):
        """One run: {sent, metered, dropped, cpu, seconds}."""
        mode, link = self.way(contender, how)
        with inputs.RIGS[contender.kind]() as rig:
            sink = who.Sink(rig, bench.BUILD, self.sender)
            try:
                contender.start(rig, self.meter, sink.port)
                sent, seconds = who.blast(rig, bench.BUILD, self.sender, mode, link, self.args.seconds, pps)
                time.sleep(SETTLE_S)
                contender.before_stop()
                cpu = contender.stop()
                metered, dropped = contender.said()
            finally:
                contender.kill()
                sink.close()
        return {"sent": sent, "metered": metered, "dropped": dropped or 0, "seconds": seconds, "cpu": cpu}

    def rates(self):
        every, lacking = who.contenders(bench.BUILD, self.work, self.args.weir)
        every = [one for one in every if any(text in one.name for text in self.args.who)]
        for why in lacking:
            self.skip(why)
        for name, how, pps, rounds in RATES:
            bench.say("==", name)
            for number in range(rounds):
                for contender in every:
                    self.add(name, contender, how, pps, number)
            self.tables.append("**%s**\n\n%s" % (name, self.table(name, every)))

    def add(self, name, contender, how, pps, number):
        """One run more of a contender, added to those before; one that failed is not tried again."""
        key = (name, contender.name)
        if number > 0 and key not in self.results:
            return
        try:
            got = self.once(contender, how, pps)
        except (process.Failed, lab.Failed, OSError, ValueError, IndexError, AttributeError) as failure:
            self.results.pop(key, None)
            self.skip("%s, %s: %s" % (name, contender.name, failure))
            return
        before = self.results.get(key, {})
        self.results[key] = {what: value + before.get(what, 0) for what, value in got.items()}
        bench.say("  ", contender.name, got)

    def table(self, name, every):
        rows = []
        for contender in every:
            got = self.results.get((name, contender.name))
            if got:
                rows.append([contender.name, "%d k" % round(got["sent"] / got["seconds"] / 1000), f"{got['sent']:,}",
                             f"{got['metered']:,}", report.share(got["metered"], got["sent"]), f"{got['dropped']:,}",
                             "%.0f" % cost_of(got)])
        return report.table(["", "sent a second", "sent", "metered", "share", "told as dropped",
                             "CPU ns a metered packet"], rows)

    # -- two workers, each with its own ring --

    def emptied(self, workers):
        """Seconds that so many workers need for what waits in their rings: filled while they stood still."""
        size = "%dMiB" % (self.args.backlog * 400 // workers * 5 // 4 >> 20)
        # each on its core: two that wake on one would stay there for longer than this takes
        options = ("-w", str(workers), "--ring-size", size, "--flows", "131072",
                   "--cpus", ",".join(str(core) for core in reversed(self.cores[-workers:])))
        with inputs.PortRig() as rig, probe.Weir(rig.rx, "ring:p1", options, program=self.args.weir) as weir:
            weir.send_signal(signal.SIGSTOP)
            sent, _ = who.blast(rig, bench.BUILD, self.sender, "pass", "p1", "%dp" % self.args.backlog, 0)
            time.sleep(SETTLE_S)
            start = time.monotonic()
            weir.send_signal(signal.SIGCONT)
            books = weir.wait_observed(sent, 20)
            seconds = time.monotonic() - start
            if books["observed"] != sent:
                raise process.Failed("-w %d: of %d packets %d were observed, %d dropped" %
                                     (workers, sent, books["observed"], books["dropped"]))
            weir.stop()
        return seconds

    def queues(self):
        if len(self.cores) < 2 or "ring" not in inputs.built_in():
            return self.skip("two queues: one core only, or no ring")
        bench.say("== two queues")
        seconds = {1: [], 2: []}
        for _ in range(5):
            for workers, got in seconds.items():
                try:
                    got.append(self.emptied(workers))
                except (process.Failed, lab.Failed) as failure:
                    return self.skip("two queues: %s" % failure)
                bench.say("  ", workers, got[-1])
        one, two = (min(got) for got in seconds.values())
        rows = [[f"{n} worker{'s' * (n > 1)}", "%.0f" % (min(got) * 1000), "%.0f" % (max(got) * 1000),
                 "%.1f" % (self.args.backlog / min(got) / 1e6)] for n, got in seconds.items()]
        self.tables.append(
            f"**Two workers, each with its ring**: {self.args.backlog:,} packets wait when the workers, which stood still, "
            f"may go on; both cores are theirs. {one / two:.2f} times as fast (to reach: {TWO_QUEUES})"
            f"{mark(one / two >= TWO_QUEUES)}.\n\n" + report.table(["", "ms, best of five", "worst", "million packets a second"], rows))
        return None

    # -- how late records leave when nothing comes any more --

    def lag(self):
        """Flows are begun flat out, then nothing comes: all end by the clock alone."""
        if "ring" not in inputs.built_in():
            return self.skip("lag: no ring")
        bench.say("== lag")
        flows = self.args.lag_flows
        with inputs.PortRig() as rig:
            sink = who.Sink(rig, bench.BUILD, self.sender)
            options = ("--flows", str(flows * 9 // 8), "--idle-timeout", str(LAG_IDLE_S),
                       "-o", "ipfix://127.0.0.1:%d?rate=0" % sink.port)
            try:
                with probe.Weir(rig.rx, "ring:p1", options, program=self.args.weir) as weir:
                    sent, seconds = who.blast(rig, bench.BUILD, self.sender, "packet", "p0", "%dp" % flows, 0, flows)
                    held = weir.wait_observed(sent, 20)["held"]
                    end = time.monotonic() + 4 * LAG_IDLE_S
                    while weir.books_now()["held"] > 0 and time.monotonic() < end:
                        time.sleep(0.5)
                    _, books = weir.stop()
            except (process.Failed, lab.Failed) as failure:
                return self.skip("lag: %s" % failure)
            finally:
                sink.close()
        worst = books["export_lag_max_ns"] / 1e9
        told = {name: books[name] for name in ("observed", "dropped", "records", "end_idle", "records_lost")}
        bench.say("  ", told, "worst lag %.3f s" % worst)
        self.tables.append(
            f"**{flows:,} flows and no packets**: begun in {seconds:.0f} s, {held:,} held at once, then nothing came; idle "
            f"timeout {LAG_IDLE_S} s, IPFIX to a sink. {books['end_idle']:,} records ended idle, {books['records_lost']:,} lost; "
            f"the worst left {worst:.2f} s after its deadline (to reach: 1){mark(worst <= 1)}.")
        return None

    # -- what was to be reached --

    def limits(self):
        """What was to be reached, beside what was."""
        rows = []
        for name in dict.fromkeys(name for _, name in self.results if name.startswith("weir ")):
            lossless, flat, cost = [], [], []
            for rate, _, pps, _ in RATES:
                mine, bare, soft = (self.results.get((rate, k)) for k in (name, who.Bare.name, "softflowd"))
                if not mine or not bare:
                    continue
                if pps == 0:
                    flat.append(share_of(mine) / share_of(bare))
                    cost += [cost_of(mine) / cost_of(soft)] if soft else []
                elif bare["metered"] == bare["sent"]:
                    lossless.append(mine["metered"] == mine["sent"])
            rows.append([name, "%d of %d" % (sum(lossless), len(lossless)) + mark(all(lossless)),
                         ", ".join("%.2f" % s + mark(s >= FLAT_SHARE) for s in flat),
                         ", ".join("%.2f" % c + mark(c <= SOFTFLOWD_SHARE or "ring" not in name) for c in cost)])
        if not rows:
            return ""
        return report.table(["", "fixed rates without loss, of those where the bare loop has none",
                             f"flat out: share metered, times the bare loop's (≥ {FLAT_SHARE})",
                             f"CPU a packet flat out, times softflowd's (ring: ≤ {SOFTFLOWD_SHARE})"], rows)

    def finish(self, load):
        text = ("\n\n".join(filter(None, [self.limits(), *self.tables])) +
                "\n\n%s\n* sender on core %s, meter on core %s, %.1f s a run, all runs of a row added up, 65,536 flows in turn, 60 bytes a frame; "
                "CPU of the whole process, start and last export included\n* load average before and after: %.2f, %.2f"
                "\n* taken: %s" % (bench.machine(), self.sender, self.meter, self.args.seconds, load, os.getloadavg()[0],
                                   time.strftime("%Y-%m-%d", time.gmtime())))
        if self.skipped:
            text += "\n* skipped: " + "; ".join(self.skipped)
        path = bench.DOC if self.args.write else os.path.join(bench.BUILD, "live.md")
        report.write_blocks(path, {"live": text}, "# Live benchmark, not written to the document\n")
        bench.say("\n" + text + "\n\nwritten to " + os.path.relpath(path, bench.ROOT))


PARTS = ("rates", "queues", "lag")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="of sending in each run")
    parser.add_argument("--backlog", type=int, default=8_000_000, help="packets that two queues are emptied of")
    parser.add_argument("--lag-flows", type=int, default=8_000_000, help="flows held when packets stop coming")
    parser.add_argument("--only", choices=PARTS, help="one of the parts")
    parser.add_argument("--who", default=[""], type=lambda s: s.split(","), help="those with such a text in their name")
    parser.add_argument("--weir", default=os.path.join(bench.ROOT, "weir"))
    parser.add_argument("--write", action="store_true", help="put the figures in docs/PERFORMANCE.md")
    return parser.parse_args()


def main():
    args = parse()
    args.weir = os.path.abspath(args.weir)
    why = lab.whole_machine_lacks()
    if why is not None:
        bench.say("bench-live: SKIPPED, " + why)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    process.adopt_orphans()
    bench.build_programs()
    load = os.getloadavg()[0]
    work = tempfile.mkdtemp(prefix="weir-bench-live.")
    start = time.monotonic()
    try:
        live = Live(args, work)
        for part in PARTS if args.only is None else (args.only,):
            getattr(live, part)()
        live.finish(load)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    bench.say("%.0f s in all" % (time.monotonic() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""weir on a wire with outputs, and what all cases share."""
import os
import signal
import subprocess
import threading
import time

import records
import source
import tools

END_S = 60
WATCH_S = 10
IDLE_S = "1"  # the two packets of an answered flow are closer, on a machine that does other things as well


class Bench(tools.Bench):
    def __init__(self, weir, full, seed, names):
        super().__init__(weir, "")
        self.full, self.seed, self.names = full, seed, names

    def start(self, argv, **popen):
        """A process that is killed at the end of the run, at the latest."""
        popen.setdefault("stdin", subprocess.DEVNULL)
        with self._lock:
            if self._closed:
                raise tools.Failed("interrupted")
            process = subprocess.Popen(argv, **popen)
            self._children.add(process)
        return process

    def chosen(self, few, many):
        return many if self.full else few


class Weir:
    """weir on a wire; use it as a context. `books` are there after stop()."""

    def __init__(self, bench, wire, outputs, args=()):
        self._log = bench.new_dir() + "/log"
        argv = [bench.weir, "-i", "ring:" + wire.port, "-f", source.FILTER, "--idle-timeout", IDLE_S, "-w", "1", "--stats", "json",
                "--ring-size", "64MiB", *args]
        for output in outputs:
            argv += ["-o", output]
        with open(self._log, "w", encoding="utf-8") as file:
            self.process = bench.start(argv, stderr=file)
        self.books = None

    def __enter__(self):
        tools.wait_for("weir to watch", lambda: "watching input" in self.log() or self.process.poll() is not None, WATCH_S)
        records.check(self.process.poll() is None, "weir ended: %s", self.log())
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()

    def log(self):
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, expect=0):
        """Ends it in order; its books."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            raise tools.Failed("weir does not end:\n%s" % self.log()[-1500:]) from None
        records.check(code in (expect if isinstance(expect, tuple) else (expect,)), "exit %d:\n%s", code, self.log()[-1500:])
        self.books = tools.last_json(self.log())
        return self.books


def balance(name, books):
    """Every record in is in exactly one place."""
    places = ("unsampled", "filtered", "records", "records_dropped", "queued", "unconfirmed", "spooled")
    records.same_value((name, books["records_in"] + books["recovered"]), (name, sum(books[p] for p in places)),
                       "records in, records in all places")
    records.same_value((name, sum(books["dropped_by_reason"].values())), (name, books["records_dropped"]), "drops with a reason")


def settle(seconds=2.4):
    """Until the last flows have ended and left."""
    time.sleep(seconds)


def in_order(flows, place):
    """Whether a session is a merge of two rising runs (fresh records, and those of the spool) without copies."""
    tops, seen = [-1, -1], set()
    for flow in flows:
        at = place[flow]
        if at in seen:
            return "%s twice" % (flow,)
        seen.add(at)
        run = max((r for r in (0, 1) if tops[r] < at), key=lambda r: tops[r], default=None)
        if run is None:
            return "%s after %d and %d" % (flow, *tops)
        tops[run] = at
    return None

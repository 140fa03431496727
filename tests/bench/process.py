"""Processes under measurement: pinned to cores, bounded in time, charged with their CPU time.

What a process costs is user + system time of it and of all its descendants (wait4), so start-up
and the last flush are in it. Only processes started here are ever ended.
"""
import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36
KILL_WAIT_S = 2


class Failed(Exception):
    """A measured process ended badly or took too long."""


@dataclass
class Run:
    cpu_s: float
    wall_s: float
    rss_bytes: int       # peak, file pages included
    anon_bytes: int      # peak of RssAnon where it was sampled, else 0
    out: str
    err: str


def adopt_orphans():
    """Grandchildren whose parent has gone become ours, so that their time can be read."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_group(pgid, sig=signal.SIGKILL):
    try:
        os.killpg(pgid, sig)
    except ProcessLookupError:
        pass


def rss_anon(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Watch(threading.Thread):
    """Ends a group that takes too long; samples anonymous memory if asked to."""

    def __init__(self, pid, timeout_s, sample):
        super().__init__(daemon=True)
        self.pid, self.timeout_s, self.sample = pid, timeout_s, sample
        self.done = threading.Event()
        self.anon_bytes = 0
        self.timed_out = False

    def run(self):
        end = time.monotonic() + self.timeout_s
        step = 0.004 if self.sample else self.timeout_s
        while not self.done.wait(step):
            if self.sample:
                self.anon_bytes = max(self.anon_bytes, rss_anon(self.pid))
            if time.monotonic() >= end:
                self.timed_out = True
                kill_group(self.pid)
                return


def collect(pid):
    """Waits for a process and for what is left of its group; returns (status, cpu, maxrss)."""
    _, status, usage = os.wait4(pid, 0)
    cpu, rss = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    while True:
        try:
            _, _, more = os.wait4(-pid, 0)
        except ChildProcessError:
            return status, cpu, rss * 1024
        cpu += more.ru_utime + more.ru_stime
        rss = max(rss, more.ru_maxrss)


def run(command, cores, work, timeout_s=120, sample=False, cwd=None):
    """Runs a command on the given cores and returns its Run; raises Failed."""
    out_path, err_path = os.path.join(work, "run.out"), os.path.join(work, "run.err")
    with open(out_path, "wb") as out, open(err_path, "wb") as err:
        start = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                                 start_new_session=True,
                                 preexec_fn=lambda: os.sched_setaffinity(0, cores))
        watch = Watch(child.pid, timeout_s, sample)
        watch.start()
        try:
            status, cpu, rss = collect(child.pid)
        except BaseException:
            kill_group(child.pid)
            raise
        finally:
            watch.done.set()
            watch.join()
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    with open(out_path, errors="replace") as out, open(err_path, errors="replace") as err:
        texts = out.read(), err.read()
    if watch.timed_out:
        raise Failed(f"{command[0]}: no end after {timeout_s} s")
    if child.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit status {child.returncode}: {texts[1][-400:]}")
    return Run(cpu, wall, rss, watch.anon_bytes, *texts)


class Sink:
    """The counting collector, on its own core."""

    def __init__(self, program, core):
        self.child = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      start_new_session=True,
                                      preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.port = int(self.child.stdout.readline())

    def totals(self):
        """Ends it; what it received."""
        self.child.terminate()
        try:
            text, _ = self.child.communicate(timeout=KILL_WAIT_S * 5)
        except subprocess.TimeoutExpired:
            self.close()
            raise Failed("sink: no end") from None
        return json.loads(text)

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

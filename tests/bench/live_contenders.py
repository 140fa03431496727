"""Who meters a live port in the benchmark: the bare loop, weir by its inputs, and peers, each alone on a rig.

A contender is started in the namespace of the port, says when it is ready, and afterwards what it metered and
what its input lost. All of its processes are charged, from start to end.
"""
import json
import os
import re
import signal
import subprocess
import time

import inputs
import lab
import peers
import process

RING_MIB = 32  # as weir's
END_S = 30
MOST_S = 60  # of sending


class Contender:
    """One process in a namespace, on the given cores, its output in files."""
    name = ""
    kind = "port"       # of rig
    workers = 1
    stop_signal = signal.SIGINT

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.out, self.err = os.path.join(work, "live.out"), os.path.join(work, "live.err")

    def lacks(self):
        return None

    def command(self, port):
        raise NotImplementedError

    def start(self, rig, cores, port):
        self.rig = rig
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.child = rig.rx.popen(["taskset", "-c", cores, *self.command(port)], stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=err, start_new_session=True, cwd=self.work)
        end = time.monotonic() + 10
        while not self.is_ready():
            if self.child.poll() is not None or time.monotonic() > end:
                self.kill()
                raise process.Failed("%s does not start: %s" % (self.name, self.text(self.err)[-300:]))
            time.sleep(0.02)

    def stop(self):
        """CPU seconds of all it was."""
        self.child.send_signal(self.stop_signal)
        watch = process.Watch(self.child.pid, END_S, False)
        watch.start()
        _, cpu, _ = process.collect(self.child.pid)
        self.child.returncode = 0
        watch.done.set()
        watch.join()
        if watch.timed_out:
            raise process.Failed("%s: no end after %d s" % (self.name, END_S))
        return cpu

    def kill(self):
        if getattr(self, "child", None) is not None and self.child.returncode is None:
            process.kill_group(self.child.pid)
            self.child.wait()

    @staticmethod
    def text(path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def is_ready(self):
        raise NotImplementedError

    def before_stop(self):
        """What it can only say while it runs."""

    def said(self):
        """(metered, dropped); dropped None where it does not tell."""
        raise NotImplementedError


class Bare(Contender):
    name = "bare loop (TPACKET_V3)"

    def command(self, port):
        return [os.path.join(self.build, "ringcount"), "p1", str(RING_MIB)]

    def is_ready(self):
        return "ready" in self.text(self.out)

    def said(self):
        said = json.loads(self.text(self.out).splitlines()[-1])
        return said["packets"], said["dropped"]


class Weir(Contender):
    """weir by one row of the live tests' table, sending NetFlow v9 to the sink, as softflowd does."""

    def __init__(self, build, work, row, program):
        super().__init__(build, work)
        self.row, self.program = row, program
        self.name, self.kind = "weir " + row.name, row.rig

    def lacks(self):
        return inputs.lacks(self.row)

    def command(self, port):
        return [self.program, "-i", self.row.spec, "-o", "netflow9://127.0.0.1:%d?rate=0" % port, "--flows", "131072",
                "--stats", "json", *self.row.options]

    def is_ready(self):
        return "watching" in self.text(self.err)

    def said(self):
        books = json.loads([line for line in self.text(self.err).splitlines() if line.startswith("{")][-1])
        if not books["balanced"]:
            raise process.Failed("%s: the books do not balance" % self.name)
        return books["metered"], books["dropped"]


class Softflowd(Contender):
    name = "softflowd"
    stop_signal = signal.SIGTERM

    def __init__(self, build, work):
        super().__init__(build, work)
        self.path = peers.Softflowd(work).path
        self.statistics = ""

    def lacks(self):
        return None if self.path else "softflowd is not installed"

    def command(self, port):
        return [self.path, "-d", "-i", "p1", "-n", "127.0.0.1:%d" % port, "-v", "9", "-m", "80000", "-p",
                os.path.join(self.work, "softflowd.pid"), "-c", os.path.join(self.work, "softflowd.ctl")]

    def is_ready(self):
        return "Exporting flows" in self.text(self.out) + self.text(self.err)

    def before_stop(self):
        time.sleep(1)  # it looks at its input once a second
        self.statistics = self.rig.rx.run("softflowctl", "-c", os.path.join(self.work, "softflowd.ctl"),
                                          "statistics").stdout

    def said(self):
        metered, dropped = (int(re.search(what + r": (\d+)", self.statistics).group(1))
                            for what in ("Packets processed", "Packets dropped by libpcap"))
        return metered, dropped


class Pmacctd(Contender):
    name = "pmacctd"

    def __init__(self, build, work):
        super().__init__(build, work)
        self.path = peers.Pmacctd(work).path

    def lacks(self):
        return None if self.path else "pmacctd is not installed"

    def command(self, port):
        conf, csv = os.path.join(self.work, "pmacctd.conf"), os.path.join(self.work, "pmacctd.csv")
        if os.path.exists(csv):
            os.unlink(csv)
        with open(conf, "w", encoding="ascii") as f:
            f.write("daemonize: false\npcap_interface: p1\nplugins: print\n"
                    "aggregate: src_host,dst_host,src_port,dst_port,proto\n"
                    "print_output: csv\nprint_output_file: %s\nprint_refresh_time: 3600\n"
                    "print_cache_entries: 65537\nplugin_buffer_size: 65536\nplugin_pipe_size: 67108864\n" % csv)
        return [self.path, "-f", conf]

    def is_ready(self):
        return "base cache memory" in self.text(self.out) + self.text(self.err)

    def said(self):
        csv, end = os.path.join(self.work, "pmacctd.csv"), time.monotonic() + 5
        while not os.path.exists(csv) and time.monotonic() < end:
            time.sleep(0.1)  # its writer may be behind
        with open(csv, encoding="ascii") as f:
            next(f)
            metered = sum(int(line.rsplit(",", 2)[1]) for line in f)
        dropped = re.search(r"dropped_packets=(\d+)", self.text(self.out) + self.text(self.err))
        return metered, int(dropped.group(1)) if dropped else None


class Sink:
    """The collector that counts, in the port's namespace, on the sender's core, which rests when records come."""

    def __init__(self, rig, build, cores):
        self.child = rig.rx.popen(["taskset", "-c", cores, os.path.join(build, "sink")], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE)
        self.port = int(self.child.stdout.readline())

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def contenders(build, work, weir):
    """(those that can run, why others cannot)."""
    rows = [row for row in inputs.INPUTS if row.bench]
    every = [Bare(build, work), *(Weir(build, work, row, weir) for row in rows), Softflowd(build, work),
             Pmacctd(build, work)]
    return [one for one in every if not one.lacks()], [one.lacks() for one in every if one.lacks()]


def blast(rig, build, cores, mode, link, seconds, pps, flows=None):
    """Sends for some seconds, or a number of packets ("1000p"); (packets that got to the port, seconds). A veth
    pair that runs XDP holds 256 packets a queue and lets go of the rest: that is before anybody's port."""
    space = rig.tx if link == "p0" else rig.rx
    before = rig.rx.counters("p1")
    said = json.loads(space.run("taskset", "-c", cores, os.path.join(build, "blast"), mode, link, str(seconds),
                                str(pps), *([str(flows)] if flows else []), timeout=MOST_S).stdout)
    arrived = rig.rx.counters("p1")["rx_packets"] - before["rx_packets"]
    return said["sent"] if mode == "pass" else arrived, said["seconds"]

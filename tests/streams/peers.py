"""Collectors that die and come back at random moments under load, and what their sessions brought."""
import os
import random
import subprocess
import sys
import threading
import time

import dtls
import kafka
import tools
import transports

HERE = os.path.dirname(os.path.abspath(__file__))
UP_S = (1.0, 1.4)     # a session that held for a second makes the next pause a short one
AWAY_S = (0.0, 0.5)
LATE_S = 30           # until a collector is found again: the longest pause, once
BYTES = (1, 60_000)
EARLY = 0.12          # of the lives are short
PARTITIONS = 32       # the mock keeps 5 MB of each
KAFKA_AWAY_S = (0.1, 2.6)  # after 2 s without a broker a session is given up


class Mortal(threading.Thread):
    """One transport's collector: dies `deaths` times by SIGKILL, reset or close, then stays."""

    def __init__(self, bench, transport, deaths, seed):
        super().__init__(daemon=True)
        self.transport, self.deaths = transport, deaths
        self._bench, self._random = bench, random.Random("%s %s" % (transport.scheme, seed))
        self._folder, self.port, self.error = bench.new_dir(), tools.free_port(), None
        self._keys = dtls.keys(bench) if transport.tls else None
        self._last, self._halted = None, threading.Event()

    def url(self, *options):
        if self._keys:
            probe = self._keys.client
            options += ("ca=" + probe.ca, "cert=" + probe.cert, "key=" + probe.key)
        return "%s://127.0.0.1:%d?%s" % (self.transport.scheme, self.port, "&".join(options))

    def _start(self, life, how="stay", seconds=0.0, limit=0):
        argv = [sys.executable, "-S", os.path.join(HERE, "collector.py"), str(self.port), self._folder, "%04d" % life, how,
                str(seconds), str(limit)]
        if self._keys:
            argv += [self._keys.server.cert, self._keys.server.key, self._keys.server.ca]
        return self._bench.start(argv, stderr=subprocess.DEVNULL)

    def run(self):
        try:
            for life in range(self.deaths):
                if self._halted.is_set():
                    break
                self._live(life)
                time.sleep(self._random.uniform(*AWAY_S))
            self._last = self._start(self.deaths)
            if not self._halted.is_set():
                self._wait_met(self.deaths)
        except Exception as error:  # told to the case, which asks
            self.error = error

    def _wait_met(self, life):
        """Until this life's first session has brought something."""
        first = "%s/%04d-" % (self._folder, life)
        tools.wait_for("a session of %s, life %d" % (self.transport.scheme, life),
                       lambda: self._halted.is_set() or any(os.path.getsize(p) for p in self._paths() if p.startswith(first)), LATE_S)

    def _live(self, life):
        how = self._random.choice(("stay", "stay", "reset", "close"))
        early = self._random.random() < EARLY
        seconds = 0.0 if early else self._random.uniform(*UP_S)
        process = self._start(life, how, seconds, self._random.randint(*BYTES))
        if not early or how != "stay":  # else it dies before a session, or in the greeting, or after a few bytes
            self._wait_met(life)
        end = time.monotonic() + (seconds if how == "stay" else seconds + UP_S[1])
        if early and how == "stay":
            end = time.monotonic() + self._random.uniform(0, UP_S[0])
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.kill()
        process.wait()

    def _paths(self):
        return sorted(os.path.join(self._folder, name) for name in os.listdir(self._folder))

    def raw(self):
        """The bytes of each session."""
        found = []
        for path in self._paths():
            with open(path, "rb") as file:
                found.append(file.read())
        return found

    def sessions(self, cut=False):
        """[flows, in order] of each session; those of the last life may have been cut only when `cut` says so."""
        lives = [int(os.path.basename(path)[:4]) for path in self._paths()]
        return [self.transport.sessions(data, cut or life < self.deaths) for life, data in zip(lives, self.raw())]

    def end(self):
        """Ends the thread, wherever it is, and the collector."""
        self._halted.set()
        self.join(LATE_S)
        if self._last is not None:
            self._last.kill()
            self._last.wait()


class MortalKafka(threading.Thread):
    """librdkafka's mock broker, gone and back. It keeps what it acknowledged, all in one process."""

    transport = transports.Transport("kafka", None, False)

    def __init__(self, bench, deaths, seed):
        super().__init__(daemon=True)
        self.deaths, self.error, self._halted = deaths, None, threading.Event()
        self._random, self._context = random.Random("kafka %s" % seed), kafka.broker(bench, PARTITIONS)
        self._broker = self._context.__enter__()
        self._broker.tell("down")  # like the others, it is there when the thread runs

    def url(self, *options):
        return self._broker.url(*(o for o in options if not o.startswith("resend=")))

    def run(self):
        try:
            self._broker.tell("up")
            for _ in range(self.deaths):
                if self._halted.is_set():
                    break
                time.sleep(self._random.uniform(0.2, 0.8))
                self._broker.tell("down")
                time.sleep(self._random.uniform(*KAFKA_AWAY_S))
                self._broker.tell("up")
        except Exception as error:
            self.error = error

    def sessions(self, cut=False):
        """All that is in the topic, a partition each: sessions leave no trace, and copies are allowed."""
        self._halted.set()  # nobody can read while it is away: it comes back and dies no more
        self.join(LATE_S)
        return [[transports.of_json(m.payload) for m in self._broker.read()]]

    def end(self):
        self._halted.set()
        self.join(LATE_S)
        self._context.__exit__(None, None, None)


def make(bench, transport, deaths, seed):
    return MortalKafka(bench, deaths, seed) if transport == "kafka" else Mortal(bench, transport, deaths, seed)

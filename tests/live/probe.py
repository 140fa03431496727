"""weir in a namespace: started, known to be watching, stopped; its records, books and log."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import lab

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.path.abspath(os.environ.get("WEIR", os.path.join(TOP, "weir")))
READY_S = 10
END_S = 30
PATIENT = ("--idle-timeout", "3600", "--active-timeout", "3600", "--tcp-linger", "3600")


def read_records(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def books_of(text):
    """The object that --stats json prints, among log lines."""
    found = [line for line in text.splitlines() if line.startswith("{")]
    lab.check(found, "no books on standard error: %s" % text[-400:])
    return json.loads(found[-1])


def replay(path, options=(), fields=None):
    """Records and books of a capture."""
    done = lab.run([WEIR, "-r", path, *options, "-o", "json:-" + ("?fields=" + fields if fields else ""),
                    "--stats", "json"])
    return [json.loads(line) for line in done.stdout.splitlines()], books_of(done.stderr)


def version():
    return lab.run([WEIR, "--version"]).stdout


class Weir:
    """A live probe, watching when the constructor returns; a context manager that leaves none behind."""

    def __init__(self, space, specs, options=(), folder=None, fields=None, ready=True, stream=False, program=WEIR):
        """`folder`: records go to a file there; `stream`: to us, as they come; neither: nowhere."""
        specs = [specs] if isinstance(specs, str) else specs
        self.specs = specs
        self.path = os.path.join(folder, "%s-%d.json" % (re.sub(r"\W+", "-", specs[0]), id(self))) if folder else None
        out = "json:-" if stream else "null:" if folder is None else \
            "json:" + self.path + ("?fields=" + fields if fields else "")
        words = [program, *(word for spec in specs for word in ("-i", spec)), "-o", out, "--stats", "json", *options]
        self.lines, self.arrived, self.news = [], [], threading.Condition()
        self.process = space.popen(words, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE if stream else subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, errors="replace")
        self.readers = [threading.Thread(target=self._read, daemon=True)]
        if stream:
            self.readers.append(threading.Thread(target=self._read_records, daemon=True))
        for reader in self.readers:
            reader.start()
        if ready:
            try:
                self.wait_log("watching", len(specs))
            except lab.Failed:
                self.kill()
                raise

    def _read(self):
        for line in self.process.stderr:
            with self.news:
                self.lines.append((time.monotonic(), line.rstrip("\n")))
                self.news.notify_all()
        with self.news:
            self.lines.append((time.monotonic(), None))  # the end
            self.news.notify_all()

    def _read_records(self):
        for line in self.process.stdout:
            with self.news:
                self.arrived.append((time.monotonic(), json.loads(line)))
                self.news.notify_all()

    def wait_record(self, number=0, seconds=5):
        """Waits for a streamed record; (when it came, the record)."""
        with self.news:
            now = time.monotonic()
            lab.check(self.news.wait_for(lambda: len(self.arrived) > number, seconds),
                      "%s: no record came within %.1f s; log: %s" %
                      (self.specs, seconds, ["%+.1f %s" % (at - now, line) for at, line in self.lines]))
            return self.arrived[number]

    def log(self):
        with self.news:
            return "\n".join(line for _, line in self.lines if line is not None)

    def wait_log(self, pattern, times=1, seconds=READY_S):
        """Waits for so many log lines that match; when the last of them came (monotonic seconds)."""
        end = time.monotonic() + seconds
        with self.news:
            while True:
                found = [at for at, line in self.lines if line is not None and re.search(pattern, line)]
                if len(found) >= times:
                    return found[times - 1]
                left = end - time.monotonic()
                lab.check(left > 0 and not (self.lines and self.lines[-1][1] is None),
                          "%s: no log line '%s': %s" % (self.specs, pattern,
                                                        "\n".join(line or "(ended)" for _, line in self.lines[-8:])))
                self.news.wait(left)

    def send_signal(self, number):
        self.process.send_signal(number)

    def books_now(self):
        """The books as SIGUSR1 logs them."""
        with self.news:
            times = sum(1 for _, line in self.lines if line and "books: observed=" in line)
        self.send_signal(signal.SIGUSR1)
        self.wait_log("books: observed=", times + 1)
        line = [line for line in self.log().splitlines() if "books: observed=" in line][-1]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}

    def wait_observed(self, packets, seconds=5):
        """Waits until so many packets were observed (or lost); the books then."""
        end = time.monotonic() + seconds
        while True:
            books = self.books_now()
            if books["observed"] + books["dropped"] >= packets or time.monotonic() > end:
                return books
            time.sleep(0.01)

    def wait_end(self, seconds=END_S):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise lab.Failed("%s: no end after %d s: %s" % (self.specs, seconds, self.log()[-400:])) from None
        self._join()
        return code

    def _join(self):
        for reader in self.readers:
            reader.join(5)

    def stop(self, number=signal.SIGINT, expect=(0,)):
        """Ends it; (records, books). It must end well: with an exit status that is expected."""
        self.send_signal(number)
        code = self.wait_end()
        lab.check(code in expect, "%s: exit status %d: %s" % (self.specs, code, self.log()[-600:]))
        books = books_of(self.log())
        lab.check(books["balanced"], "%s: books do not balance: %s" % (self.specs, books))
        return (read_records(self.path) if self.path else [record for _, record in self.arrived]), books

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._join()

#!/usr/bin/env python3
"""weir at live ports: in network namespaces of its own, with real packets between them.

    run.py [--full] [-k TEXT] [-v]

Exit 0 when no case failed. The closing line is `N passed, N failed`, and how many were skipped. See README.md here.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor  # now: it takes a lock around forks, which threads of ours make later

sys.dont_write_bytecode = True

import captures
import case_doctor
import case_equality
import case_faults
import case_inputs
import case_names
import case_own
import case_queues
import case_ring
import case_traffic
import lab


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every capture, a gigabyte: some minutes")
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases with TEXT in their name")
    parser.add_argument("-v", action="store_true", help="a line for every case that passed, too")
    return parser.parse_args()


AT_ONCE = 4  # of the cases that mostly wait


class Tally:
    def __init__(self, verbose):
        self.verbose = verbose
        self.passed = self.failed = 0
        self.skipped = {}
        self.again = []
        self.lock = threading.Lock()

    def case(self, name, function, folder):
        """Runs one, in a folder of its own."""
        start = time.monotonic()
        try:
            function(tempfile.mkdtemp(dir=folder))
        except lab.Skip as why:
            with self.lock:
                self.skipped.setdefault(str(why), []).append(name)
            return
        except (lab.Failed, subprocess.SubprocessError, OSError) as why:
            self.fail(name, function,
                      "%s: %s" % (type(why).__name__, why) if not isinstance(why, lab.Failed) else str(why))
            return
        except Exception:
            self.fail(name, function, traceback.format_exc(limit=-4))
            return
        with self.lock:
            self.passed += 1
        if self.verbose:
            print("ok   %s (%.1f s)" % (name, time.monotonic() - start), flush=True)

    def fail(self, name, function, text):
        """A case that fails in company is tried once more alone: others' load may have held up what had to be in time.
        It is said, so that what often needs it is seen."""
        with self.lock:
            alone = self.again is None
            if alone:
                self.failed += 1
            else:
                self.again.append((name, function))
        print("%s %s\n     %s" % ("FAIL" if alone else "ONCE MORE", name, text.replace("\n", "\n     ")[:2000]),
              flush=True)

    def try_again(self, folder):
        again, self.again = self.again, None
        for name, function in again:
            self.case(name, function, folder)

    def close(self):
        skipped = 0
        for why, names in self.skipped.items():
            skipped += len(names)
            print("live: SKIPPED %d cases (%s%s): %s" % (len(names), names[0], " ..." if len(names) > 1 else "", why))
        print("%d passed, %d failed%s" % (self.passed, self.failed, ", %d skipped" % skipped if skipped else ""))
        return 1 if self.failed else 0


def run_all(options, tally, folder):
    def one_by_one(found):
        for name, function in found:
            if options.k in name:
                tally.case(name, function, folder)

    def all_of(groups, at_once):
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one_by_one, groups))

    def side_by_side(*lists):
        all_of([[one] for found in lists for one in found], AT_ONCE)

    closers, waiting = [], []
    try:
        if os.path.isdir(captures.FOLDER):
            if options.k in "paced[" or "paced" in options.k:
                waiting = case_equality.paced_cases(options.full, folder)
            groups, close = case_equality.cases(options.full)
            closers.append(close)
            all_of(groups, AT_ONCE)
        else:
            tally.skipped["no real captures at WEIR_PCAPS (%s)" % captures.FOLDER] = ["equal", "paced"]
        one_by_one(case_traffic.cases(options.full))
        one_by_one(case_faults.hasty_cases(options.full))
        side_by_side(case_faults.cases(options.full), case_inputs.cases(options.full), case_own.cases(options.full),
                     case_queues.cases(options.full), case_ring.cases(options.full), case_doctor.cases(options.full),
                     case_names.cases(options.full))
        one_by_one(waiting)
        tally.try_again(folder)
    finally:
        for close in closers:
            close()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is taken down
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    why = lab.whole_machine_lacks()
    if why is not None:
        print("live: SKIPPED, %s" % why)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    tally = Tally(options.v)
    with tempfile.TemporaryDirectory(prefix="weir-live.") as folder:
        run_all(options, tally, folder)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())

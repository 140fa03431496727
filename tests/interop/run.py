#!/usr/bin/env python3
"""Interoperability: what real collectors, and an independent decoder, understand of weir's export.

    run.py [--weir PATH] [--pcaps DIR] [-k TEXT] [-j N] [-v]

Exit 0 when no case failed. The closing line is `N passed, N failed`, and how many were skipped where the real captures,
or a kernel with SCTP, are not there. See README.md here.
"""
import argparse
import importlib
import multiprocessing
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import suite  # noqa: E402
import tools  # noqa: E402


# A process a line, since Python computes on one core only: two that mostly compute, and one that waits for clocks, which
# what decodes shall not hold up. The longest cases begin first.
GROUPS = ["cases_wire cases_files".split(),
          "cases_edge cases_tools cases_collectors".split(),
          "cases_dtls cases_kafka cases_streams cases_sctp cases_syslog cases_local cases_ip6".split()]


def arguments():
    parser = argparse.ArgumentParser(description="weir against real collectors")
    parser.add_argument("--weir", default=os.path.join(tools.TOP, "weir"), help="the probe (default: ./weir of this tree)")
    parser.add_argument("--pcaps", default=os.environ.get("WEIR_PCAPS") or os.path.join(tools.TOP, "..", "shared", "pcaps"),
                        help="the captures (default: $WEIR_PCAPS, else ../shared/pcaps beside this tree)")
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases with TEXT in their name")
    parser.add_argument("-j", type=int, default=6, metavar="N", help="cases at a time")
    parser.add_argument("-v", action="store_true", help="a line for every case that passed, too")
    return parser.parse_args()


def load(groups):
    """The cases of each group of modules."""
    for module in sum(groups, []):
        importlib.import_module(module)
    return [[case for module in modules for case in suite.CASES if case.module == module] for modules in groups]


def run(options, cases, workers):
    bench = tools.Bench(os.path.abspath(options.weir), os.path.abspath(options.pcaps))
    try:
        return suite.run(bench, options.k, workers, options.v, cases)
    finally:
        bench.close()


class Other:
    """Another process that runs cases."""

    def __init__(self, options, cases, workers):
        fork = multiprocessing.get_context("fork")
        self._result, result = fork.Pipe(duplex=False)
        self._process = fork.Process(target=lambda: result.send(run(options, cases, workers)))
        self._process.start()
        result.close()

    def counts(self):
        try:
            return self._result.recv()
        except EOFError:
            print("FAIL a process of the suite ended early")
            return 0, 1, 0

    def end(self):
        self._process.terminate()
        self._process.join()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the finally below runs
    os.environ["WEIR_PCAPS"] = os.path.abspath(options.pcaps)  # cases list its captures when they are loaded
    groups = load(GROUPS if options.j >= len(GROUPS) else [sum(GROUPS, [])])
    suite.saying = multiprocessing.Lock()
    workers = options.j // len(groups)
    others = [Other(options, cases, workers) for cases in groups[1:]]
    try:
        counts = [run(options, groups[0], workers)]
        counts += [other.counts() for other in others]
    finally:
        for other in others:
            other.end()
    passed, failed, skipped = map(sum, zip(*counts))
    if skipped:
        print("interop: SKIPPED %d cases, -v tells why (WEIR_PCAPS: %s)" % (skipped, options.pcaps))
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

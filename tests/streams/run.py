#!/usr/bin/env python3
"""The fault suite of outputs with sessions: collectors, and weir itself, die under load, and no record may be missing.

    run.py [--weir PATH] [--full] [--seed N] [-k TEXT] [-v]

Runs in a network namespace of its own, which ends with it. Needs root (or user namespaces); else says what it skips. The
closing line is `N passed, N failed`.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop")]
INSIDE = "WEIR_STREAMS_INSIDE"
LIMIT_S = 900
AT_ONCE = 3  # cases: they wait more than they work


def enter():
    """Starts this program again in namespaces of its own; returns only when that cannot be done: why."""
    ways = [["unshare", "--net", "--mount"], ["unshare", "--user", "--map-root-user", "--net", "--mount"]]
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return "%s is not installed" % tool
    for way in ways:
        if subprocess.run([*way, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0:
            os.environ[INSIDE] = "1"
            sys.stdout.flush()
            os.execvp(way[0], [*way, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    return "namespaces cannot be made here (not root?)"


def arguments():
    parser = argparse.ArgumentParser(description="weir beside collectors that die")
    parser.add_argument("--weir", default=os.path.join(TOP, "weir"), help="the probe (default: ./weir of this tree)")
    parser.add_argument("--full", action="store_true", help="50 deaths a transport instead of 5")
    parser.add_argument("--seed", default=None, help="of the random moments (default: another each time, printed)")
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases with TEXT in their name")
    parser.add_argument("-v", action="store_true", help="a line for every case that passed, too")
    return parser.parse_args()


def prepare():
    for words in (["ip", "link", "set", "lo", "up"], ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                                                      "net.ipv6.conf.default.disable_ipv6=1"]):
        subprocess.run(words, check=False, capture_output=True)


def main():
    options = arguments()
    if INSIDE not in os.environ:
        print("streams: SKIPPED, %s" % enter())
        print("0 passed, 0 failed, all skipped")
        return 0
    prepare()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the finally below runs
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("streams: no end after %d s" % LIMIT_S))
    signal.alarm(LIMIT_S)
    os.environ["WEIR_PCAPS"] = ""
    import names
    import rig
    import suite
    import cases_checker, cases_kills, cases_names, cases_own_life  # noqa: E401,F401  each adds its cases to the suite
    bench = rig.Bench(os.path.abspath(options.weir), options.full, options.seed or str(time.time_ns()), names.serve())
    print("streams: --seed %s" % bench.seed)
    try:
        passed, failed, skipped = suite.run(bench, options.k, AT_ONCE, options.v)
    finally:
        bench.close()
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

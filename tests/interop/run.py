#!/usr/bin/env python3
"""Interoperability: what real collectors, and an independent decoder, understand of weir's export.

    run.py [--weir PATH] [--pcaps DIR] [-k TEXT] [-j N] [-v]

Exit 0 when no case failed. The closing line is `N passed, N failed`, and how many were skipped where the real captures,
or a kernel with SCTP, are not there. See README.md here.
"""
import argparse
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import suite  # noqa: E402
import tools  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description="weir against real collectors")
    parser.add_argument("--weir", default=os.path.join(tools.TOP, "weir"), help="the probe (default: ./weir of this tree)")
    parser.add_argument("--pcaps", default=os.environ.get("WEIR_PCAPS") or os.path.join(tools.TOP, "..", "shared", "pcaps"),
                        help="the captures (default: $WEIR_PCAPS, else ../shared/pcaps beside this tree)")
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases with TEXT in their name")
    parser.add_argument("-j", type=int, default=4, metavar="N", help="cases at a time")
    parser.add_argument("-v", action="store_true", help="a line for every case that passed, too")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the finally below runs
    os.environ["WEIR_PCAPS"] = os.path.abspath(options.pcaps)  # cases list its captures when they are loaded
    import cases_tools, cases_collectors, cases_wire, cases_files, cases_edge, cases_syslog, cases_kafka, cases_local, cases_dtls, cases_sctp, cases_streams, cases_ip6  # noqa: E401,F401  each adds its cases to the suite
    bench = tools.Bench(os.path.abspath(options.weir), os.path.abspath(options.pcaps))
    try:
        passed, failed, skipped = suite.run(bench, options.k, options.j, options.v)
    finally:
        bench.close()
    if skipped:
        print("interop: SKIPPED %d cases, -v tells why (WEIR_PCAPS: %s)" % (skipped, options.pcaps))
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

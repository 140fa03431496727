#!/usr/bin/env python3
"""Instructions a packet of each stage, counted by callgrind: the same on any machine that runs the
same binary, so a regression shows where clocks are too noisy to show it.

Builds tests/bench/micro_*.c against build/release/libweir.a, runs each mode with N and with 2 N, and
divides the difference by N: what is done once drops out. The table goes to docs/PERFORMANCE.md.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import report

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "bench")
LIBRARY = os.path.join(ROOT, "build", "release", "libweir.a")
DOC = os.path.join(ROOT, "docs", "PERFORMANCE.md")


def pkg_config(what):
    """Flags for what the library stands on, as the Makefile found it."""
    packages = subprocess.run(["make", "-s", "-C", ROOT, "link-packages"], capture_output=True,
                              text=True, check=True).stdout.split()
    return subprocess.run(["pkg-config", what, *packages], capture_output=True, text=True,
                          check=True).stdout.split()


def build(source, extra):
    program = os.path.join(BUILD, os.path.splitext(os.path.basename(source))[0])
    includes = [f"-I{os.path.join(ROOT, d)}" for d in ("include", "common", "probe", "exporter")]
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra",
                    "-D_GNU_SOURCE", "-pthread", *includes, *pkg_config("--cflags"), "-o", program,
                    source, LIBRARY, *pkg_config("--libs"), *extra, "-lm"], check=True)
    return program


def instructions(program, mode, n, work):
    out = os.path.join(work, "callgrind.out")
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                           "--toggle-collect=measured", program, mode, str(n), work],
                          capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"{os.path.basename(program)} {mode}: {done.stderr.strip()[-300:]}")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=32768, help="packets of the shorter run")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--only", default="", help="stages whose name contains this")
    parser.add_argument("--libs", default="", help="more linker flags")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("micro: valgrind is not installed")
    if not os.path.exists(LIBRARY):
        sys.exit("micro: run `make build/release/libweir.a` first")
    os.makedirs(BUILD, exist_ok=True)
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="weir-micro.") as work:
        for source in sorted(glob.glob(os.path.join(HERE, "micro_*.c"))):
            stage = os.path.basename(source)[len("micro_"):-2]
            if args.only not in stage:
                continue
            try:
                program = build(source, args.libs.split())
            except subprocess.CalledProcessError:
                print(f"{stage}: does not build", file=sys.stderr)
                failed += 1
                continue
            modes = subprocess.run([program, "modes"], capture_output=True, text=True, check=True)
            for line in modes.stdout.splitlines():
                mode, what = line.split("\t")
                try:
                    each = (instructions(program, mode, 2 * args.n, work)
                            - instructions(program, mode, args.n, work)) / args.n
                except (RuntimeError, subprocess.TimeoutExpired) as failure:
                    print(failure, file=sys.stderr)
                    failed += 1
                    continue
                rows.append([stage, what, f"{each:.0f}"])
                print(f"{stage:8} {each:8.1f}  {what}", flush=True)
    head = ["stage", "what", "instructions a packet (encode: a record)"]
    version = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True,
                             text=True, check=True).stdout.splitlines()[0]
    text = report.table(head, rows) + f"\n\nCompiler: {version}, -O2."
    if not args.no_write and not args.only and not failed:
        report.write_blocks(DOC, {"micro": text}, "# Performance\n")
        print("written to docs/PERFORMANCE.md")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

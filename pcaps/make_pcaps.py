#!/usr/bin/env python3
"""Writes the small captures of this folder, what a probe must find in them, and their table.

    make_pcaps.py           write every file again: the bytes are the same on every machine
    make_pcaps.py --check   say which files differ from what would be written, exit 1 if any

One capture a behaviour of the metering contract. The bytes come from maker/packets.py and
maker/files.py; the expectations are literal data beside each capture in maker/*_cases.py, worked
out by hand from the contract and never taken from a probe's output. tests/golden/run.py holds
weir against them.
"""
import json
import os
import sys

from maker import (dedup_cases, end_cases, file_cases, icmp_cases, ip_cases,  # noqa: F401
                   key_cases, link_cases, wrapper_cases)
from maker.case import CASES

FOLDER = os.path.dirname(os.path.abspath(__file__))

README_HEAD = """# Small captures

One capture a behaviour, made by `make_pcaps.py` (Python, standard library only), which also writes this table.
`expect/` says for each what a probe must find: `files`, `cmd` (options beside `-r`), `output` where it is not
`json:-`, `exit` (allowed exit statuses), `books` (a name may be a sum where the contract leaves the choice open) and
`records` (biflow, the fields that matter; a field that is not there counts as 0; `@name` stands for one value, the same
wherever it is used in that file). `tests/golden/run.py` runs them all. Expectations are worked out by hand.

`demo.pcap` is real traffic between network namespaces, recorded by `make_demo.sh`; it differs each time it is made.

| file | what it shows |
| --- | --- |
"""


def outputs():
    """Every file as (path inside this folder, bytes)."""
    table = README_HEAD
    for case in CASES:
        yield case.name, case.data
        table += "| %s | %s |\n" % (case.name, case.shows)
        for variant, expected in case.expectations:
            stem = case.name.replace(".pcapng", "-ng").replace(".pcap", "").replace(".", "-")
            name = stem + ("." + variant if variant else "") + ".json"
            expected = {"files": [case.name], **expected}
            yield os.path.join("expect", name), json.dumps(expected, indent=1).encode() + b"\n"
    yield "README.md", table.encode()


def current(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit("usage: make_pcaps.py [--check]")
    wanted = dict(outputs())
    if len(wanted) != sum(1 for _ in outputs()):
        sys.exit("make_pcaps: two cases write the same file")
    differing = 0
    os.makedirs(os.path.join(FOLDER, "expect"), exist_ok=True)
    for name, data in wanted.items():
        path = os.path.join(FOLDER, name)
        if current(path) == data:
            continue
        if arguments:
            print("differs: %s" % name)
            differing += 1
            continue
        with open(path, "wb") as file:
            file.write(data)
    for name in sorted(os.listdir(os.path.join(FOLDER, "expect"))):
        if os.path.join("expect", name) not in wanted:
            print("left over: expect/%s" % name)
            differing += bool(arguments)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

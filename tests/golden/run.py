#!/usr/bin/env python3
"""Replays the small captures of pcaps/ and compares what weir says with what pcaps/expect/ says.

    run.py [-v] [NAME...]      all expectations, or those whose file name holds one of the words

WEIR names the program, default ./weir at the top of the tree. An expectation is a JSON object:
files, cmd (options), output (default json:-), exit (allowed statuses), books (null: not looked at; a name may be a sum,
`non_ip+malformed`) and records, matched as a multiset. Only the fields an expected record names
are compared; a field that is not there counts as 0. A value `@name` stands for one value that is
the same wherever the name is used in that file. Whatever the file says, the books must balance
and the records must hold the packets that were metered.
"""
import datetime
import json
import os
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PCAPS = os.path.normpath(os.path.join(TOP, "pcaps"))
EXPECT = os.path.join(PCAPS, "expect")
FATES = ("own_export", "duplicate", "unsampled", "non_ip", "malformed", "metered")
TIMEOUT_S = 20


def normal(key, value):
    """Values as compared: times to nanoseconds, addresses' case and absence made equal."""
    if value is None or value is False:
        return 0
    if isinstance(value, str) and key.endswith("Nanoseconds"):
        return nanoseconds(value)
    return value.lower() if isinstance(value, str) else value


def nanoseconds(text):
    base, _, rest = text.replace("+00:00", "Z").rstrip("Z").partition(".")
    moment = datetime.datetime.strptime(base, "%Y-%m-%dT%H:%M:%S")
    seconds = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    return seconds * 10**9 + int(rest.ljust(9, "0") or 0)


def is_symbol(value):
    return isinstance(value, str) and value.startswith("@")


def fits(expected, record):
    return all(is_symbol(value) or normal(key, record.get(key)) == normal(key, value)
               for key, value in expected.items())


def match(expected, records):
    """Pairs expected with record numbers, as many as can be (augmenting paths)."""
    holder = {}

    def place(number, seen):
        for candidate, record in enumerate(records):
            if candidate in seen or not fits(expected[number], record):
                continue
            seen.add(candidate)
            if candidate not in holder or place(holder[candidate], seen):
                holder[candidate] = number
                return True
        return False

    for number in range(len(expected)):
        place(number, set())
    return {number: candidate for candidate, number in holder.items()}


def symbol_differences(expected, records, pairs):
    values = {}
    for number, candidate in pairs.items():
        for key, value in expected[number].items():
            if is_symbol(value):
                values.setdefault((key, value), set()).add(records[candidate].get(key))
    for (key, symbol), found in values.items():
        if len(found) != 1 or None in found:
            yield "%s %s is not one value: %s" % (key, symbol, sorted(map(str, found)))


def compare_records(expected, records):
    pairs = match(expected, records)
    fields = {key for record in expected for key in record}
    for number, record in enumerate(expected):
        if number not in pairs:
            yield "no such record: " + json.dumps(record)
    taken = set(pairs.values())
    for candidate, record in enumerate(records):
        if candidate not in taken:
            shown = {key: value for key, value in record.items() if not fields or key in fields}
            yield "not expected:   " + json.dumps(shown)
    yield from symbol_differences(expected, records, pairs)


def compare_books(expected, books, records):
    for name, value in expected.items():
        found = sum(books.get(part) or 0 for part in name.split("+"))
        if found != value:
            yield "%s is %s, expected %s" % (name, found, value)
    fates = sum(books.get(name) or 0 for name in FATES)
    if books.get("observed") != fates:
        yield "the books do not balance: observed %s, fates %s" % (books.get("observed"), fates)
    packets = sum((record.get("packetDeltaCount") or 0) + (record.get("reversePacketDeltaCount") or 0)
                  for record in records)
    if packets != books.get("metered"):
        yield "metered %s, but the records hold %s packets" % (books.get("metered"), packets)


def books_of(text):
    """The last line of standard error that is a JSON object; log lines may stand before it."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return None


def command_of(expected):
    command = [os.environ.get("WEIR", os.path.join(TOP, "weir"))]
    for name in expected["files"]:
        command += ["-r", os.path.join(PCAPS, name)]
    return command + expected["cmd"] + ["-o", expected.get("output", "json:-"), "--stats", "json"]


def differences(expected):
    """Everything that is not as expected, a line each."""
    run = subprocess.run(command_of(expected), stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=TIMEOUT_S)
    output, log = (text.decode("utf-8", "replace") for text in (run.stdout, run.stderr))
    if run.returncode not in expected["exit"]:
        yield "exit status %s, expected %s: %s" % (run.returncode, expected["exit"],
                                                   log.strip()[-300:])
    records = [json.loads(line) for line in output.splitlines() if line]
    yield from compare_records(expected["records"], records)
    if expected["books"] is None:
        return
    books = books_of(log)
    if books is None:
        yield "no books on standard error: " + log.strip()[-300:]
    else:
        yield from compare_books(expected["books"], books, records)


def check(name, verbose):
    with open(os.path.join(EXPECT, name), encoding="utf-8") as file:
        expected = json.load(file)
    try:
        found = list(differences(expected))
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        found = ["%s: %s" % (type(error).__name__, error)]
    if found:
        print("FAIL %s  (weir %s)" % (name, " ".join(command_of(expected)[1:])))
        for line in found:
            print("     " + line)
    elif verbose:
        print("ok   %s" % name)
    return not found


def main(arguments):
    verbose = "-v" in arguments
    words = [word for word in arguments if word != "-v"]
    names = [name for name in sorted(os.listdir(EXPECT)) if name.endswith(".json")
             and (not words or any(word in name for word in words))]
    results = [check(name, verbose) for name in names]
    print("%d passed, %d failed" % (sum(results), len(results) - sum(results)))
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The list of cases and how they are run: a decorator to add one, a small pool of workers, one line a case."""
import collections
import concurrent.futures
import contextlib
import threading
import time
import traceback

import records
import tools

Case = collections.namedtuple("Case", "name function module")  # function of a Bench
CASES = []
saying = contextlib.nullcontext()  # held while a case's lines are printed; a lock where processes share the output


def case(function):
    """Adds one case, named as the function."""
    CASES.append(Case(function.__name__, function, function.__module__))
    return function


def each(*rows):
    """Adds one case a row: the function gets the row's members after the Bench; the name gets them as text."""
    def add(function):
        for row in rows:
            row = row if isinstance(row, tuple) else (row,)
            name = "%s[%s]" % (function.__name__, ",".join(_label(member) for member in row))
            CASES.append(Case(name, lambda bench, f=function, r=row: f(bench, *r), function.__module__))
        return function
    return add


def _label(member):
    return " ".join(member) if isinstance(member, (tuple, list)) else str(member)


class Memo:
    """Results several cases share (a replay, its datagrams), made once; others wait for the first maker."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries = {}

    def get(self, key, make):
        with self._lock:
            entry = self._entries.setdefault(key, [threading.Lock(), None, None])
        with entry[0]:
            if entry[1] is None and entry[2] is None:
                try:
                    entry[1] = make()
                except Exception as error:  # every case that needs it shall see why
                    entry[2] = error
        if entry[2] is not None:
            raise entry[2]
        return entry[1]


def say(text):
    with saying:
        print(text, flush=True)


def run(bench, pattern, workers, verbose, cases=None):
    """Runs the cases (default: all) whose name has the pattern in it; returns (passed, failed, skipped)."""
    chosen = [case for case in (CASES if cases is None else cases) if pattern in case.name]
    passed = failed = skipped = 0
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        for name, error, seconds in pool.map(lambda case: _run_one(bench, case), chosen):
            if isinstance(error, tools.Skipped):
                skipped += 1
                if verbose:
                    say("SKIPPED %s: %s" % (name, error))
            elif error is None:
                passed += 1
                if verbose:
                    say("ok   %s (%.1f s)" % (name, seconds))
            else:
                failed += 1
                say("FAIL %s\n     %s" % (name, error.replace("\n", "\n     ")))
    finally:  # interrupted: start nothing more, and end what runs
        pool.shutdown(wait=False, cancel_futures=True)
        bench.end_children()
        pool.shutdown()
    return passed, failed, skipped


def _run_one(bench, case):
    start = time.monotonic()
    try:
        case.function(bench)
        error = None
    except tools.Skipped as skipped:
        error = skipped
    except (records.Differ, tools.Failed, tools.Missing) as expected:
        error = "%s: %s" % (type(expected).__name__, expected)
    except Exception:
        error = traceback.format_exc(limit=-4)
    return case.name, error, time.monotonic() - start

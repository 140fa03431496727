"""Collectors die and come back under load; weir dies; no record is missing and the books say where each is."""
import json
import os
import random
import time

import peers
import records
import rig
import source
import spool_reader
import tools
import transports
from suite import case

RESEND = "resend=256KiB"  # more than a collector's receive buffer and what TLS holds
SLACK = "spool-rate=0"
NOBODY_S = 3.0  # until Kafka, too, is taken to be away


def empty_capture(bench):
    path = bench.new_dir() + "/empty.pcap"
    with open(path, "wb") as file:
        file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    return path


def places(path):
    """Where each flow stands in the JSON file beside: the order in which records were handed over."""
    with open(path, "rb") as file:
        flows = [transports.of_json(line) for line in file]
    return {(number, way): 2 * at + way for at, (number, _) in enumerate(flows) for way in (0, 1)}


def wanted(transport, flows):
    """What a collector must have got."""
    first = {(n, 0) for n in range(flows)}
    return first | {(n, 1) for n in range(0, flows, source.ANSWERED)} if transport.one_way else first


def all_peers(bench, deaths):
    return [peers.make(bench, t, deaths, bench.seed) for t in transports.ALL + ["kafka"]]


def wait_for_all(mortals, seconds):
    end = time.monotonic() + seconds
    for mortal in mortals:
        mortal.join(max(0, end - time.monotonic()))
        if mortal.error is not None:
            raise mortal.error
        records.check(not mortal.is_alive(), "%s: not done with dying", mortal.transport.scheme)


def drain(bench, urls):
    """A run without input on the same spools; the outputs' books."""
    argv = ["-r", empty_capture(bench), "--stats", "json"]
    for url in urls:
        argv += ["-o", url]
    _, err = tools.weir(bench, argv)
    return tools.last_json(err)["outputs"]


def check_arrived(mortal, flows, place):
    scheme, sessions = mortal.transport.scheme, mortal.sessions()
    arrived = set()
    for number, session in enumerate(sessions):
        wrong = in_order_of(mortal, session, place)
        records.check(wrong is None, "%s, session %d of %d: out of order: %s", scheme, number, len(sessions), wrong)
        arrived.update(session)
    missing = wanted(mortal.transport, flows) - arrived
    records.check(not missing, "%s: %d records never arrived: %s", scheme, len(missing), sorted(missing)[:8])
    records.check(not arrived - wanted(mortal.transport, flows), "%s: records that never were", scheme)
    return len(sessions)


def in_order_of(mortal, session, place):
    return None if mortal.transport.scheme == "kafka" else rig.in_order(session, place)


@case
def collectors_die_under_load_and_nothing_is_missing(bench):
    deaths = bench.chosen(5, 50)
    mortals, wire = all_peers(bench, deaths), source.Wire()
    path = bench.new_dir() + "/all.json"
    urls = [m.url("spool=" + bench.new_dir(), SLACK, RESEND) for m in mortals]
    try:
        for mortal in mortals:
            mortal.start()
        with rig.Weir(bench, wire, ["json:" + path] + urls) as weir:
            load = source.Source(wire, bench.chosen(1200, 800))
            load.start()
            wait_for_all(mortals, 60 + 6 * deaths)
            load.stop()
            rig.settle()
            books = weir.stop()
        later = drain(bench, urls)
        place = places(path)
        records.same_value((0, load.flows, load.flows), (books["dropped"], len(place) // 2, books["records"]), "packets lost, flows")
        for mortal, first, second in zip(mortals, books["outputs"][1:], later):
            name = mortal.transport.scheme
            rig.balance(name, first)
            rig.balance(name + ", drained", second)
            count = source.one_way(load.flows) if mortal.transport.one_way else load.flows
            records.same_value((name, first["records_in"], first["records_dropped"]), (name, count, 0), "handed over, dropped")
            records.same_value((name, first["spooled"], second["records"], second["spooled"]),
                               (name, second["recovered"], second["recovered"], 0), "left on disk, delivered by the next run")
            check_arrived(mortal, load.flows, place)
            records.check(name == "kafka" or first["reconnects"] >= deaths * 3 // 4, "%s: %d reconnects", name, first["reconnects"])
    finally:
        for mortal in mortals:
            mortal.end()
        wire.close()


def spool_folders(bench, mortals):
    return {m.transport.scheme: bench.new_dir() for m in mortals}


def check_found_again(log, name, folder, count):
    """What weir's log says it found in the spool is what was there."""
    said = [int(line.split(folder + ": ")[1].split()[0]) for line in log.splitlines() if folder + ": " in line and "earlier run" in line]
    records.same_value((name, sum(said)), (name, count), "records of an earlier run")


def one_short_life(bench, wire, mortals, folders, seconds):
    """weir for some seconds, then SIGKILL; the flows on disk then, by transport."""
    before = {name: len(spool_reader.flows(folder)) for name, folder in folders.items()}
    with rig.Weir(bench, wire, [m.url("spool=" + folders[m.transport.scheme], SLACK, RESEND) for m in mortals]) as weir:
        time.sleep(seconds)
        records.check(weir.process.poll() is None, "weir ended by itself: %s", weir.log()[-1500:])
        weir.kill()
    for name, folder in folders.items():
        check_found_again(weir.log(), name, folder, before[name])
    return {name: set(spool_reader.flows(folder)) for name, folder in folders.items()}


@case
def weir_is_killed_and_what_was_spooled_arrives(bench):
    """SIGKILL at random moments while collectors die as well; then a run without input on the same spools."""
    rounds, pick = bench.chosen(4, 40), random.Random("weir %s" % bench.seed)
    mortals, wire = all_peers(bench, bench.chosen(5, 50)), source.Wire()
    folders = spool_folders(bench, mortals)
    spooled = {name: set() for name in folders}
    load = source.Source(wire, 1000)
    try:
        load.start()
        for number in range(rounds):  # in the first, nobody is there
            seconds = pick.uniform(0.2, 2.5) if number else NOBODY_S
            for name, flows in one_short_life(bench, wire, mortals, folders, seconds).items():
                spooled[name] |= flows
            if number == 0:
                for mortal in mortals:
                    mortal.start()
        load.stop()
        # whoever is not done with dying does it while the spools are drained
        left = {name: len(spool_reader.flows(folder)) for name, folder in folders.items()}
        books = drain(bench, [m.url("spool=" + folders[m.transport.scheme], RESEND) for m in mortals])
        for mortal, output in zip(mortals, books):
            name = mortal.transport.scheme
            rig.balance(name, output)
            records.same_value((name, output["recovered"], output["records"]), (name, left[name], left[name]), "found, delivered")
            records.check(spooled[name], "%s: nothing was ever spooled, which proves nothing", name)
            arrived = {flow for session in mortal.sessions(cut=True) for flow in session}
            missing = spooled[name] - arrived
            records.check(not missing, "%s: %d of %d spooled records never arrived", name, len(missing), len(spooled[name]))
    finally:
        for mortal in mortals:
            mortal.end()
        wire.close()

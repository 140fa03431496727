"""weir --doctor: what is wrong with a port is found, and gone once the printed cures have been run."""
import contextlib
import threading
import time

import frame
import inputs
import lab
import probe

OWN = "10.79.0.1"


def doctor(space, *words, status=(0, 1)):
    """Its lines as (verdict, who, what, cure or None), and the exit status."""
    done = space.popen([probe.WEIR, *words], stdout=-1, stderr=-1, text=True)
    out, err = done.communicate(timeout=lab.STEP_TIMEOUT_S)
    lab.check(done.returncode in status, "exit status %d: %s%s" % (done.returncode, out, err))
    found = []
    for line in out.splitlines():
        verdict, rest = line[:5].strip(), line[6:]
        what, _, cure = rest.partition("  : ")
        who, _, what = what.partition(": ")
        lab.check(verdict in ("ok", "warn", "FAIL") and who and what, "no finding: %s" % line)
        lab.check(verdict == "ok" or cure, "no cure: %s" % line)
        found.append((verdict, who, what, cure or None))
    fails = any(verdict == "FAIL" for verdict, *_ in found)
    lab.check(done.returncode == (1 if fails else 0) or 2 in status, "exit status %d: %s" % (done.returncode, out))
    return found, done.returncode


def trouble(found, who="p1"):
    return [(verdict, what, cure) for verdict, port, what, cure in found if port == who and verdict != "ok"]


def spoil(space, gro):
    """All that can be wrong with a veth port and mended."""
    if gro:
        space.run("ethtool", "-K", "p1", "gro", "on")
    space.ip("addr add %s/24 dev p1" % OWN)
    space.ip("link set p1 mtu 1400")
    space.ip("link set p1 down")


def cures_mend(spec, verdict_of_gro, _):
    with inputs.PortRig() as rig:
        found, _ = doctor(rig.rx, "--doctor", spec)
        lab.check(not trouble(found), "a port without fault has: %s" % trouble(found))
        spoil(rig.rx, True)
        found, status = doctor(rig.rx, "--doctor", spec)
        lab.check(status == 1, "a port that is down makes no counts: %s" % found)
        bad = trouble(found)
        words = {"FAIL is down": 1, "%s GRO is on" % verdict_of_gro: 1, "warn MTU 1400": 1,
                 "warn carries this host's address " + OWN: 1}
        for start in words:
            lab.check(any(("%s %s" % (verdict, what)).startswith(start) for verdict, what, _ in bad),
                      "not found: %s in %s" % (start, bad))
        lab.check(len(bad) == len(words), "found besides: %s" % bad)
        for _, _, cure in bad:
            rig.rx.run("sh", "-c", cure)
        found, _ = doctor(rig.rx, "--doctor", spec)
        lab.check(not trouble(found), "after the cures: %s" % trouble(found))


def no_carrier(_):
    with inputs.PortRig() as rig:
        rig.tx.ip("link set p0 down")
        found, status = doctor(rig.rx, "--doctor", "p1")
    lab.check(status == 1 and [w for v, w, _ in trouble(found) if v == "FAIL" and "carrier" in w], "%s" % found)


def drops_that_grow(_):
    """Frames longer than the port's MTU are lost at it, counted by the kernel."""
    with inputs.PortRig(mtu=3000) as rig, frame.Sender(rig.tx, "p0") as sender:
        rig.rx.ip("link set p1 mtu 1500")
        stop = threading.Event()

        def send():
            while not stop.is_set():
                with contextlib.suppress(OSError):  # the sender is told
                    sender.send(frame.udp(1000, 2500))
                time.sleep(0.01)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            found, status = doctor(rig.rx, "--doctor", "p1")
        finally:
            stop.set()
            thread.join()
        bad = trouble(found)
        lab.check(status == 1 and len(bad) == 1 and bad[0][0] == "FAIL" and "just now" in bad[0][1], "%s" % bad)
        found, status = doctor(rig.rx, "--doctor", "p1")
        lab.check(status == 0 and [v for v, _, _ in trouble(found)] == ["warn"], "later: %s" % found)


def strangers_are_no_drops(_):
    """Protocols that the kernel does not know are not lost to an input."""
    with inputs.PortRig() as rig, frame.Sender(rig.tx, "p0") as sender:
        found = []
        worker = threading.Thread(target=lambda: found.extend(doctor(rig.rx, "--doctor", "p1")[0]))
        worker.start()
        while worker.is_alive():
            sender.send(bytes(12) + b"\x99\x99" + bytes(50))
            time.sleep(0.01)
        worker.join()
        lab.check(not [w for v, w, _ in trouble(found) if v == "FAIL"], "%s" % found)


def several_and_none(_):
    with inputs.PortRig() as rig:
        found, status = doctor(rig.rx, "--doctor", "p1+lo", "--doctor", "nosuch")
        who = [port for _, port, _, _ in found]
        lab.check(status == 1 and {"p1", "lo", "nosuch", "machine"} == set(who), "%s" % found)
        lab.check(who.count("nosuch") == 1, "one finding about what is not there")
        for words in (["--doctor", "nfqueue:5"], ["--doctor", ""], ["--doctor"], ["--doctor", "p1", "--flows", "x"]):
            _, status = doctor(rig.rx, *words, status=(2,))
            lab.check(status == 2, "%s: exit status %d" % (words, status))


def table_too_large(_):
    with inputs.PortRig() as rig:
        found, status = doctor(rig.rx, "--doctor", "p1", "--flows", "1000000000")
        bad = trouble(found, "machine")
        flows = [cure for verdict, what, cure in bad if what.startswith("1000000000 flows take")]
        lab.check(len(flows) == 1, "%s" % bad)
        found, _ = doctor(rig.rx, "--doctor", "p1", *flows[0].split()[1:])
        lab.check(not any("flows take" in what for _, what, _ in trouble(found, "machine")), "%s" % found)


def rights_are_told(_):
    """As nobody: no right to read the port, and the cure names this program."""
    with inputs.PortRig() as rig:
        done = rig.rx.popen(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all",
                             "--inh-caps=-all", probe.WEIR, "--doctor", "p1"], stdout=-1, stderr=-1, text=True)
        out, err = done.communicate(timeout=lab.STEP_TIMEOUT_S)
        if "setpriv" in err or "ermission" in err:
            raise lab.Skip("setpriv does not work here: %s" % err.strip())
        lab.check(done.returncode == 1, "exit status %d: %s%s" % (done.returncode, out, err))
        lab.check("FAIL  machine: no right to read ports" in out and "setcap cap_net_raw" in out, out)
        lab.check("FAIL  p1: cannot be made promiscuous" in out, out)


def cases(_full):
    return [("doctor[pcap]", lambda folder: cures_mend("pcap:p1", "FAIL", folder)),
            ("doctor[ring]", lambda folder: cures_mend("ring:p1", "warn", folder))] + \
        [("doctor_" + function.__name__, function) for function in (
            no_carrier, drops_that_grow, strangers_are_no_drops, several_and_none, table_too_large, rights_are_told)]

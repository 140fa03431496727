"""Interfaces as collectors see them: numbers and names in options records, for ports joined, apart and on a VLAN."""
import functools
import json
import os
import sys

import frame
import inputs
import lab
import probe
from case_inputs import TwoPorts

sys.path.insert(0, os.path.join(probe.TOP, "tests", "interop"))

import flowproto
import tools

# Receives datagrams until its standard input ends, then prints them in hexadecimal.
SINK = """
import json, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
got = []
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s in ready:
        got.append(s.recv(65536).hex())
    elif sys.stdin in ready:
        break
print(json.dumps(got))
"""


def named(records, element):
    return {r["ingressInterface"]: r[element] for r in records.options("ingressInterface", element)}


def tshark_names(folder, datagrams, field):
    path = os.path.join(folder, "names-%s.pcap" % field)
    tools.write_pcap(path, [(9995, datagrams)])
    text = lab.run(["tshark", "-n", "-r", path, "-d", "udp.port==9995,cflow", "-T", "fields", "-e", field]).stdout
    return {word for line in text.splitlines() for word in line.split(",") if word}


def sub_interface(rig):
    """p3.7, with r0 to send into: a VLAN of p3, or a port of that name where the kernel has no VLAN devices. What
    frames are tagged with."""
    rig.lab.link(rig.tx, "r0", rig.rx, "p3")
    try:
        rig.rx.ip("link add link p3 name p3.7 type vlan id 7")
    except lab.Failed:
        rig.rx.ip("link set p3 down")
        rig.rx.ip("link set p3 name p3.7")
        rig.rx.ip("link set p3.7 up")
        return b""
    rig.rx.ip("link set p3.7 up arp off")
    return b"\x81\x00\x00\x07"


def names(row, scheme, folder):
    """eth1+eth2 and a sub-interface of a third: every port a packet came in by has a name in the options."""
    with TwoPorts() as rig:
        tag = sub_interface(rig)
        index = {name: int(rig.rx.run("cat", "/sys/class/net/%s/ifindex" % name).stdout) for name in ("p1", "p2", "p3.7")}
        sink = rig.rx.popen([sys.executable, "-c", SINK], stdin=-1, stdout=-1, text=True)
        try:
            url = "%s://127.0.0.1:%s" % (scheme, sink.stdout.readline().strip())
            specs = [row.spec.replace("p1", "p1+p2"), row.spec.replace("p1", "p3.7")]
            with frame.Sender(rig.tx, "p0") as one, frame.Sender(rig.tx, "q0") as two, \
                    frame.Sender(rig.tx, "r0") as three, \
                    probe.Weir(rig.rx, specs, (*row.options, "-o", url), folder) as weir:
                one.send(frame.udp(1001))
                two.send(frame.udp(1002))
                three.send(frame.udp(1003, tags=tag))
                weir.wait_observed(3)
                records, _ = weir.stop()
            datagrams = [bytes.fromhex(text) for text in json.loads(sink.communicate("", timeout=10)[0])]
        finally:
            sink.kill()
            sink.wait()
    seen = {r["sourceTransportPort"]: r["ingressInterface"] for r in records}
    lab.check(seen == {1001: index["p1"], 1002: index["p2"], 1003: index["p3.7"]}, "came in by %s of %s" % (seen, index))
    stream = flowproto.read_stream(datagrams)
    lab.check(not stream.problems, "%s" % stream.problems)
    want = {number: name for name, number in index.items()}
    for element in ("interfaceName", "interfaceDescription"):
        got = {number: text.rstrip("\0") for number, text in named(stream, element).items()}
        lab.check(got == want, "%s: %s, expected %s" % (element, got, want))
    for field in ("cflow.if_name", "cflow.if_descr"):
        got = tshark_names(folder, datagrams, field)
        lab.check(got == set(index), "tshark, %s: %s" % (field, got))


def cases(full):
    return [("names[%s,%s]" % (row.name, scheme), functools.partial(names, row, scheme))
            for row in inputs.of_ports(full) if row.rig == "port" for scheme in ("netflow9", "ipfix")]

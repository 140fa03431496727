"""Interfaces as collectors see them: numbers and names in options records, for ports joined, apart and on a VLAN; and
which way a flow leads, in or out."""
import functools
import ipaddress
import os

import collector
import frame
import inputs
import lab
import probe
from case_inputs import TwoPorts

import tools  # where collector finds its own


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
        specs = [row.spec.replace("p1", "p1+p2"), row.spec.replace("p1", "p3.7")]
        with collector.Collector(rig.rx, scheme) as sink, frame.Sender(rig.tx, "p0") as one, \
                frame.Sender(rig.tx, "q0") as two, frame.Sender(rig.tx, "r0") as three, \
                probe.Weir(rig.rx, specs, (*row.options, "-o", sink.url), folder) as weir:
            one.send(frame.udp(1001))
            two.send(frame.udp(1002))
            three.send(frame.udp(1003, tags=tag))
            weir.wait_observed(3)
            records, _ = weir.stop()
            stream = sink.close()
    seen = {r["sourceTransportPort"]: r["ingressInterface"] for r in records}
    lab.check(seen == {1001: index["p1"], 1002: index["p2"], 1003: index["p3.7"]}, "came in by %s of %s" % (seen, index))
    want = {number: name for name, number in index.items()}
    for element in ("interfaceName", "interfaceDescription"):
        got = {number: text.rstrip("\0") for number, text in named(stream, element).items()}
        lab.check(got == want, "%s: %s, expected %s" % (element, got, want))
    for field in ("cflow.if_name", "cflow.if_descr"):
        got = tshark_names(folder, sink.datagrams, field)
        lab.check(got == set(index), "tshark, %s: %s" % (field, got))


LOCAL = "10.77.0.0/31,2001:db8:1::/64"  # of IPv4, only .0 and .1
INSIDE, ALSO_INSIDE, OUTSIDE, ALSO_OUTSIDE = range(4)
ENDS4 = (frame.CLIENT, frame.CLIENT - 1, frame.SERVER, frame.SERVER + 1)
ENDS6 = tuple(map(ipaddress.IPv6Address, ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2001:db8:2::2")))
IN, OUT = 0, 1  # RFC 5102, 61

# from, to, and what flowDirection each way must have
TALKS = [(INSIDE, OUTSIDE, OUT, IN), (OUTSIDE, INSIDE, IN, OUT), (INSIDE, ALSO_INSIDE, None, None),
         (OUTSIDE, ALSO_OUTSIDE, None, None)]


def talks():
    """(frames, {(source, destination): flowDirection of that half}); each talk is answered."""
    frames, want = [], {}
    for ends, make in ((ENDS4, frame.udp), (ENDS6, frame.udp6)):
        for port, (a, b, there, back) in enumerate(TALKS, 1000):
            frames.append(make(port, source=ends[a], destination=ends[b]))
            frames.append(make(9, port=port, source=ends[b], destination=ends[a]))
            one, other = str(ipaddress.ip_address(ends[a])), str(ipaddress.ip_address(ends[b]))
            want[one, other, port] = there
            want[other, one, 9] = back
    return frames, want


def half(flow):
    return (next(flow["source%sAddress" % ip] for ip in ("IPv4", "IPv6") if "source%sAddress" % ip in flow),
            next(flow["destination%sAddress" % ip] for ip in ("IPv4", "IPv6") if "destination%sAddress" % ip in flow),
            flow["sourceTransportPort"])


HOW = [("ipfix", ""), ("ipfix", "?biflow=yes"), ("netflow9", "")]


def directions(row, scheme, more, folder):
    """local-networks: in and out, IPv4 and IPv6, whoever speaks first; and the port's name beside them."""
    frames, want = talks()
    if "biflow" in more:  # each speaks of its forward direction
        want = {ends: way for ends, way in want.items() if ends[2] != 9}
    with inputs.RIGS[row.rig]() as rig:
        index = int(rig.rx.run("cat", "/sys/class/net/p1/ifindex").stdout)
        with collector.Collector(rig.rx, scheme) as sink, frame.Sender(rig.tx, "p0") as sender, \
                probe.Weir(rig.rx, row.spec, (*row.options, "--local-networks", LOCAL, "-o", sink.url + more), folder) as weir:
            sender.send(*frames)
            weir.wait_observed(len(frames))
            weir.stop()
            stream = sink.close()
    got = {half(flow): flow.get("flowDirection") for flow in stream.flows()}
    lab.check(got == want, "flowDirection %s, expected %s" % (got, want))
    told = {flow["ingressInterface"] for flow in stream.flows()}
    lab.check(told == {index}, "ingressInterface %s, p1 is %d" % (told, index))
    for element in ("interfaceName", "interfaceDescription"):
        text = {number: text.rstrip("\0") for number, text in named(stream, element).items()}
        lab.check(text.get(index) == "p1", "%s: %s" % (element, text))


def cases(full):
    rows = inputs.of_ports(full)
    return [("names[%s,%s]" % (row.name, scheme), functools.partial(names, row, scheme))
            for row in rows if row.rig == "port" for scheme in ("netflow9", "ipfix")] + \
        [("directions[%s,%s]" % (row.name, "".join(how)), functools.partial(directions, row, *how))
         for row in rows + inputs.of_rig("gate")[0] for how in (HOW if full or row.name == "ring" else HOW[:1])]

#!/usr/bin/env python3
"""Compares weir with the reference meter on random captures of few flows in each other's way.

    random_captures.py --weir ./weir [--seed N] [--count N] [--keep DIR]

What tshark judges elsewhere is known here, since the frames are made here. Few addresses, ports,
tags and times that fall on deadlines: what real captures hold once in millions of packets is
in nearly every one of these. Each capture has options of its own. A capture that differs is kept.
"""

import argparse
import concurrent.futures
import os
import random
import struct
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing is left behind in the tree

import compare
import ip_header
import meter
from tshark_packets import Packet

SECOND = meter.SECOND
HOSTS = {4: [bytes([10, 0, 0, n]) for n in (1, 2, 3)] + [bytes([9, 255, 0, 200])],
         6: [bytes.fromhex("20010db8") + bytes(8) + bytes([n, 0, 0, n ^ 3]) for n in (1, 2)]
            + [bytes.fromhex("20010db900000000ffffffff01000002")]}
MACS = [bytes.fromhex("0200000000%02x" % n) for n in (1, 2)]
PORTS = [0, 53, 1000, 60000]
TAGS = [(), (), (), (10,), (0,), (10, 20), (20, 10), (10, 20, 30)]
TOS = [0, 0, 0, 0, 1, 3, 0x10, 0x14, 0x28, 0xB8, 0xFC, 0xFF, 0x40, 0x80]
TCP_FLAGS = [0x10] * 8 + [0x02, 0x02, 0x12, 0x12, 0x11, 0x11, 0x04, 0x14, 0x01, 0x00, 0x1D2, 0x03,
                          0x06]
PROTOCOLS = [6] * 8 + [17] * 5 + [1, 1, 58, 58, 132, 47, 33, 136, 99]
ICMP_TYPES = [(8, 0), (0, 0), (8, 0), (0, 0), (8, 1), (13, 0), (14, 0), (3, 1), (128, 0), (129, 0)]
STARTS = [0, 5, 1_700_000_000, 1_700_000_000, 4_000_000_000]
TICK = 1 << 28  # of weir's timing wheel


class Case:
    """Options of weir and what they mean to the meter."""

    def __init__(self, rng):
        self.idle = rng.choice([15, 15, 1, 10, 0.25])
        self.active = rng.choice([60, 60, 5, 10, 0.25])
        self.linger = rng.choice([2, 2, 0, 0.5])
        self.tos_mask = rng.choice([0xFC, 0xFC, 0xFF, 0, 0x10])
        self.sample = rng.choice([1, 1, 1, 1, 2, 3])
        self.key = rng.choice(["", "", "", "vlan", "mac", "vlan,mac", "-ports", "-tos", "-interface"])
        self.workers = rng.choice([1, 1, 3])
        if self.key == "-tos":
            self.tos_mask = 0

    def weir_options(self):
        options = ["-w", str(self.workers), "--idle-timeout", str(self.idle),
                   "--active-timeout", str(self.active), "--tcp-linger", str(self.linger)]
        options += ["--key=" + self.key] if self.key else []
        options += ["--sample", f"systematic:{self.sample}"] if self.sample > 1 else []
        return options + (["--tos-mask", hex(self.tos_mask)] if self.key != "-tos" else [])

    def meter_options(self):
        return meter.Options(int(self.idle * SECOND), int(self.active * SECOND),
                             int(self.linger * SECOND), self.tos_mask)


class CaseMeter(meter.Meter):
    """The meter with the key and the sampling of a case."""

    def __init__(self, case):
        super().__init__(case.meter_options())
        self.case = case

    def observe(self, packet):
        if self.books["observed"] % self.case.sample:
            packet = packet._replace(fate="unsampled")
        super().observe(packet)

    def make_key(self, packet, ip, ports, known, protocol):
        items = self.case.key.split(",")
        if "-ports" in items:
            return self.key_without_ports(ip, ports, known, protocol)
        key = meter.FlowKey(ip, ports, known, protocol)
        if "vlan" in items:
            key.group += (packet.vlans[:1],)
        if "mac" in items:
            pair = (packet.source_mac, packet.destination_mac)
            turned = key.fixed_direction == meter.REVERSE if key.icmp else key.ends[:2] > key.ends[2:]
            key.group += pair[::-1] if turned else pair
        return key

    @staticmethod
    def key_without_ports(ip, ports, known, protocol):
        key = meter.FlowKey(ip, (0, 0), False, protocol)
        replies = meter.ICMP_PAIRS.get((ip.version, protocol), {}).values()
        key.answers = known and ports[1] in [reply * 256 for reply in replies]
        key.icmp = False
        key.fixed_direction = None
        low, high = sorted((key.ends[:2], key.ends[2:]))
        key.group = (ip.version, protocol, low, high)
        return key

    def create(self, key, ip, packet):
        flow, direction = super().create(key, ip, packet)
        if getattr(key, "answers", False) and key.ends[:2] != key.ends[2:]:
            key.turn()
            flow.macs = flow.macs[::-1]
            direction = meter.REVERSE
        return flow, direction


# --- frames ---------------------------------------------------------------------------------

def transport(rng, version, protocol):
    if ip_header.is_icmp(version, protocol):
        return bytes(rng.choice(ICMP_TYPES)) + bytes(6)
    ports = struct.pack("!HH", rng.choice(PORTS), rng.choice(PORTS))
    if protocol == 6:
        return ports + bytes(8) + struct.pack("!H", 0x5000 | rng.choice(TCP_FLAGS)) + bytes(6)
    return ports + bytes(4)


def ip4(rng, protocol, body):
    options = bytes(4 * rng.choice([0] * 12 + [1, 10]))
    fragment = rng.choice([0, 0x4000, 0x4000, 0, 0, 0, 0, 0, 0x8000, 0x2000, 0x2000, 5, 0x2005])
    total = 20 + len(options) + len(body) + rng.choice([0, 0, 0, 100, 1400])
    total = rng.choice([total] * 20 + [0, 19, 20, 24, 65535])
    return bytes([0x45 + len(options) // 4, rng.choice(TOS)]) + struct.pack(
        "!HHHBB2x", total, rng.choice([7, 8]), fragment, rng.choice([64, 63, 1, 255]), protocol) \
        + rng.choice(HOSTS[4]) + rng.choice(HOSTS[4]) + options + body


def ip6(rng, protocol, body):
    kind = rng.choice([None] * 12 + [0, 60, 44, 44])
    if kind == 44:
        body = struct.pack("!BxHI", protocol, rng.choice([1, 1, 0, 8, 9]), rng.choice([7, 8])) + body
    elif kind is not None:
        body = bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + body
    head = protocol if kind is None else kind
    payload = rng.choice([len(body)] * 20 + [len(body) + 100, 65535, 0] + [4, 3] * (kind is None))
    return struct.pack("!IHBB", 6 << 28 | rng.choice(TOS) << 20 | rng.randrange(1 << 20), payload,
                       head, rng.choice([64, 63, 1, 255])) \
        + rng.choice(HOSTS[6]) + rng.choice(HOSTS[6]) + body


def make_frame(rng):
    """A frame, its tags, where its IP header is and which version its type says (0: not IP)."""
    version = rng.choice([4] * 6 + [6] * 3 + [0])
    protocol = rng.choice(PROTOCOLS)
    if version == 0:
        payload = bytes(28)
    else:
        payload = {4: ip4, 6: ip6}[version](rng, protocol, transport(rng, version, protocol))
    if version and rng.random() < 0.01:
        payload = bytes([payload[0] ^ rng.choice([0x10, 0x20, 0x01, 0x04])]) + payload[1:]
    tags = rng.choice(TAGS)
    link = rng.choice(MACS) + rng.choice(MACS)
    for tag in tags:
        link += struct.pack("!HH", rng.choice([0x8100, 0x88A8]), tag | rng.choice([0, 0xE000]))
    link += struct.pack("!H", {0: 0x0806, 4: 0x0800, 6: 0x86DD}[version])
    return link + payload + bytes(rng.choice([0, 0, 6, 40])), tags, len(link), version


def next_time(rng, case, clock):
    """Mostly small steps; deadlines to the nanosecond; late, and rarely set back."""
    near = rng.choice([-1, 0, 0, 1])
    seconds = rng.choice([case.idle, case.active, case.linger])
    step = rng.choice([0, 0, 1, 1000, rng.randrange(SECOND // 10), rng.randrange(SECOND), TICK,
                       TICK - clock % TICK, rng.randrange(3 * SECOND)] * 2
                      + [-rng.randrange(SECOND // 5), -rng.randrange(int(case.idle * SECOND)),
                         int(seconds * SECOND) + near, -int(case.idle * SECOND) + near])
    if rng.random() < 0.004:
        step = rng.choice([-100, 300, -2000]) * SECOND
    if rng.random() < 0.001:
        return rng.choice(STARTS) * SECOND
    return min(max(clock + step, 0), (1 << 32) * SECOND - 1)


def to_packet(time, data, wire, tags, offset, version):
    ip = ip_header.parse(data[offset:], wire - offset, version) if version else None
    if ip:
        return Packet(time, 1, "metered", ip, tags, data[6:12], data[0:6])
    sound = len(data) >= offset and not version
    return Packet(time, 1, "non_ip" if sound else "malformed", None, (), None, None)


def make_capture(rng, case, path):
    """Writes a pcap of nanoseconds; returns its packets as the meter takes them."""
    packets, clock = [], rng.choice(STARTS) * SECOND
    frames = [make_frame(rng) for _ in range(rng.choice([3, 10, 40]))]
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for _ in range(rng.choice([5, 40, 150])):
            frame, tags, offset, version = rng.choice(frames) if rng.random() < 0.8 else make_frame(rng)
            clock = next_time(rng, case, clock)
            cut = len(frame) if rng.random() < 0.9 else rng.randrange(len(frame))
            if version == 6 and offset + 40 < cut < offset + 48:
                cut = offset + 40  # whose extension header that is no text says
            out.write(struct.pack("<IIII", clock // SECOND, clock % SECOND, cut, len(frame)))
            out.write(frame[:cut])
            packets.append(to_packet(clock, frame[:cut], len(frame), tags, offset, version))
    return packets


# --- comparing ------------------------------------------------------------------------------

def run(weir, folder, seed):
    """Differences of one capture, and its path, which is gone when there are none."""
    rng = random.Random(seed)
    case = Case(rng)
    path = os.path.join(folder, f"random-{seed}.pcap")
    packets = make_capture(rng, case, path)
    reference = CaseMeter(case)
    for packet in packets:
        reference.observe(packet)
    reference.finish()
    try:
        records, books = compare.run_weir(weir, [path], case.weir_options())
        differences = [text for _, text in compare.compare(reference, records, books)]
    except compare.WeirFailed as failure:
        differences = [str(failure)]
    if not differences:
        os.unlink(path)
    return seed, " ".join(case.weir_options()), differences


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weir", required=True, metavar="PATH")
    parser.add_argument("--seed", type=int, default=1, help="of the first capture")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--keep", metavar="DIR", help="where captures that differ stay")
    return parser.parse_args()


def main():
    args = arguments()
    failed = 0
    folder = args.keep or tempfile.mkdtemp(prefix="weir-random-")
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        seeds = range(args.seed, args.seed + args.count)
        jobs = [pool.submit(run, os.path.abspath(args.weir), folder, seed) for seed in seeds]
        for seed, options, differences in (job.result() for job in jobs):
            if not differences:
                continue
            failed += 1
            print(f"FAIL {folder}/random-{seed}.pcap [{options}]: {len(differences)} differences")
            for text in differences[:compare.SHOWN]:
                print(f"    {text}")
    if not failed and not args.keep:
        os.rmdir(folder)
    print(f"random captures: {args.count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

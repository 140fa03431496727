"""Small captures made for one case: nanosecond pcap of raw IPv4/UDP."""
import os
import socket
import struct

SECOND = 1_000_000_000
T0 = 1700000000 * SECOND


def udp_packet(sport, length=60, dport=53):
    """An IPv4/UDP packet whose header claims `length` octets; only its headers are captured."""
    udp = struct.pack("!HHHH", sport, dport, length - 20, 0)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 1, 0, 64, 17, 0, socket.inet_aton("192.0.2.1"),
                       socket.inet_aton("192.0.2.2")) + udp


def capture(bench, packets):
    """Writes (time in ns, packet, octets it claims) as a nanosecond pcap of raw IP; returns its path."""
    path = os.path.join(bench.new_dir(), "made.pcap")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 101))
        for time, packet, length in packets:
            file.write(struct.pack("<IIII", *divmod(time, SECOND), len(packet), length) + packet)
    return path


def one_each(times):
    """A packet of a flow of its own at each time."""
    return [(time, udp_packet(1000 + number), 60) for number, time in enumerate(times)]


DAY_TIMES = range(T0, T0 + 86400 * SECOND, 100 * SECOND)


def a_day(bench):
    """A packet every 100 s for a day, every one a flow of its own, the clock never set back."""
    return capture(bench, one_each(DAY_TIMES))

"""Frames made by hand, and a socket to send them by: in this process, so that when they left is known."""
import contextlib
import ctypes
import socket
import struct
import threading
import time

import lab

SYN, RST, ACK = 2, 4, 16
CLIENT, SERVER = 0x0a4d0001, 0x0a4d0002


def ip4(protocol, payload, source=CLIENT, destination=SERVER):
    """With its checksum, which a gateway looks at."""
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, destination)
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + header[12:] + payload


def ethernet(payload, tags=b"", ethertype=b"\x08\x00"):
    return bytes(12) + tags + ethertype + payload


def udp(source_port, size=0, tags=b"", port=9, **ends):
    return ethernet(ip4(17, struct.pack(">HHHH", source_port, port, 8 + size, 0) + bytes(size), **ends), tags)


def udp6(source_port, size=0, tags=b"", port=9, source=None, destination=None):
    datagram = struct.pack(">HHHH", source_port, port, 8 + size, 0) + bytes(size)
    header = struct.pack(">IHBB", 6 << 28, len(datagram), 17, 64) + source.packed + destination.packed
    return ethernet(header + datagram, tags, b"\x86\xdd")


def tcp(source_port, flags, tags=b"", **ends):
    return ethernet(ip4(6, struct.pack(">HHIIBBHHH", source_port, 80, 1, 1, 0x50, flags, 1000, 0, 0), **ends), tags)


def write_pcap(path, frames):
    """A capture of these frames, a microsecond apart."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number, one in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number, len(one), len(one)) + one)


CLONE_NEWNET = 0x40000000


def enter(path):
    """Moves this thread into a network namespace."""
    with open(path, "rb") as space:
        if lab.LIBC.setns(space.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(space):
    """This thread is in a namespace; what is opened meanwhile stays there."""
    with open("/proc/thread-self/ns/net", "rb") as here:
        enter("/run/netns/" + space.name)
        try:
            yield
        finally:
            lab.LIBC.setns(here.fileno(), CLONE_NEWNET)


class Sender:
    """A raw socket on a link of a namespace."""

    def __init__(self, space, link):
        with inside(space):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((link, 0))

    def send(self, *frames):
        for one in frames:
            self.socket.send(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Flood:
    """Sends these frames over and over, with a pause after each burst, from a thread; a context manager."""

    def __init__(self, space, link, frames, pause=0.001):
        self.pause = pause
        self.sender, self.frames, self.over = Sender(space, link), frames, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.sent = 0

    def run(self):
        while not self.over.is_set():
            self.sender.send(*self.frames)
            self.sent += len(self.frames)
            time.sleep(self.pause)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.sender.socket.close()

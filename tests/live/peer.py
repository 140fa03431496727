#!/usr/bin/env python3
"""The two ends of a talk between namespaces.

    peer.py http ADDRESS PORT        answers GET /N with N bytes, one connection after the other
    peer.py dns ADDRESS PORT         answers any query with one address
    peer.py ask ADDRESS PORT N       N queries, a socket each; prints {"queries": n, "out": octets, "back": octets}
                                     of UDP payload

Servers print "ready" once they listen.
"""
import contextlib
import json
import socket
import sys

CHUNK = bytes(1 << 18)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def http(address, port):
    server = socket.create_server((address, int(port)), family=family_of(address))
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            left = int(request.split()[1].strip(b"/"))
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % left)
            while left > 0:
                left -= client.send(CHUNK[:min(left, len(CHUNK))])


def name(number):
    labels = ["host%d" % number, "weir", "test"]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def question(number):
    return number.to_bytes(2, "big") + bytes.fromhex("0100 0001 0000 0000 0000") + name(number) + bytes.fromhex("0001 0001")


def answer(query):
    return (query[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + query[12:] +
            bytes.fromhex("c00c 0001 0001 0000003c 0004 c0000201"))


def dns(address, port):
    server = socket.socket(family_of(address), socket.SOCK_DGRAM)
    server.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        query, client = server.recvfrom(512)
        server.sendto(answer(query), client)


def ask(address, port, count):
    out = back = 0
    with contextlib.ExitStack() as held:  # or a port might be used twice
        for number in range(int(count)):
            client = held.enter_context(socket.socket(family_of(address), socket.SOCK_DGRAM))
            client.settimeout(5)
            client.connect((address, int(port)))
            out += client.send(question(number))
            back += len(client.recv(512))
    print(json.dumps({"queries": int(count), "out": out, "back": back}))


if __name__ == "__main__":
    {"http": http, "dns": dns, "ask": ask}[sys.argv[1]](*sys.argv[2:])

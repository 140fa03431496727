#!/usr/bin/env python3
"""A collector of streams that is made to die: collector.py PORT FOLDER LIFE HOW SECONDS LIMIT [CERT KEY CA]

Writes what each session brings to FOLDER/LIFE-SESSION, unbuffered, so that a SIGKILL loses nothing it had read but the last
piece. With HOW reset or close it dies by itself, that way: LIMIT bytes after the first session is SECONDS old.
"""
import os
import socket
import ssl
import sys
import time

RECEIVE_BUFFER = 32768  # the system doubles it; less than what weir keeps for a resend
PIECE = 16384


def context(cert, key, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    tls.load_verify_locations(authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    return tls


def listen(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    listener.bind(("127.0.0.1", port))
    listener.listen(8)
    return listener


def die(connection, how):
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    os._exit(0)


class Fate:
    """When and how to die."""

    def __init__(self, how, seconds, limit):
        self._how, self._seconds, self._left, self._since = how, seconds, limit, None

    def met(self):
        self._since = self._since or time.monotonic()

    def took(self, connection, size):
        if self._how != "stay" and time.monotonic() - self._since >= self._seconds:
            self._left -= size
            if self._left <= 0:
                die(connection, self._how)


def serve(connection, path, fate):
    fate.met()
    with connection, open(path, "wb", buffering=0) as file:
        while data := connection.recv(PIECE):
            file.write(data)
            fate.took(connection, len(data))


def greet(connection, tls):
    if tls is None:
        return connection
    connection.settimeout(5)
    connection = tls.wrap_socket(connection, server_side=True)
    connection.settimeout(None)
    return connection


def main():
    port, folder, life = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    fate = Fate(sys.argv[4], float(sys.argv[5]), int(sys.argv[6]))
    tls = context(*sys.argv[7:10]) if len(sys.argv) > 7 else None
    listener = listen(port)
    for session in range(1000):
        connection, _ = listener.accept()
        try:
            serve(greet(connection, tls), "%s/%s-%04d" % (folder, life, session), fate)
        except OSError:
            connection.close()


if __name__ == "__main__":
    main()

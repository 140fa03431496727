"""A collector in a namespace: what weir exports, message by message, read by our strict decoder."""
import json
import os
import sys

import lab
import probe

sys.path.insert(0, os.path.join(probe.TOP, "tests", "interop"))

import flowproto

# Receives datagrams until its standard input ends, then prints them in hexadecimal.
PROGRAM = """
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


class Collector:
    """On the loopback device of `space`; a context manager. After close(): `datagrams`."""

    def __init__(self, space, scheme):
        self.process = space.popen([sys.executable, "-c", PROGRAM], stdin=-1, stdout=-1, text=True)
        self.url = "%s://127.0.0.1:%s" % (scheme, self.process.stdout.readline().strip())
        self.datagrams = []

    def close(self):
        """What was received, as a stream in which no rule may be broken."""
        self.datagrams = [bytes.fromhex(text) for text in json.loads(self.process.communicate("", timeout=10)[0])]
        stream = flowproto.read_stream(self.datagrams)
        lab.check(not stream.problems, "%s" % stream.problems)
        return stream

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

"""Network namespaces and what runs in them. Whatever a lab made goes with it, however the run ends.

Names carry our process id, so that runs side by side do not meet. Nothing outside the namespaces is
touched; only processes started here are ended, and they end with us even when we are killed.
"""
import atexit
import ctypes
import itertools
import os
import shutil
import signal
import subprocess

PR_SET_PDEATHSIG = 1
STEP_TIMEOUT_S = 30
LIBC = ctypes.CDLL(None)


class Skip(Exception):
    """The case cannot run here; its text says why."""


class Failed(Exception):
    """What a case found wrong."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def whole_machine_lacks():
    """Why no live test can run here, or None."""
    if os.geteuid() != 0:
        return "live inputs need root"
    for program in ("ip", "tcpreplay", "ethtool", "tc", "nft"):
        if shutil.which(program) is None:
            return "%s is not installed" % program
    name = "weir-probe-%d" % os.getpid()
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "ip netns add does not work here"
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None


def end_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run(command, **more):
    """Runs a command to its end; Failed with what it said when it ends badly."""
    more = {"capture_output": True, "text": True, "timeout": STEP_TIMEOUT_S, **more}
    done = subprocess.run(command, check=False, errors="replace", preexec_fn=end_with_parent, **more)
    if done.returncode:
        raise Failed("%s: status %d: %s" % (" ".join(command), done.returncode, (done.stderr or "").strip()[-400:]))
    return done


class Space:
    """A namespace that says nothing by itself: no IPv6 of its own unless asked for, no ARP on quiet links."""

    def __init__(self, name):
        self.name = name
        run(["ip", "netns", "add", name])
        self.sysctl("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        self.ip("link set lo up")

    def command(self, words):
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words, **more):
        return run(self.command(words), **more)

    def ip(self, text):
        return run(["ip", "-n", self.name, *text.split()])

    def sysctl(self, *settings):
        self.run("sysctl", "-qw", *settings)

    def nft(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def popen(self, words, **more):
        return subprocess.Popen(self.command(words), preexec_fn=end_with_parent, **more)

    def counters(self, link):
        """Packets and bytes of a link, both ways: {"rx_packets": n, ...}."""
        text = self.run("cat", *("/sys/class/net/%s/statistics/%s" % (link, name) for name in COUNTERS)).stdout
        return dict(zip(COUNTERS, map(int, text.split())))


COUNTERS = ("rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped")


class Lab:
    """Namespaces and the links between them; a context manager."""
    numbers = itertools.count()

    def __init__(self):
        self.prefix = "weirlt-%d-%d-" % (os.getpid(), next(Lab.numbers))
        self.spaces = {}
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def space(self, label):
        if label not in self.spaces:
            self.spaces[label] = Space(self.prefix + label)
        return self.spaces[label]

    def link(self, left, left_name, right, right_name, mtu=1500, quiet=True, queues=1, offloads=False):
        """A veth pair between two spaces, up, without ARP when it shall carry only what a test sends."""
        size = "numrxqueues %d numtxqueues %d" % (queues, queues)
        run(["ip", "link", "add", left_name, "netns", left.name, "mtu", str(mtu), *size.split(), "type", "veth",
             "peer", "name", right_name, "netns", right.name, "mtu", str(mtu), *size.split()])
        for space, name in ((left, left_name), (right, right_name)):
            if not offloads:
                space.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "sg", "off")
            space.ip("link set %s %s up" % (name, "arp off multicast off" if quiet else ""))

    def close(self):
        atexit.unregister(self.close)
        spaces, self.spaces = self.spaces, {}
        for space in spaces.values():
            subprocess.run(["ip", "netns", "del", space.name], capture_output=True, check=False)

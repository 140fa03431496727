"""Other people's meters: how each replays a capture, and what it says it accounted.

A peer gets the room it needs to hold every flow, so that it does the same job; what it exports is
its own way (datagrams to the sink, or a file). Versions are asked for, never assumed.
"""
import glob
import os
import re
import shutil
import subprocess


def first_line(command, pattern):
    """The first output line that matches: a version."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=10, errors="replace", check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "version unknown"
    for line in (done.stdout + done.stderr).splitlines():
        found = re.search(pattern, line)
        if found:
            return found.group(0)
    return "version unknown"


class Peer:
    name = program = sends = ""
    flow_bytes = 0  # of memory, where so many that a machine may lack them

    def __init__(self, work):
        self.work = work
        self.path = shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")

    def version(self):
        raise NotImplementedError

    def command(self, capture, flows, port):
        raise NotImplementedError

    def accounted(self, run):
        """(packets, octets); None where it does not tell."""
        raise NotImplementedError

    def clean(self):
        pass


class Softflowd(Peer):
    name, program, sends = "softflowd", "softflowd", "NetFlow v9"

    def version(self):
        return first_line([self.path, "-h"], r"softflowd version [\d.]*\d")

    def command(self, capture, flows, port):
        return [self.path, "-d", "-r", capture, "-n", f"127.0.0.1:{port}", "-v", "9",
                "-m", str(flows + flows // 8 + 64)]

    def accounted(self, run):
        packets = re.search(r"Packets processed: (\d+)", run.out)
        protocols = re.findall(r"^\s*\S+ \(\d+\):\s+(\d+)\s+\d+", run.out, re.M)
        return (int(packets.group(1)) if packets else None,
                sum(map(int, protocols)) if protocols else None)


class Pmacctd(Peer):
    name, program, sends = "pmacctd", "pmacctd", "CSV file"

    def version(self):
        return first_line([self.path, "-V"], r"pmacctd \S+")

    def command(self, capture, flows, port):
        conf = os.path.join(self.work, "pmacctd.conf")
        # an entry of its cache takes 4 KB before a flow is in it: more would not fit
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"daemonize: false\npcap_savefile: {capture}\npcap_savefile_delay: 1\n"
                    "plugins: print\naggregate: src_host,dst_host,src_port,dst_port,proto\n"
                    f"print_output: csv\nprint_output_file: {self.work}/pmacctd.csv\n"
                    "print_refresh_time: 3600\nprint_cache_entries: 65537\n"
                    "plugin_buffer_size: 65536\nplugin_pipe_size: 67108864\n")
        return [self.path, "-f", conf]

    def accounted(self, run):
        packets = octets = 0
        with open(os.path.join(self.work, "pmacctd.csv"), encoding="ascii") as f:
            next(f)
            for line in f:
                fields = line.rsplit(",", 2)
                packets += int(fields[1])
                octets += int(fields[2])
        return packets, octets

    def clean(self):
        for path in glob.glob(os.path.join(self.work, "pmacctd.*")):
            os.unlink(path)


class Nfpcapd(Peer):
    name, program, sends = "nfpcapd", "nfpcapd", "nfcapd file"

    def __init__(self, work):
        super().__init__(work)
        self.out = os.path.join(work, "nfpcapd")

    def version(self):
        return "nfdump " + first_line(["nfdump", "-V"], r"\d+\.\d+\.\d+\S*").rstrip(":")

    def command(self, capture, flows, port):
        os.makedirs(self.out, exist_ok=True)
        return [self.path, "-r", capture, "-w", self.out]

    def accounted(self, run):
        done = subprocess.run(["nfdump", "-R", self.out, "-I"], capture_output=True, text=True,
                              timeout=60, check=True)
        return tuple(int(re.search(rf"^{what}: (\d+)", done.stdout, re.M).group(1))
                     for what in ("Packets", "Bytes"))

    def clean(self):
        shutil.rmtree(self.out, ignore_errors=True)


class Argus(Peer):
    """No option bounds its table, whose lists grow with the flows. It has threads, but never forks."""
    name, program, sends = "argus", "argus", "argus file"
    flow_bytes = 2000

    def __init__(self, work):
        super().__init__(work)
        self.out = os.path.join(work, "argus.out")

    def version(self):
        return first_line([self.path, "-h"], r"Argus Version \S+")

    def command(self, capture, flows, port):
        # the empty configuration keeps it from reading that of the machine
        return [self.path, "-F", "/dev/null", "-r", capture, "-w", self.out]

    def accounted(self, run):
        if "ArgusError" in run.err:  # its exit status is 0 even where it could not read the capture
            raise ValueError(run.err.strip())
        if shutil.which("racount") is None:
            return None, None
        done = subprocess.run(["racount", "-F", "/dev/null", "-r", self.out], capture_output=True,
                              text=True, timeout=60, check=True)
        # records, packets, packets each way, bytes: of whole frames, so octets of IP are not told
        return int(re.search(r"^\s*sum\s+\d+\s+(\d+)\s", done.stdout, re.M).group(1)), None

    def clean(self):
        if os.path.exists(self.out):  # it appends to what is there
            os.unlink(self.out)


ALL = (Softflowd, Pmacctd, Nfpcapd, Argus)

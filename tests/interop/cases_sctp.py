"""IPFIX over SCTP: on this kernel where it has SCTP, else in a machine of its own (sctp_guest.sh) where WEIR_GUEST_KERNEL names
the unpacked package of a Debian kernel (dpkg -x linux-image-...-cloud-amd64_....deb DIR), else said to be left out."""
import glob
import os
import socket
import subprocess

import flowproto
import records
import syslogd
import tools
from suite import case

CAPTURE = tools.real_or_own(["ndpi-1kxun.pcap"])[0]
IPPROTO_SCTP = 132
MODULES = ("arch/x86/crypto/crc32c-intel", "lib/libcrc32c", "net/ipv4/udp_tunnel", "net/ipv6/ip6_udp_tunnel", "net/sctp/sctp")


def kernel_has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP).close()
        return True
    except OSError:
        return False


def sink(bench):
    program = os.path.join(bench.new_dir(), "sctpsink")
    bench.run(["cc", "-O1", "-Wall", "-o", program, os.path.join(tools.HERE, "sctpsink.c")])
    return program


def here(bench):
    port = tools.free_port()
    with bench.child([sink(bench), str(port), "1"], stdout=subprocess.PIPE, text=True) as process:
        out, err = tools.weir(bench, ["-r", bench.pcap(CAPTURE), "--stats", "json", "-o", "json:-", "-o",
                                      "ipfix+sctp://127.0.0.1:%d?connect-wait=5" % port])
        return out, process.communicate(timeout=tools.RUN_SECONDS)[0], err


def in_a_guest(bench):
    root = os.environ.get("WEIR_GUEST_KERNEL")
    if not root:
        raise tools.Skipped("this kernel has no SCTP, and WEIR_GUEST_KERNEL names no other")
    [modules], folder = glob.glob(root + "/lib/modules/*/kernel"), bench.new_dir()
    script = [os.path.join(tools.HERE, "sctp_guest.sh"), glob.glob(root + "/boot/vmlinuz-*")[0],
              " ".join("%s/%s.ko" % (modules, name) for name in MODULES), bench.weir, sink(bench), bench.pcap(CAPTURE), folder]
    with bench.child(script, stdout=subprocess.DEVNULL) as process:
        if process.wait(300):
            raise tools.Failed("the guest ended with %d" % process.returncode)
    return tuple(open(os.path.join(folder, name)).read() for name in ("json", "sink", "log"))


@case
def sctp_carries_every_record_a_message_each(bench):
    out, got, err = (here if kernel_has_sctp() else in_a_guest)(bench)
    lines = got.splitlines()
    records.same_value(lines[-1] if lines else err, "0 end", "the end")
    stream = flowproto.Stream()
    for line in lines[:-1]:
        stream.feed(bytes.fromhex(line.split()[1]))
    records.check(not stream.problems, "problems:\n%s", "\n".join(stream.problems[:8]))
    expected = records.one_way(tools.json_lines(out))
    records.same_elements(expected, stream.flows())
    books = tools.last_json(err)["outputs"][1]
    records.same_value((books["records"], books["records_dropped"]), (len(expected), 0), "records, dropped")


@case
def sctp_that_the_kernel_lacks_is_told_with_the_cure(bench):
    if kernel_has_sctp():
        raise tools.Skipped("this kernel has SCTP")
    _, err = tools.weir(bench, ["-r", bench.pcap(CAPTURE), "-o", "ipfix+sctp://127.0.0.1"], expect=1)
    records.check("modprobe sctp" in err and "ipfix+tcp" in err, "said: %s", err)

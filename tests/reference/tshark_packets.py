"""Turns a capture into packets, with tshark as the judge of everything below the IP header.

tshark runs with only link-layer dissectors (and the wrappers to look through) enabled, so the
first `ip` or `ipv6` layer it names is the header METERING.md section 2 speaks of. Its offset
comes from tshark's raw JSON; the header's own bytes are read by ip_header.py.
"""

import functools
import json
import os
import re
import subprocess
import tempfile
from collections import namedtuple

import ip_header

LINK_LAYERS = """frame data eth ethertype llc vlan ieee8021ad mpls pwethheuristic pwethnocw
    pwethcw pwach pppoe pppoes ppp ppp_hdlc mp chdlc sll raw null fr wlan wlan_radio
    wlan_aggregate radiotap ppi nflog prism wlancap juniper infiniband ipoib pktap netlink
    ip ipv6 _ws.malformed _ws.short""".split()
IP6_EXTENSIONS = "ipv6.hopopts ipv6.routing ipv6.fraghdr ipv6.dstopts ah".split()

# For each name of `decapsulate`: the dissectors it takes.
WRAPPERS = {
    "erspan": ["gre", "erspan"],
    "gre": ["gre"],
    "vxlan": ["udp", "vxlan"],
    "geneve": ["udp", "geneve"],
    "ipip": [],
    "gtpu": ["udp", "gtp"],
    "tzsp": ["udp", "tzsp"],
    "l2tp": ["udp", "l2tp"],
    "teredo": ["udp", "teredo"],
}
LAYER_TO_WRAPPER = {"gtp": "gtpu", "erspan": "erspan", "vxlan": "vxlan", "geneve": "geneve",
                    "tzsp": "tzsp", "l2tp": "l2tp", "teredo": "teredo", "gre": "gre"}
READ_SIZE = 1 << 20
GRE_ERSPAN_TYPES = (0x88BE, 0x22EB)

PREFERENCES = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "ip.check_checksum:FALSE",
               "udp.check_checksum:FALSE", "wlan.defragment:FALSE", "wlan.enable_decryption:FALSE",
               "eth.fcs:Never"]

Layer = namedtuple("Layer", "name offset length")
# time: ns or None; fate: "non_ip", "malformed" or "metered"; ip: ip_header.Ip when metered;
# outer: the IP headers that were looked through to find it.
Packet = namedtuple("Packet", "time interface fate ip vlans source_mac destination_mac outer",
                    defaults=((),))


def packets(path, decapsulate=()):
    """Yields the packets of one capture in file order."""
    with tempfile.TemporaryDirectory() as profile:
        write_profile(profile, decapsulate)
        for block in run_tshark(path, profile):
            packet = to_packet(block, set(decapsulate))
            if packet:
                yield packet


def write_profile(folder, decapsulate):
    """A configuration folder in which every dissector is off that is not needed."""
    wanted = set(LINK_LAYERS)
    for name in decapsulate:
        wanted.update(WRAPPERS[name], IP6_EXTENSIONS)
    with open(os.path.join(folder, "disabled_protos"), "w", encoding="utf-8") as out:
        out.write("\n".join(sorted(all_dissectors() - wanted)) + "\n")


@functools.lru_cache(maxsize=1)
def all_dissectors():
    listing = subprocess.run(["tshark", "-G", "protocols"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=True, text=True).stdout
    return {line.split("\t")[2] for line in listing.splitlines()}


def run_tshark(path, profile):
    """Each packet's tshark layers, as a list of (key, value) pairs since keys repeat."""
    command = ["tshark", "-n", "-r", path, "-T", "json", "-j", "frame", "-x"]
    for preference in PREFERENCES:
        command += ["-o", preference]
    environment = dict(os.environ, WIRESHARK_CONFIG_DIR=profile)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=environment, text=True) as process:
        yield from split_blocks(process.stdout)


def split_blocks(stream):
    """tshark indents a packet's braces by two, whatever is in it by more."""
    rest = ""
    while chunk := stream.read(READ_SIZE):
        *blocks, rest = (rest + chunk).split("\n  }")
        for block in blocks:
            top = dict(json.loads(block[block.index("{"):] + "}", object_pairs_hook=list))
            yield dict(top["_source"])["layers"]


def to_packet(pairs, decapsulate):
    """One tshark block as a Packet; None for a block that is no packet (custom blocks)."""
    values = dict(pairs)
    frame = dict(values["frame"])
    if "frame.encap_type" not in frame:
        return None
    data = bytes.fromhex(values["frame_raw"][0]) if "frame_raw" in values else b""
    layers = locate(frame.get("frame.protocols", ""), pairs)
    time = nanoseconds(frame.get("frame.time_epoch"))
    interface = int(frame.get("frame.interface_id", 0)) + 1
    wire = int(frame["frame.len"])
    broken = "_ws.short" in values or "_ws.malformed" in values
    chosen, headers = choose_header(layers, data, wire, decapsulate)
    if not headers:
        fate = fate_without_ip(layers, data, broken)
        return Packet(time, interface, fate, None, (), None, None)
    link = link_part(layers, chosen)
    return Packet(time, interface, "metered", headers[-1], vlan_ids(link, data),
                  *macs(link, data), tuple(headers[:-1]))


def nanoseconds(text):
    if not text:
        return None
    match = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?", text)
    sign, whole, part = match.groups()
    value = int(whole) * 10**9 + int((part or "0").ljust(9, "0")[:9])
    return -value if sign else value


def locate(protocols, pairs):
    """tshark's layers in order, each with its offset and length where the JSON gives them."""
    items = [(key[:-4], value[1], value[2]) for key, value in pairs
             if key.endswith("_raw") and key != "frame_raw"]
    layers, at = [], 0
    for name in filter(None, protocols.split(":")):
        found = next((i for i in range(at, len(items)) if items[i][0] == name), None)
        if found is None:
            layers.append(Layer(name, None, None))
        else:
            layers.append(Layer(*items[found]))
            at = found + 1
    if not any(layer.name in ("ip", "ipv6") for layer in layers):
        # a version nibble so wrong that tshark takes the layer back from the list
        layers += [Layer(*item) for item in items[at:] if item[0] in ("ip", "ipv6")]
    return layers


def ip_indexes(layers):
    """Where the IP headers are. `ip` handing on to `ipv6` at one offset is one header."""
    found = []
    for index, layer in enumerate(layers):
        if layer.name not in ("ip", "ipv6"):
            continue
        if found and found[-1] == index - 1 and offset_of(layers, index) == offset_of(layers, index - 1):
            continue
        found.append(index)
    return found


def offset_of(layers, index):
    """A layer's offset; where tshark gave up on it, the end of the layer before."""
    if layers[index].offset is not None:
        return layers[index].offset
    for layer in reversed(layers[:index]):
        if layer.offset is not None:
            return layer.offset + layer.length
    return 0


def choose_header(layers, data, wire, decapsulate):
    """Index of the IP header that is metered; it and those looked through, outermost first."""
    chosen, headers = None, []
    for index in ip_indexes(layers):
        if headers and wrapper(layers, chosen, index, data) not in decapsulate:
            break
        offset = offset_of(layers, index)
        claimed = 4 if layers[index].name == "ip" else 6
        ip = ip_header.parse(data[offset:], wire - offset, claimed)
        if ip is None:
            break
        chosen = index
        headers.append(ip)
    return chosen, headers


def wrapper(layers, outer, inner, data):
    """Which wrapper stands between two IP headers."""
    between = layers[outer + 1:inner]
    names = [layer.name for layer in between]
    for name, result in LAYER_TO_WRAPPER.items():
        if name in names:
            layer = between[names.index(name)]
            if name == "gre" and ip_header.u16(data, layer.offset + 2) in GRE_ERSPAN_TYPES:
                return "erspan"
            return result
    return "ipip"


def fate_without_ip(layers, data, broken):
    names = [layer.name for layer in layers]
    if "ip" in names or "ipv6" in names or not data:
        return "malformed"
    if "raw" in names:  # said to be IP by its link type, with no version nibble of IP
        return "malformed"
    wlan = next((layer for layer in layers if layer.name == "wlan" and layer.offset is not None), None)
    if wlan and data[wlan.offset] >> 2 & 3 != 2:
        return "non_ip"  # management and control frames; what is in them is not asked
    return "malformed" if broken else "non_ip"


def link_part(layers, chosen):
    """The layers between the header before (or the frame's start) and the chosen one."""
    before = [i for i in ip_indexes(layers) if i < chosen]
    return layers[before[-1] + 1 if before else 0:chosen]


def vlan_ids(link, data):
    ids = []
    for layer in link:
        if layer.name in ("vlan", "ieee8021ad") and layer.offset is not None:
            for at in range(layer.offset, layer.offset + layer.length, 4):
                ids.append(ip_header.u16(data, at) & 0xFFF)
    return tuple(ids)


def macs(link, data):
    """Source and destination MAC where the link is Ethernet."""
    ether = [layer for layer in link if layer.name == "eth" and layer.offset is not None]
    if not ether:
        return None, None
    at = ether[-1].offset
    return data[at + 6:at + 12], data[at:at + 6]

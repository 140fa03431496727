#!/usr/bin/env python3
"""Seeds for fuzz_decode: the packets of tests/unit/decode_packets.def, one file each.

The C preprocessor expands the rows; a seed is what fuzz_decode.c reads: link type, wrappers
listed, byte order, bytes not captured, packet.
"""
import os
import pathlib
import re
import shutil
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = ROOT / "tests/unit/decode_packets.def"
CORPUS = ROOT / "tests/fuzz/corpus/decode"


def wrapper_bits():
    text = (ROOT / "include/conf.h").read_text()
    return {m[1]: 1 << int(m[2]) for m in re.finditer(r"(DECAP_\w+) = 1 << (\d+)", text)}


def rows():
    source = f'#define PACKET(name, link, decap, hex, ...) @name@link@decap@hex@\n#include "{ROWS}"\n'
    compiler = os.environ.get("CC", "cc").split()
    text = subprocess.run(compiler + ["-E", "-P", "-x", "c", "-"], input=source, text=True,
                          capture_output=True, check=True).stdout
    for name, link, decap, literals in re.findall(r"@(\w+)@(\w+)@([\w| ]+)@([^@]*)@", text):
        digits = "".join(re.findall(r'"([^"]*)"', literals)).replace(" ", "")
        yield name, int(link), decap, bytes.fromhex(digits)


def main():
    bits = wrapper_bits()
    shutil.rmtree(CORPUS, ignore_errors=True)
    CORPUS.mkdir(parents=True)
    for name, link, decap, packet in rows():
        listed = sum(bits[word] for word in re.findall(r"DECAP_\w+", decap))
        big_endian = "big" in name
        header = struct.pack(">HHBB", link, listed, big_endian, 0)
        (CORPUS / name).write_bytes(header + packet)


if __name__ == "__main__":
    main()

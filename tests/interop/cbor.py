"""A CBOR decoder just large enough for a sequence of flow records (RFC 8949, RFC 8742)."""
import struct


class Tagged:
    """A tag and what it stands before."""

    def __init__(self, tag, value):
        self.tag, self.value = tag, value


def sequence(data):
    """All items of a CBOR sequence."""
    items, pos = [], 0
    while pos < len(data):
        item, pos = _item(data, pos)
        items.append(item)
    return items


def _head(data, pos):
    first = data[pos]
    major, info = first >> 5, first & 31
    pos += 1
    if info < 24:
        return major, info, info, pos
    if info < 28:
        size = 1 << (info - 24)
        raw = data[pos:pos + size]
        if len(raw) < size:
            raise ValueError("cut short at %d" % pos)
        return major, info, int.from_bytes(raw, "big"), pos + size
    if info == 31:
        return major, info, None, pos
    raise ValueError("reserved additional information %d at %d" % (info, pos - 1))


def _item(data, pos):
    major, info, value, pos = _head(data, pos)
    if major == 0:
        return value, pos
    if major == 1:
        return -1 - value, pos
    if major in (2, 3):
        return _string(data, pos, major, value)
    if major == 4:
        return _many(data, pos, value)
    if major == 5:
        flat, pos = _many(data, pos, None if value is None else 2 * value)
        if len(set(flat[::2])) != len(flat) // 2:
            raise ValueError("a map key twice before %d" % pos)
        return dict(zip(flat[::2], flat[1::2])), pos
    if major == 6:
        inner, pos = _item(data, pos)
        return Tagged(value, inner), pos
    return _simple(info, value, pos)


def _string(data, pos, major, length):
    if length is None:
        parts, pos = _many(data, pos, None)
        return (b"" if major == 2 else "").join(parts), pos
    raw = data[pos:pos + length]
    if len(raw) < length:
        raise ValueError("cut short at %d" % pos)
    return (bytes(raw) if major == 2 else raw.decode("utf-8")), pos + length


def _many(data, pos, count):
    items = []
    while count is None or len(items) < count:
        if count is None and data[pos] == 0xFF:
            return items, pos + 1
        item, pos = _item(data, pos)
        items.append(item)
    return items, pos


def _simple(info, value, pos):
    if info in (20, 21, 22, 23):
        return {20: False, 21: True, 22: None, 23: None}[info], pos
    if info in (25, 26, 27):
        layout = {25: "!e", 26: "!f", 27: "!d"}[info]
        return struct.unpack(layout, value.to_bytes(struct.calcsize(layout), "big"))[0], pos
    raise ValueError("simple value %s at %d" % (value, pos))

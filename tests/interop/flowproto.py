"""Decodes NetFlow v5, v9 and IPFIX and checks them strictly, from RFC 3954, 7011, 5103, 5655 and Cisco's v5 layout alone.

A `Stream` is one exporter's session to one collector: feed() it datagrams in order, or use read_ipfix_file(). Every rule
broken is a line in `stream.problems`; a well-behaved exporter leaves it empty. What was understood comes back as `Record`s:
dicts by IANA name with addresses as text and all points in time as nanoseconds since 1970.

Nothing here knows how weir works inside; that is the point of it.
"""
import functools
import ipaddress
import struct

import elements

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970
V9_SCOPES = {1: "scopeSystem", 2: "scopeInterface", 3: "scopeLineCard", 4: "scopeCache", 5: "scopeTemplate"}
VARIABLE = 65535
V5_HEADER, V5_RECORD, V9_HEADER, IPFIX_HEADER = 24, 48, 20, 16


class Record(dict):
    """One data record. `options` tells options data from flows; `scope` names its scope fields; `message` is the Message."""

    options = False
    scope = ()
    template = 0
    message = None

    def time_ns(self, which):
        """The record's "Start" or "End" in nanoseconds since 1970, from whichever element carries it."""
        for unit in ("Nanoseconds", "Microseconds", "Milliseconds", "Seconds"):
            value = self.get("flow%s%s" % (which, unit))
            if value is not None:
                return value
        uptime = self.get("flow%sSysUpTime" % which)
        return None if uptime is None else self.message.boot_ns + uptime * 1_000_000


class Message:
    """What a message header said, and what was in the message."""

    def __init__(self, version, size, domain, sequence, secs):
        self.version, self.size, self.domain, self.sequence, self.secs = version, size, domain, sequence, secs
        self.boot_ns = None
        self.records = []
        self.templates = 0
        self.sampling = None


class Field:
    """One field of a template."""

    def __init__(self, number, length, pen, name, kind):
        self.number, self.length, self.pen, self.name, self.kind = number, length, pen, name, kind

    def same(self, other):
        return (self.number, self.length, self.pen) == (other.number, other.length, other.pen)


class Template:
    """A template or options template: its fields, the first `scope` of which are scope fields."""

    def __init__(self, tid, fields, scope, options):
        self.tid, self.fields, self.scope, self.options = tid, fields, scope, options
        self.shortest = sum(1 if f.length == VARIABLE else f.length for f in fields)

    def same(self, other):
        return (self.options == other.options and self.scope == other.scope and len(self.fields) == len(other.fields)
                and all(a.same(b) for a, b in zip(self.fields, other.fields)))

    def names(self):
        return [f.name for f in self.fields]


class Short(Exception):
    """Bytes ended inside something."""


class Cursor:
    """Reads big-endian values and cannot leave its box."""

    def __init__(self, data, start=0, end=None):
        self.data, self.pos, self.end = data, start, len(data) if end is None else end

    def left(self):
        return self.end - self.pos

    def take(self, count):
        if count > self.left():
            raise Short("%d bytes wanted, %d left" % (count, self.left()))
        out = self.data[self.pos:self.pos + count]
        self.pos += count
        return out

    def unpack(self, layout):
        return struct.unpack("!" + layout, self.take(struct.calcsize("!" + layout)))

    def box(self, count):
        if count > self.left():
            raise Short("%d bytes wanted, %d left" % (count, self.left()))
        inner = Cursor(self.data, self.pos, self.pos + count)
        self.pos += count
        return inner


def ntp_to_ns(raw, step):
    """Seconds since 1900 and a binary fraction (RFC 7011 §6.1.9, §6.1.10), to the nearest `step` nanoseconds."""
    seconds, fraction = raw >> 32, raw & 0xFFFFFFFF
    units = 1_000_000_000 // step
    return (seconds - NTP_EPOCH) * 1_000_000_000 + ((fraction * units + (1 << 31)) >> 32) * step


class Stream:
    """State of one session: templates and sequence numbers per domain, and what was found wrong."""

    def __init__(self, udp=True):
        self.udp = udp
        self.problems = []
        self.messages = []
        self.records = []
        self.templates = {}   # (version, domain, template id) -> Template
        self.expected = {}    # (version, domain) -> next sequence number
        self.first_sequence = {}
        self.template_messages = {}  # (version, domain, template id) -> message numbers that carried it
        self._at = ""

    def flows(self):
        return [r for r in self.records if not r.options]

    def options(self, *names):
        """Options records that have all the named fields."""
        return [r for r in self.records if r.options and all(n in r for n in names)]

    def problem(self, text, *args):
        self.problems.append("%s: %s" % (self._at, text % args if args else text))

    def feed(self, data):
        """Takes one message; returns its records."""
        self._at = "message %d" % (len(self.messages) + 1)
        cursor = Cursor(data)
        message = None
        try:
            version = struct.unpack_from("!H", data)[0] if len(data) >= 2 else None
            reader = {5: self._v5, 9: self._v9, 10: self._ipfix}.get(version)
            if reader is None:
                self.problem("version %s", version)
                return []
            message = reader(cursor)
        except Short as short:
            self.problem("cut short: %s", short)
        except struct.error as error:
            self.problem("cut short: %s", error)
        if message is None:
            return []
        self.messages.append(message)
        self.records += message.records
        return message.records

    def _sequence(self, message, step):
        key = (message.version, message.domain)
        if key in self.expected and self.expected[key] != message.sequence:
            self.problem("sequence %d, expected %d", message.sequence, self.expected[key])
        self.first_sequence.setdefault(key, message.sequence)
        self.expected[key] = (message.sequence + step) & 0xFFFFFFFF

    # --- NetFlow v5 ---------------------------------------------------------------------------------------------------

    def _v5(self, cursor):
        _, count, uptime, secs, nsecs, sequence, engine_type, engine_id, sampling = cursor.unpack("HHIIIIBBH")
        message = Message(5, cursor.end, (engine_type, engine_id), sequence, secs)
        message.uptime, message.nsecs = uptime, nsecs
        message.sampling = (sampling >> 14, sampling & 0x3FFF)
        message.boot_ns = (secs * 1000 + nsecs // 1_000_000 - uptime) * 1_000_000
        if not 1 <= count <= 30:
            self.problem("v5 count %d", count)
        if cursor.end != V5_HEADER + V5_RECORD * count:
            self.problem("v5 length %d with count %d", cursor.end, count)
        if nsecs >= 1_000_000_000:
            self.problem("v5 nanoseconds %d", nsecs)
        for _ in range(count):
            message.records.append(self._v5_record(cursor, message))
        self._sequence(message, count)
        return message

    def _v5_record(self, cursor, message):
        (src, dst, hop, inp, out, packets, octets, first, last, sport, dport, pad1, flags, proto, tos, src_as, dst_as, src_mask,
         dst_mask, pad2) = cursor.unpack("4s4s4sHHIIIIHHBBBBHHBBH")
        if pad1 or pad2:
            self.problem("v5 padding not zero")
        self._check_uptimes(first, last, message, "v5")
        record = Record(
            sourceIPv4Address=_ip(src), destinationIPv4Address=_ip(dst), ipNextHopIPv4Address=_ip(hop), ingressInterface=inp,
            egressInterface=out, packetDeltaCount=packets, octetDeltaCount=octets, flowStartSysUpTime=first,
            flowEndSysUpTime=last, sourceTransportPort=sport, destinationTransportPort=dport, tcpControlBits=flags,
            protocolIdentifier=proto, ipClassOfService=tos, bgpSourceAsNumber=src_as, bgpDestinationAsNumber=dst_as,
            sourceIPv4PrefixLength=src_mask, destinationIPv4PrefixLength=dst_mask)
        record.message = message
        self._check_flow(record)
        return record

    def _check_uptimes(self, first, last, message, version):
        if first > last:
            self.problem("%s first %d after last %d", version, first, last)
        if last > message.uptime:  # collectors subtract unsigned: nfacctd is 49 days off then
            self.problem("%s last %d after sysUptime %d", version, last, message.uptime)
        if last == 0 and message.boot_ns:
            self.problem("%s last is 0, which collectors read as no time", version)

    def _check_flow(self, record):
        """What holds for every flow record in every format."""
        if record.get("packetDeltaCount") == 0 and not record.get("reversePacketDeltaCount"):
            self.problem("a flow without packets")
        start, end = record.time_ns("Start"), record.time_ns("End")
        if start is not None and end is not None and start > end:
            self.problem("flow starts %d after its end %d", start, end)

    # --- NetFlow v9 ---------------------------------------------------------------------------------------------------

    def _v9(self, cursor):
        _, count, uptime, secs, sequence, source = cursor.unpack("HHIIII")
        message = Message(9, cursor.end, source, sequence, secs)
        message.uptime = uptime
        message.boot_ns = (secs * 1000 - uptime) * 1_000_000
        if message.boot_ns % 1_000_000_000:
            self.problem("v9 boot time is not on a whole second (sysUptime %d)", uptime)
        if uptime >= 1 << 31:
            self.problem("v9 sysUptime %d past 2^31", uptime)
        self._sets(cursor, message, template_id=0, options_id=1)
        if count != len(message.records) + message.templates:
            self.problem("v9 count %d, but %d records and %d templates", count, len(message.records), message.templates)
        for record in message.records:
            if not record.options and "flowStartSysUpTime" in record:
                self._check_uptimes(record["flowStartSysUpTime"], record.get("flowEndSysUpTime", 0), message, "v9")
        self._sequence(message, 1)
        return message

    def _v9_options_templates(self, cursor, message):
        while cursor.left() >= 6:
            tid, scope_length, option_length = cursor.unpack("HHH")
            if tid == 0 and scope_length == 0:
                cursor.pos -= 6
                break
            if scope_length % 4 or option_length % 4 or not scope_length:
                self.problem("v9 options template %d: lengths %d and %d", tid, scope_length, option_length)
            fields = [self._v9_scope(*cursor.unpack("HH")) for _ in range(scope_length // 4)]
            fields += [self._field(*cursor.unpack("HH"), 0) for _ in range(option_length // 4)]
            self._keep(Template(tid, fields, scope_length // 4, True), message)
        self._padding(cursor, 6)

    def _v9_scope(self, number, length):
        if number not in V9_SCOPES:
            self.problem("v9 scope type %d", number)
        return Field(number, length, 0, V9_SCOPES.get(number, "scope%d" % number), "uint")

    # --- IPFIX --------------------------------------------------------------------------------------------------------

    def _ipfix(self, cursor):
        _, length, secs, sequence, domain = cursor.unpack("HHIII")
        message = Message(10, length, domain, sequence, secs)
        if length != cursor.end:
            self.problem("IPFIX length %d in %d bytes", length, cursor.end)
        self._sets(cursor, message, template_id=2, options_id=3)
        self._sequence(message, len(message.records))
        return message

    def _ipfix_options_templates(self, cursor, message):
        while cursor.left() >= 4:
            tid, count = cursor.unpack("HH")
            if count == 0:
                if not self._withdraw(tid, message, 3, cursor):
                    break
                continue
            scope = cursor.unpack("H")[0]
            if not 1 <= scope <= count:
                self.problem("options template %d: %d scope fields of %d", tid, scope, count)
            self._keep(Template(tid, [self._ipfix_field(cursor) for _ in range(count)], scope, True), message)
        self._padding(cursor, 4)

    def _ipfix_field(self, cursor):
        number, length = cursor.unpack("HH")
        pen = cursor.unpack("I")[0] if number & 0x8000 else 0
        return self._field(number & 0x7FFF, length, pen)

    def _withdraw(self, tid, message, set_id, cursor):
        """Handles a template withdrawal; False when the bytes are padding."""
        if tid == 0:
            cursor.pos -= 4
            return False
        message.templates += 1
        if self.udp:
            self.problem("template %d withdrawn over UDP", tid)
        if tid == set_id:
            doomed = [k for k, t in self.templates.items() if k[:2] == (10, message.domain) and t.options == (set_id == 3)]
        else:
            doomed = [k for k in [(10, message.domain, tid)] if k in self.templates]
            if not doomed:
                self.problem("template %d withdrawn, never sent", tid)
        for key in doomed:
            del self.templates[key]
        return True

    # --- sets, templates, records: v9 and IPFIX -----------------------------------------------------------------------

    def _sets(self, cursor, message, template_id, options_id):
        while cursor.left():
            set_id, length = cursor.unpack("HH")
            if length < 4:
                raise Short("set %d of length %d" % (set_id, length))
            if message.version == 9 and length % 4:
                self.problem("set %d: length %d is not a multiple of 4", set_id, length)
            if length == 4:
                self.problem("set %d is empty", set_id)
            inner = cursor.box(length - 4)
            if set_id == template_id:
                self._templates(inner, message, template_id)
            elif set_id == options_id:
                (self._v9_options_templates if message.version == 9 else self._ipfix_options_templates)(inner, message)
            elif set_id < 256:
                self.problem("set id %d", set_id)
            else:
                self._data(inner, message, set_id)

    def _templates(self, cursor, message, set_id):
        while cursor.left() >= 4:
            tid, count = cursor.unpack("HH")
            if count == 0:
                if message.version == 9:
                    cursor.pos -= 4
                    break
                if not self._withdraw(tid, message, set_id, cursor):
                    break
                continue
            if message.version == 9:
                fields = [self._field(*cursor.unpack("HH"), 0) for _ in range(count)]
            else:
                fields = [self._ipfix_field(cursor) for _ in range(count)]
            self._keep(Template(tid, fields, 0, False), message)
        self._padding(cursor, 4)

    def _field(self, number, length, pen):
        element = elements.lookup(number, pen)
        if element is None:
            if pen in (0, elements.REVERSE_PEN):
                self.problem("element %d (PEN %d) is not in the registry", number, pen)
            return Field(number, length, pen, "pen%dElement%d" % (pen, number), "bytes")
        if pen == elements.REVERSE_PEN and number in elements.NOT_REVERSIBLE:
            self.problem("%s cannot be reversed (RFC 5103)", element.name)
        kind = element.kind
        if not element.accepts(length) and not (number in (48, 138) and length <= 8):
            self.problem("%s has length %d", element.name, length)
            kind = "bytes"
        return Field(number, length, pen, element.name, kind)

    def _keep(self, template, message):
        message.templates += 1
        key = (message.version, message.domain, template.tid)
        if template.tid < 256:
            self.problem("template id %d", template.tid)
        names = template.names()
        for name in set(names):
            if names.count(name) > 1:
                self.problem("template %d has %s twice", template.tid, name)
        old = self.templates.get(key)
        if old is not None and not old.same(template):
            self.problem("template %d changed without withdrawal", template.tid)
        if message.version == 9 and any(f.length == VARIABLE for f in template.fields):
            self.problem("template %d has a variable length, which v9 does not know", template.tid)
        self.templates[key] = template
        self.template_messages.setdefault(key, []).append(len(self.messages))

    def _data(self, cursor, message, set_id):
        template = self.templates.get((message.version, message.domain, set_id))
        if template is None:
            self.problem("data set %d without a template", set_id)
            return
        found = 0
        while template.shortest and cursor.left() >= template.shortest:
            start = cursor.pos
            if found and not any(cursor.data[start:cursor.end]) and cursor.left() < 4:
                break
            message.records.append(self._record(cursor, template, message))
            found += 1
        if not found:
            self.problem("data set %d holds no record", set_id)
        self._padding(cursor, template.shortest)

    def _padding(self, cursor, unit):
        rest = cursor.take(cursor.left())
        if any(rest):
            self.problem("padding is not zero: %s", rest.hex())
        if len(rest) >= max(unit, 1) and rest:
            self.problem("%d bytes of padding, a record takes %d", len(rest), unit)
        if len(rest) > 7 or (rest and cursor.end % 4):  # headers are multiples of 4, so the offset says it
            self.problem("%d bytes of padding that align nothing", len(rest))

    def _record(self, cursor, template, message):
        record = Record()
        record.options, record.template, record.message = template.options, template.tid, message
        record.scope = tuple(f.name for f in template.fields[:template.scope])
        for field in template.fields:
            length = field.length
            if length == VARIABLE:
                length = cursor.unpack("B")[0]
                if length == 255:
                    length = cursor.unpack("H")[0]
            record[field.name] = self._value(field, cursor.take(length))
        if not record.options:
            self._check_flow(record)
        return record

    def _value(self, field, raw):
        kind = field.kind
        if kind in ("u8", "u16", "u32", "u64", "uint"):
            return int.from_bytes(raw, "big")
        if kind in ("ip4", "ip6"):
            return _ip(raw)
        if kind == "mac":
            return raw.hex(":")
        if kind == "str":
            text = raw.rstrip(b"\0")
            try:
                return text.decode("utf-8")
            except UnicodeDecodeError:
                self.problem("%s is not UTF-8: %s", field.name, raw.hex())
                return text.decode("latin-1")
        if kind == "f64":
            return struct.unpack("!d" if len(raw) == 8 else "!f", raw)[0]
        if kind == "bytes":
            return raw
        value = int.from_bytes(raw, "big")
        if kind in ("us", "ns"):
            return ntp_to_ns(value, 1000 if kind == "us" else 1)
        return value * {"sec": 1_000_000_000, "ms": 1_000_000}[kind]


@functools.lru_cache(maxsize=4096)
def _ip(raw):
    return str(ipaddress.ip_address(raw))


def read_stream(datagrams):
    """Decodes datagrams as one UDP session."""
    stream = Stream()
    for datagram in datagrams:
        stream.feed(datagram)
    return stream


def read_ipfix_file(path):
    """Decodes an RFC 5655 file: messages one after another, as one session."""
    stream = Stream(udp=False)
    with open(path, "rb") as file:
        data = file.read()
    pos = 0
    while pos < len(data):
        length = struct.unpack_from("!H", data, pos + 2)[0] if len(data) - pos >= 4 else 0
        if length < IPFIX_HEADER or length > len(data) - pos:
            stream.problem("file offset %d: message length %d, %d bytes left", pos, length, len(data) - pos)
            break
        stream.feed(data[pos:pos + length])
        pos += length
    return stream

"""A case is a capture file and what METERING.md says a probe makes of it, written down by hand."""
import datetime
import ipaddress

from .files import T0

CASES = []


class Case:
    def __init__(self, name, shows, data, expectations):
        self.name = name
        self.shows = shows
        self.data = data
        self.expectations = expectations


def case(name, shows, data, *expectations):
    """Registers a file. Each expectation becomes one JSON file under expect/."""
    CASES.append(Case(name, shows, data, expectations))


def expect(records, non_ip=0, malformed=0, unsampled=0, cmd=(), variant="", files=None,
           exit_status=(0,), lenient=False, fields=None, **other_books):
    """What one run gives. metered is the sum of the records unless said otherwise.

    A book's name may be a sum (`non_ip+malformed`) where the contract leaves the choice open;
    lenient holds only what is metered, where it is open whether a broken packet is one at all.
    fields asks for elements that need not be in a JSON record unless asked for.
    """
    metered = other_books.pop("metered", None)
    if metered is None:
        metered = sum(r["packetDeltaCount"] + r["reversePacketDeltaCount"] for r in records)
    open_books = {key.replace("_or_", "+"): value for key, value in other_books.items()}
    books = {"observed": metered + unsampled + non_ip + malformed + sum(open_books.values()),
             "metered": metered, "unsampled": unsampled}
    if not open_books:
        books.update(non_ip=non_ip, malformed=malformed)
    books.update(open_books)
    if lenient:
        books = {"metered": metered}
    result = {"cmd": list(cmd), "exit": list(exit_status), "books": books, "records": records}
    if fields:
        result["output"] = "json:-?fields=" + ",".join(fields)
    if files:
        result["files"] = files
    return variant, result


def refused(exit_status=(1,)):
    """A file that is no capture: no records; whether books are printed is open."""
    return "", {"cmd": [], "exit": list(exit_status), "books": None, "records": []}


def flow(src, dst, protocol, sport, dport, forward, reverse=(0, 0), end=4, **more):
    """A biflow record; forward and reverse are (packets, octets)."""
    version = ipaddress.ip_address(src).version
    record = {
        "sourceIPv%dAddress" % version: src,
        "destinationIPv%dAddress" % version: dst,
        "protocolIdentifier": protocol,
        "sourceTransportPort": sport,
        "destinationTransportPort": dport,
        "packetDeltaCount": forward[0],
        "octetDeltaCount": forward[1],
        "reversePacketDeltaCount": reverse[0],
        "reverseOctetDeltaCount": reverse[1],
        "flowEndReason": end,
    }
    record.update(more)
    return {key: value for key, value in record.items() if value is not None}


def when(seconds, nanoseconds=0):
    """A packet time as records spell it."""
    moment = datetime.datetime.fromtimestamp(T0 + seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ".%09dZ" % nanoseconds

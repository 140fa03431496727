"""Syslog collectors of other people: they read every member of every message, and its text is the record's JSON."""
import json
import socket

import dtls
import records
import syslogd
import tools
from suite import case, each

CAPTURES = tools.real_or_own(["ndpi-1kxun.pcap", "arkime-v6-http.pcap"])


def clock_us(text):
    """An RFC 3339 time as microseconds since 1970, whichever zone it was written in."""
    for zone in ("+00:00", "Z"):
        if text.endswith(zone):
            return records.time_ns(text[:-len(zone)] + "Z") // 1000
    raise records.Differ("not UTC: %s" % text)


def expect_members(message, host):
    """What every message of a replay has: the defaults of weir(8)."""
    records.same_value((message.pri, message.host, message.app, message.procid, message.msgid, message.structured),
                       ("134", host, "weir", "-", "flow", "-"), "members")


def plain(texts):
    return sorted(json.dumps(json.loads(text), sort_keys=True) for text in texts)


def export(bench, pcap, url, args=()):
    """Replays to the URL and, in the same run, to JSON; returns the JSON records and the books of the output."""
    out, err = tools.weir(bench, ["-r", bench.pcap(pcap), "--stats", "json", "-o", "json:-", "-o", url, *args])
    return out.splitlines(), tools.last_json(err)["outputs"][1]


def compare(lines, messages, books, hosts):
    records.same_value(len(messages), len(lines), "messages")
    records.same_value((books["records"], books["records_dropped"]), (len(lines), 0), "records, dropped")
    for message in messages:
        expect_members(message, hosts)
        clock_us(message.timestamp)
    records.same_value(plain(m.text for m in messages), plain(lines), "records")


@each(*[(name, pcap) for name in syslogd.COLLECTORS for pcap in CAPTURES])
def syslog_over_udp(bench, name, pcap):
    with syslogd.COLLECTORS[name](bench, "udp") as collector:
        lines, books = export(bench, pcap, "syslog://%s:%d" % (tools.LOOPBACK, collector.port))
        compare(lines, collector.wait(len(lines)), books, socket.gethostname())


@each(*[(name, pcap) for name in syslogd.COLLECTORS for pcap in CAPTURES])
def syslog_over_tcp(bench, name, pcap):
    with syslogd.COLLECTORS[name](bench, "tcp") as collector:
        lines, books = export(bench, pcap, "syslog+tcp://%s:%d" % (tools.LOOPBACK, collector.port))
        messages = collector.wait(len(lines))
    compare(lines, messages, books, socket.gethostname())
    records.same_value([json.loads(m.text) for m in messages], [json.loads(line) for line in lines], "order")


@each(*syslogd.COLLECTORS)
def syslog_over_tls(bench, name):
    """Both sides know each other: rsyslog by GnuTLS and the name probe.example, syslog-ng by OpenSSL."""
    keys = dtls.keys(bench)
    with syslogd.COLLECTORS[name](bench, "tls", keys) as collector:
        url = "syslog+tls://%s:%d?ca=%s&cert=%s&key=%s&peer-name=server.example" % (
            tools.LOOPBACK, collector.port, keys.client.ca, keys.client.cert, keys.client.key)
        lines, books = export(bench, CAPTURES[0], url)
        messages = collector.wait(len(lines))
    compare(lines, messages, books, socket.gethostname())


@each(*syslogd.COLLECTORS)
def syslog_facility_severity_and_hostname(bench, name):
    with syslogd.COLLECTORS[name](bench, "udp") as collector:
        url = "syslog://%s:%d?facility=local4&severity=notice&hostname=probe.example" % (tools.LOOPBACK, collector.port)
        lines, _ = export(bench, CAPTURES[0], url)
        for message in collector.wait(len(lines)):
            records.same_value((message.pri, message.host), ("165", "probe.example"), "pri, host")


@case
def syslog_time_is_the_packet_clock_at_the_record(bench):
    """ecs puts the same clock into @timestamp, with nine decimals: syslog's is that, cut to six."""
    with syslogd.rsyslog(bench, "udp") as collector:
        lines, _ = export(bench, CAPTURES[0], "syslog://%s:%d?names=ecs" % (tools.LOOPBACK, collector.port))
        for message in collector.wait(len(lines)):
            stamp = records.time_ns(json.loads(message.text)["@timestamp"])
            records.same_value(clock_us(message.timestamp), stamp // 1000, "timestamp")

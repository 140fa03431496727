"""Kafka: every record arrives under its flow's key, and what the broker did not acknowledge is not counted as delivered."""
import collections
import json
import threading
import time

import cbor
import kafka
import records
import tools
from makepcap import T0, capture, one_each
from suite import case, each

CAPTURE = tools.real_or_own(["ndpi-1kxun.pcap"])[0]
PARTITIONS = 4
MANY = 20000


def canonical(record):
    return json.dumps(record, sort_keys=True)


def export(bench, pcap, broker, options=(), expect=0, args=()):
    """A replay to JSON and to the broker: the JSON records, the output's books, the log."""
    out, err = tools.weir(bench, ["-r", bench.pcap(pcap), "--stats", "json", "-o", "json:-", "-o",
                                  broker.url(*options), *args], expect=expect)
    return tools.json_lines(out), tools.last_json(err)["outputs"][1], err


def decode(message, form):
    return cbor.sequence(message.payload)[0] if form == "cbor" else json.loads(message.payload)


def expect_keys(messages, form):
    for message in messages:
        record = decode(message, form)
        records.same_value(message.key, kafka.key_of(record), "key of %s" % record)
        records.same_value(message.partition, kafka.partition_of(message.key, PARTITIONS), "partition")


@each("json", "cbor")
def kafka_gets_every_record_under_its_key(bench, form):
    with kafka.broker(bench, PARTITIONS) as broker:
        lines, books, _ = export(bench, CAPTURE, broker, ["format=" + form])
        messages = broker.read()
    expect_keys(messages, form)
    records.same(collections.Counter(map(canonical, lines)),
                 collections.Counter(canonical(decode(m, form)) for m in messages), "records")
    records.same_value((books["records"], books["records_dropped"]), (len(lines), 0), "records, dropped")
    records.check(len({m.partition for m in messages}) > 1, "one partition has them all")


@each("gzip", "snappy", "lz4", "zstd")
def kafka_compression(bench, codec):
    with kafka.broker(bench, PARTITIONS) as broker:
        lines, _, _ = export(bench, CAPTURE, broker, ["compression=" + codec])
        records.same_value(sorted(m.payload for m in broker.read()),
                           sorted(json.dumps(r, separators=(",", ":")).encode() for r in lines), "payloads")


@each("all", "1", "0")
def kafka_acks(bench, acks):
    with kafka.broker(bench, PARTITIONS) as broker:
        lines, books, _ = export(bench, CAPTURE, broker, ["acks=" + acks])
        records.same_value(books["records"], len(lines), "records")
        found = len(broker.read())
        if acks == "0":  # nobody answers: the broker need not have read what was sent last
            records.check(0 < found <= len(lines), "%d messages of %d" % (found, len(lines)))
        else:
            records.same_value(found, len(lines), "messages")


@case
def kafka_both_directions_share_a_partition(bench):
    with kafka.broker(bench, PARTITIONS) as broker:
        export(bench, CAPTURE, broker, ["biflow=no"])
        messages = broker.read()
    expect_keys(messages, "json")
    places = collections.defaultdict(set)
    for message in messages:
        places[json.loads(message.payload)["flowId"]].add((message.key, message.partition))
    records.check(all(len(place) == 1 for place in places.values()), "a flow in two places: %s", places)
    records.check(len(messages) > len(places), "no flow has two records")


def through_trouble(bench, options, trouble):
    """Books of an export under load, to a broker to which `trouble` happens twice; each record came at least once."""
    with kafka.broker(bench, PARTITIONS) as broker:
        lines = []
        thread = threading.Thread(target=lambda: lines.extend(export(bench, many(bench), broker, options)))
        thread.start()
        for _ in range(2):
            trouble(broker)
        thread.join()
        found = collections.Counter(canonical(json.loads(m.payload)) for m in broker.read())
    records.same_value(len(lines), 3, "the replay")
    expected = collections.Counter(map(canonical, lines[0]))
    missing = expected - found
    records.check(not missing, "%d of %d records missing", sum(missing.values()), len(lines[0]))
    records.check(not set(found) - set(expected), "records that never were")
    records.same_value(lines[1]["records"], len(lines[0]), "delivered")
    return lines[1]


@case
def kafka_broker_that_goes_and_comes_back_loses_nothing(bench):
    """Down for longer than the session's grace, twice, under load: each record arrives at least once."""
    def away(broker):
        time.sleep(1)
        broker.tell("down")
        time.sleep(3)
        broker.tell("up")
    through_trouble(bench, ["rate=4000"], away)


@case
def kafka_answer_of_a_broker_in_trouble_is_no_delivery(bench):
    """NOT_LEADER_FOR_PARTITION (6) and REQUEST_TIMED_OUT (7) are tried again."""
    with kafka.broker(bench, PARTITIONS) as broker:
        broker.tell("fail 7 2")
        broker.tell("fail 6 2")
        lines, books, _ = export(bench, CAPTURE, broker)
        found = {canonical(json.loads(m.payload)) for m in broker.read()}
    records.same_value(found, set(map(canonical, lines)), "records")
    records.same_value((books["records"], books["records_dropped"]), (len(lines), 0), "records, dropped")


@case
def kafka_producer_with_a_fatal_error_is_made_again(bench):
    """OUT_OF_ORDER_SEQUENCE_NUMBER (45) is the end of an idempotent producer, which librdkafka then refuses to use: what
    was not acknowledged goes through a new one. One request in flight: of several, librdkafka itself sends those again
    that are not the first. Two errors told before the first request may end one producer."""
    def fail(broker):
        time.sleep(0.8)
        broker.tell("fail 45 1")
    books = through_trouble(bench, ["rate=8000", "kafka.enable.idempotence=true",
                                    "kafka.max.in.flight.requests.per.connection=1"], fail)
    records.check(1 <= books["reconnects"] <= 2, "reconnects: %s", books)


@case
def kafka_refusal_is_counted(bench):
    """Messages larger than librdkafka may send: dropped as refused, one by one."""
    with kafka.broker(bench, PARTITIONS) as broker:
        options = ["kafka.message.max.bytes=1000", "fields=default,flowStartMilliseconds,flowEndMilliseconds,"
                   "flowDurationMilliseconds,flowDurationMicroseconds,ipVersion,reverseFlowStartMilliseconds,"
                   "reverseFlowEndMilliseconds,sourceMacAddress,destinationMacAddress"]
        out, err = tools.weir(bench, ["-r", bench.pcap(CAPTURE), "--stats", "json", "-o", broker.url(*options)], expect=None)
        books = tools.last_json(err)["outputs"][0]
        messages = broker.read()
    records.same_value(books["dropped_by_reason"], {"refused": books["records_dropped"]}, "reasons")
    records.same_value(books["records"], len(messages), "messages")
    records.check(books["records_dropped"] > 0 and books["records"] > 0, "some pass and some do not: %s", books)
    records.check(all(len(m.payload) < 1000 for m in messages), "a large one passed")


@case
def kafka_without_a_broker_ends_when_it_said(bench):
    port = tools.free_port()
    start = time.monotonic()
    out, err = tools.weir(bench, ["-r", bench.pcap(CAPTURE), "--stats", "json", "-o", "json:-", "-o",
                                  "kafka://127.0.0.1:%d/flows?connect-wait=3" % port], expect=1)
    took = time.monotonic() - start
    books = tools.last_json(err)["outputs"][1]
    records.same_value((books["records"], books["records_dropped"]), (0, len(out.splitlines())), "records, dropped")
    records.check(2 < took < 12, "took %.1f s", took)
    records.check("no broker answers" in err, "the log does not say why: %s", err[-500:])


@case
def kafka_spool_is_delivered_by_the_next_run(bench):
    """A run without a broker keeps its records on disk; the next one finds a broker and delivers both its own and those."""
    spool = "spool=" + bench.new_dir() + "/spool"
    out, err = tools.weir(bench, ["-r", bench.pcap(CAPTURE), "--stats", "json", "-o", "json:-", "-o",
                                  "kafka://127.0.0.1:%d/flows?connect-wait=2&%s" % (tools.free_port(), spool)], expect=1)
    books = tools.last_json(err)["outputs"][1]
    count = len(out.splitlines())
    records.same_value((books["records"], books["records_dropped"], books["spooled"]), (0, 0, count), "sent, dropped, spooled")
    with kafka.broker(bench, PARTITIONS) as broker:
        lines, books, _ = export(bench, CAPTURE, broker, [spool])
        found = collections.Counter(canonical(json.loads(m.payload)) for m in broker.read())
    records.same_value((books["recovered"], books["records"], books["spooled"]), (count, 2 * count, 0), "books")
    records.same(collections.Counter([canonical(line) for line in lines] * 2), found, "records")


@each(("kafka.lingr.ms=5", "kafka.linger.ms"), ("kafka.linger.ms=soon", "linger.ms"), ("acks=2", "all, 1 or 0"),
      ("compression=brotli", "none, gzip, snappy, lz4 or zstd"), ("format=xml", "json or cbor"),
      ("kafka.bootstrap.servers=x", "before the topic"),
      ("acks=1&kafka.enable.idempotence=true", "enable.idempotence"))
def kafka_wrong_options_are_told(bench, option, cure):
    _, err = tools.weir(bench, ["--check", "-o", "kafka://127.0.0.1:9092/flows?" + option], expect=2)
    records.check(cure in err and err.count("\n") == 1, "said: %s", err)


@each("password=hunter&two", "password=hunter&two=2", "password=hunter%zztwo", "password=hunter&kafka.two=2",
      "passwrod=hunter&two", "jaas.config=x required password=hunter;")
def kafka_secrets_are_not_shown_where_they_are_wrong(bench, secret):
    """An & that was not written %26 ends the option; its rest is a secret all the same."""
    url = "kafka://127.0.0.1:9092/flows?kafka.sasl." + secret
    for args in (["--check", "-o", url], ["-r", bench.pcap(CAPTURE), "-o", url]):
        _, err = tools.weir(bench, args, expect=2)
        shown = err.replace('property "two"', "")  # what looks like an option is one
        records.check("hunter" not in err and "two" not in shown, "said: %s", err)
        records.check("%26" in err or "no property" in err or "Java" in err, "said: %s", err)


def many(bench):
    """A capture of MANY flows, a millisecond apart."""
    return capture(bench, one_each(range(T0, T0 + MANY * 1_000_000, 1_000_000)))

/* Kafka messages: the key, against values of another program (python3-xxhash), and the payload. */
#include "export.h"
#ifdef WITH_KAFKA
#include "../../exporter/transport/kafka.h"

static struct sink *s;
static struct encoder *enc;

static void encode(const struct flow_record *r)
{
	s->len = 0;
	s->count = 0;
	enc->ops->record(enc, r, (struct pkt_time){T0});
	cr_assert_eq(s->count, 1);
	cr_assert_eq(s->message[0].records, 1);
	s->out[s->len] = '\0';
}

static void expect_key(const struct flow_record *r, const char *key)
{
	encode(r);
	s->out[KAFKA_KEY_LEN] = '\0';
	cr_expect_str_eq((const char *)s->out, key);
}

static struct flow_record turned(const struct flow_record *r)
{
	struct direction_view view;
	direction_apply(DIRECTION_SPLIT, r, &view);
	cr_assert_eq(view.count, 2);
	return *view.record[1];
}

Test(kafka_format, payload_follows_the_key)
{
	enc = sink_open(&s, "kafka://b/t?fields=sourceIPv4Address,packetDeltaCount", NULL);
	struct flow_record r = record_udp4();
	encode(&r);
	cr_expect_str_eq(
		(const char *)s->out,
		"150de749f9f863b6{\"sourceIPv4Address\":\"192.0.2.1\",\"packetDeltaCount\":3}");
	sink_close(s, enc);

	enc = sink_open(&s, "kafka://b/t?format=cbor&fields=packetDeltaCount", NULL);
	encode(&r);
	expect_bytes(s->out, s->len,
		     "31353064653734396639663836336236" /* the key's digits */
		     "a1 70 7061636b657444656c7461436f756e74 03");
	sink_close(s, enc);
}

Test(kafka_format, key_is_of_the_flow_not_of_the_direction)
{
	enc = sink_open(&s, "kafka://b/t?biflow=no", NULL);
	struct flow_record r = record_udp4_answered(), back = turned(&r);
	expect_key(&r, "150de749f9f863b6");
	expect_key(&back, "150de749f9f863b6");
	r = record_tcp6();
	expect_key(&r, "e02b5d8406c77dbc");
	r = record_ping(); /* type and code, in the port, differ by direction: they are no part */
	back = turned(&r);
	cr_assert_neq(r.dport, back.dport);
	expect_key(&r, "9ba654a507471dd7");
	expect_key(&back, "9ba654a507471dd7");
	sink_close(s, enc);
}

Test(kafka_format, ends_of_one_address_are_told_by_port)
{
	enc = sink_open(&s, "kafka://b/t", NULL);
	struct flow_record r = record_udp4();
	memcpy(r.dst, r.src, sizeof(r.dst));
	r.sport = 1;
	r.dport = 2;
	expect_key(&r, "9d83e74aa795a720");
	r.sport = 2;
	r.dport = 1;
	expect_key(&r, "9d83e74aa795a720");
	sink_close(s, enc);
}
#else
Test(kafka_format, without_librdkafka_it_is_refused_with_the_cure)
{
	char text[512] = "";
	struct errtext e = {.buf = text, .size = sizeof(text)};
	struct url_spec spec;
	struct encoder *enc = NULL;
	cr_assert_eq(url_parse("kafka://b/t", &e, &spec), 0);
	const struct encoder_conf conf = {.spec = &spec};
	cr_expect_neq(kafka_format.open(&conf, &e, &enc), 0);
	cr_expect_not_null(strstr(text, "librdkafka-dev"));
	url_spec_fini(&spec);
}
#endif

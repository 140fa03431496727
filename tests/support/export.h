/*
 * For unit tests of the exporter: records made from a few numbers, a transport that keeps what it
 * is given, and comparison with bytes written as hex. Times are ns since the epoch.
 */
#ifndef WEIR_TESTS_EXPORT_H
#define WEIR_TESTS_EXPORT_H

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../exporter/format/format.h"
#include "../../exporter/policy/split.h"
#include "exporter.h"

/* 2023-11-14T22:13:20Z, 0x6553f100. */
#define T0 (INT64_C(1700000000) * NS_PER_S)

enum { SINK_MESSAGES = 512, SINK_BYTES = 1 << 20 };

/* Keeps messages one after the other. */
struct sink {
	struct transport base;
	struct output_counters counters;
	struct exporter_conf run;
	struct export_books books;
	struct url_spec spec;
	uint8_t out[SINK_BYTES];
	size_t len;
	unsigned count;
	struct {
		size_t at, len;
		unsigned records;
	} message[SINK_MESSAGES];
};

static inline uint8_t *sink_reserve(struct transport *t, size_t n)
{
	struct sink *s = (struct sink *)t;
	cr_assert_leq(n, SINK_BYTES - s->len);
	memset(s->out + s->len, 0xee, n); /* what is not written shows */
	return s->out + s->len;
}

static inline void sink_commit(struct transport *t, size_t n, unsigned records)
{
	struct sink *s = (struct sink *)t;
	cr_assert_lt(s->count, SINK_MESSAGES);
	s->message[s->count].at = s->len;
	s->message[s->count].len = n;
	s->message[s->count].records = records;
	s->count++;
	s->len += n;
}

static const struct transport_ops sink_ops = {
	.name = "sink",
	.reserve = sink_reserve,
	.commit = sink_commit,
};

/* Of the next sink's transport. */
static unsigned sink_row __attribute__((unused));

/* An encoder for the URL, writing to a new sink. */
static inline struct encoder *sink_open(struct sink **ret_sink, const char *url,
				 const struct exporter_conf *run)
{
	char text[512] = "";
	struct errtext e = {.buf = text, .size = sizeof(text)};
	struct sink *s = calloc(1, sizeof(*s));
	s->run = run != NULL ? *run : (struct exporter_conf){.replay = true, .sampling_n = 1};
	s->base = (struct transport){
		.ops = &sink_ops, .counters = &s->counters, .row = sink_row};
	cr_assert_eq(url_parse(url, &e, &s->spec), 0, "%s", text);
	if (!(s->spec.given & URL_HAS(URL_DOMAIN)))
		s->spec.domain = 1;
	s->base.max_message = s->spec.mtu != 0 ? s->spec.mtu - 28 : 65535;
	const struct encoder_conf conf = {
		.run = &s->run,
		.spec = &s->spec,
		.books = &s->books,
		.counters = &s->counters,
		.transport = &s->base,
		.max_message = s->base.max_message,
	};
	struct encoder *enc = NULL;
	cr_assert_eq(s->spec.scheme->format->open(&conf, &e, &enc), 0, "%s", text);
	enc->ops = s->spec.scheme->format;
	enc->transport = &s->base;
	enc->counters = &s->counters;
	*ret_sink = s;
	return enc;
}

static inline void sink_close(struct sink *s, struct encoder *enc)
{
	enc->ops->close(enc);
	url_spec_fini(&s->spec);
	free(s);
}

static inline const uint8_t *sink_message(const struct sink *s, unsigned index, size_t *ret_len)
{
	cr_assert_lt(index, s->count, "only %u messages", s->count);
	*ret_len = s->message[index].len;
	return s->out + s->message[index].at;
}

/* Hex digits with any spaces between; returns the number of bytes. */
static inline size_t unhex(const char *hex, uint8_t *buf, size_t size)
{
	size_t n = 0;
	unsigned digits = 0, v = 0;
	for (; *hex != '\0'; hex++) {
		if (!isxdigit((unsigned char)*hex))
			continue;
		v = v << 4 |
		    (unsigned)(isdigit((unsigned char)*hex) ? *hex - '0' : (*hex | 32) - 'a' + 10);
		if (++digits % 2 == 0) {
			cr_assert_lt(n, size);
			buf[n++] = (uint8_t)v;
			v = 0;
		}
	}
	return n;
}

static inline void expect_bytes(const uint8_t *got, size_t len, const char *hex)
{
	static uint8_t want[65536];
	size_t n = unhex(hex, want, sizeof(want));
	for (size_t i = 0; i < n && i < len; i++)
		cr_assert_eq(got[i], want[i], "byte %zu is %02x, should be %02x", i, got[i],
			     want[i]);
	cr_assert_eq(len, n, "%zu bytes, should be %zu", len, n);
}

static inline void expect_message(const struct sink *s, unsigned index, const char *hex)
{
	size_t len;
	const uint8_t *p = sink_message(s, index, &len);
	expect_bytes(p, len, hex);
}

/* ---- records ---- */

/* 192.0.2.1:1025 to 198.51.100.2:53, UDP, 3 packets of 60 octets from T0 - 2 s to T0 - 1 s. */
static inline struct flow_record record_udp4(void)
{
	struct flow_record r = {
		.kind = EXPORT_RECORD,
		.ip_version = 4,
		.ip_proto = 17,
		.end_reason = FLOW_END_IDLE,
		.biflow_direction = 1,
		.sport = 1025,
		.dport = 53,
		.vlan = FLOW_VLAN_NONE,
		.cvlan = FLOW_VLAN_NONE,
		.src = {192, 0, 2, 1},
		.dst = {198, 51, 100, 2},
		.flow_id = 0x0102030405060708,
		.clock = {T0},
	};
	r.dir[FLOW_FORWARD] = (struct flow_dir){
		.packets = 3,
		.octets = 180,
		.first_ns = T0 - 2 * NS_PER_S + 1234567,
		.last_ns = T0 - NS_PER_S,
		.ingress = 7,
		.tos = 0xb8,
		.ttl_min = 63,
		.ttl_max = 64,
	};
	return r;
}

/* The same with an answer: one packet of 100 octets, half a second after the first. */
static inline struct flow_record record_udp4_answered(void)
{
	struct flow_record r = record_udp4();
	r.dir[FLOW_REVERSE] = (struct flow_dir){
		.packets = 1,
		.octets = 100,
		.first_ns = r.dir[FLOW_FORWARD].first_ns + NS_PER_S / 2,
		.last_ns = r.dir[FLOW_FORWARD].first_ns + NS_PER_S / 2,
		.ingress = 8,
		.tos = 0x20,
		.ttl_min = 50,
		.ttl_max = 50,
	};
	return r;
}

/* 2001:db8::1 port 40000 to 2001:db8::2 port 443, TCP, one packet of 1280 octets. */
static inline struct flow_record record_tcp6(void)
{
	struct flow_record r = record_udp4();
	r.ip_version = 6;
	r.ip_proto = 6;
	r.sport = 40000;
	r.dport = 443;
	memset(r.src, 0, sizeof(r.src));
	memcpy(r.src, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
	memcpy(r.dst, r.src, sizeof(r.dst));
	r.src[15] = 1;
	r.dst[15] = 2;
	r.dir[FLOW_FORWARD].packets = 1;
	r.dir[FLOW_FORWARD].octets = 1280;
	r.dir[FLOW_FORWARD].tcp_flags = 0x112; /* NS, ACK, SYN */
	return r;
}

/* An echo request from 192.0.2.1, answered. */
static inline struct flow_record record_ping(void)
{
	struct flow_record r = record_udp4_answered();
	r.ip_proto = 1;
	r.icmp_known = true;
	r.sport = 0;
	r.dport = 8 * 256;
	r.icmp[FLOW_FORWARD] = 8 * 256;
	r.icmp[FLOW_REVERSE] = 0;
	return r;
}

#endif

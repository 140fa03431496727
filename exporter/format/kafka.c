/*
 * Kafka messages: a record each, JSON or CBOR, behind its key. The transport cuts the two apart.
 *
 * The key is the same for all records of a flow, in either direction and from whichever probe, so
 * that they meet in one partition: 16 hexadecimal digits of XXH3 (64 bits, no seed) over the lesser
 * end of the flow, the greater end and the protocol. An end is an address of 16 bytes (IPv4: 4,
 * then zeros) and a port of 2, most significant byte first; ICMP has no ports.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../transport/kafka.h"
#include "body.h"
#include "err.h"

enum {
	ADDRESS_LEN = 16,
	END_LEN = ADDRESS_LEN + 2,
	HASHED_LEN = 2 * END_LEN + 1,
	IP_PROTO_ICMP = 1,
	IP_PROTO_ICMP6 = 58,
};

/* ---- keys ---- */

static void put_end(uint8_t *p, const uint8_t *address, unsigned port)
{
	memcpy(p, address, ADDRESS_LEN);
	p[ADDRESS_LEN] = (uint8_t)(port >> 8);
	p[ADDRESS_LEN + 1] = (uint8_t)port;
}

static uint64_t flow_hash(const struct flow_record *r)
{
	const bool icmp = r->ip_proto == IP_PROTO_ICMP || r->ip_proto == IP_PROTO_ICMP6;
	uint8_t src[END_LEN], dst[END_LEN], hashed[HASHED_LEN];
	put_end(src, r->src, icmp ? 0 : r->sport);
	put_end(dst, r->dst, icmp ? 0 : r->dport);
	const bool in_order = memcmp(src, dst, END_LEN) <= 0;
	memcpy(hashed, in_order ? src : dst, END_LEN);
	memcpy(hashed + END_LEN, in_order ? dst : src, END_LEN);
	hashed[2 * END_LEN] = r->ip_proto;
	return XXH3_64bits(hashed, sizeof(hashed));
}

static uint8_t *put_key(uint8_t *p, const struct flow_record *r)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t hash = flow_hash(r);
	for (unsigned i = KAFKA_KEY_LEN; i-- > 0; hash >>= 4)
		p[i] = (uint8_t)digits[hash & 15];
	return p + KAFKA_KEY_LEN;
}

/* ---- operations ---- */

static int kafka_format_open(const struct encoder_conf *conf, struct errtext *e,
			     struct encoder **ret_encoder)
{
	const struct body_ops *ops = conf->spec->format == FORMAT_CBOR ? &cbor_body : &json_body;
	struct body_encoder *b;
	/* With a transport it is the second time. */
	int unfit = conf->transport == NULL ? kafka_conf_check(conf->spec, e) : 0;
	int err = body_encoder_new(conf, ops, sizeof(*b), e, &b);
	if (err != 0)
		return err;
	if (unfit != 0) {
		body_encoder_close(&b->base);
		return unfit;
	}
	*ret_encoder = &b->base;
	return 0;
}

static void kafka_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct transport *t = enc->transport;
	const struct body *body = body_of(enc);
	uint8_t *start = t->ops->reserve(t, KAFKA_KEY_LEN + body->max);
	uint8_t *end = body->ops->put(body, r, put_key(start, r));
	t->ops->commit(t, (size_t)(end - start), 1);
}

const struct format_ops kafka_format = {
	.name = "kafka",
	.open = kafka_format_open,
	.wants = body_encoder_wants,
	.record = kafka_record,
	.close = body_encoder_close,
};

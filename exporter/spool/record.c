/*
 * Records as CBOR maps, by a table of members. Keys of the forward direction are 1 to 10 and 27
 * to 29, and the reverse direction's are their negatives, so that nearly each takes one byte.
 * libcbor's streaming encoder makes the heads, its streaming decoder reads them: one head a call,
 * nothing allocated.
 */
#include "record.h"

#include <cbor.h>
#include <string.h>

enum member_kind {
	MEMBER_NUMBER, /* unsigned; missing: 0 */
	MEMBER_FLAG,   /* 1; missing: 0 */
	MEMBER_VLAN,   /* missing: FLOW_VLAN_NONE */
	MEMBER_BYTES,  /* zeros at the end are left out */
};

struct member {
	uint8_t key; /* the reverse direction's is -key */
	uint8_t kind;
	uint8_t size;
	uint8_t stride; /* from the forward member to the reverse one; 0: there is none */
	uint16_t offset;
};

#define MEMBER(key, kind, name, stride)                                                            \
	{                                                                                          \
		key, MEMBER_##kind, sizeof(((struct flow_record *)0)->name), stride,               \
			offsetof(struct flow_record, name)                                         \
	}
#define ONE(key, kind, name) MEMBER(key, kind, name, 0)
#define DIR(key, name)	     MEMBER(key, NUMBER, dir[0].name, sizeof(struct flow_dir))

/* THE table of keys. A key is never given a second meaning; new members get new keys. */
static const struct member members[] = {
	DIR(1, packets),
	DIR(2, octets),
	DIR(3, first_ns),
	DIR(4, last_ns),
	DIR(5, ingress),
	DIR(6, tcp_flags),
	DIR(7, tos),
	DIR(8, ttl_min),
	DIR(9, ttl_max),
	MEMBER(10, NUMBER, icmp[0], sizeof(uint16_t)),
	ONE(11, NUMBER, ip_version),
	ONE(12, NUMBER, ip_proto),
	ONE(13, NUMBER, end_reason),
	ONE(14, NUMBER, biflow_direction),
	ONE(15, FLAG, icmp_known),
	ONE(16, NUMBER, sport),
	ONE(17, NUMBER, dport),
	ONE(18, BYTES, src),
	ONE(19, BYTES, dst),
	ONE(20, NUMBER, flow_id),
	ONE(21, NUMBER, clock.ns),
	ONE(22, VLAN, vlan),
	ONE(23, VLAN, cvlan),
	ONE(24, BYTES, src_mac),
	ONE(25, BYTES, dst_mac),
	ONE(26, NUMBER, worker),
	DIR(27, direction),
	MEMBER(28, FLAG, dir[0].directed, sizeof(struct flow_dir)),
	DIR(29, egress),
};

enum {
	MEMBERS = sizeof(members) / sizeof(members[0]),
	HEAD_MAX = 9,
	PAIRS_MAX = 64, /* more are no record of any version */
};

_Static_assert(sizeof(struct flow_record) == 184 && sizeof(((struct flow_dir *)0)->reserved) == 1,
	       "a member that is added to flow.h needs a row above");
_Static_assert((MEMBERS + 13) * (2 + HEAD_MAX) + 2 * 16 + 2 * 6 <= SPOOL_RECORD_MAX,
	       "room for every member, thirteen of them twice");

/* ---- writing ---- */

static uint8_t *put_key(uint8_t *p, unsigned key, bool reverse)
{
	return p + (reverse ? cbor_encode_negint(key - 1, p, HEAD_MAX)
			    : cbor_encode_uint(key, p, HEAD_MAX));
}

static uint8_t *put_number(uint8_t *p, const struct member *m, bool reverse, const uint8_t *at)
{
	uint64_t v = 0;
	memcpy(&v, at, m->size);
	if (v == (m->kind == MEMBER_VLAN ? FLOW_VLAN_NONE : 0))
		return p;
	p = put_key(p, m->key, reverse);
	return p + cbor_encode_uint(v, p, HEAD_MAX);
}

static uint8_t *put_bytes(uint8_t *p, const struct member *m, const uint8_t *at)
{
	size_t len = m->size;
	while (len > 0 && at[len - 1] == 0)
		len--;
	if (len == 0)
		return p;
	p = put_key(p, m->key, false);
	p += cbor_encode_bytestring_start(len, p, HEAD_MAX);
	memcpy(p, at, len);
	return p + len;
}

static uint8_t *put_member(uint8_t *p, const struct member *m, bool reverse,
			   const struct flow_record *r)
{
	const uint8_t *at = (const uint8_t *)r + m->offset + (reverse ? m->stride : 0);
	return m->kind == MEMBER_BYTES ? put_bytes(p, m, at) : put_number(p, m, reverse, at);
}

uint8_t *spool_record_write(const struct flow_record *r, uint8_t *p)
{
	uint8_t *head = p;
	unsigned pairs = 0;
	p += 2; /* a map of up to 255 pairs */
	for (unsigned i = 0; i < MEMBERS; i++) {
		const unsigned directions = members[i].stride != 0 ? FLOW_DIRS : 1;
		for (unsigned dir = 0; dir < directions; dir++) {
			uint8_t *end = put_member(p, &members[i], dir == FLOW_REVERSE, r);
			pairs += end != p;
			p = end;
		}
	}
	head[0] = 0xb8; /* map, its count in the byte that follows */
	head[1] = (uint8_t)pairs;
	return p;
}

/* ---- reading ---- */

/* What one head of the decoder said. */
struct item {
	enum {
		ITEM_NONE,
		ITEM_OTHER, /* a simple value or a float: known to be of no use */
		ITEM_UINT,
		ITEM_NEGINT,
		ITEM_BYTES,
		ITEM_TEXT,
		ITEM_MAP,
	} kind;
	uint64_t number; /* of a negative number: -1 - number; of a map: its pairs */
	const uint8_t *bytes;
	size_t len;
};

#define ON_NUMBER(name, type, item_kind)                                                           \
	static void on_##name(void *item, type v)                                                  \
	{                                                                                          \
		*(struct item *)item = (struct item){.kind = (item_kind), .number = v};            \
	}

ON_NUMBER(uint8, uint8_t, ITEM_UINT)
ON_NUMBER(uint16, uint16_t, ITEM_UINT)
ON_NUMBER(uint32, uint32_t, ITEM_UINT)
ON_NUMBER(uint64, uint64_t, ITEM_UINT)
ON_NUMBER(negint8, uint8_t, ITEM_NEGINT)
ON_NUMBER(negint16, uint16_t, ITEM_NEGINT)
ON_NUMBER(negint32, uint32_t, ITEM_NEGINT)
ON_NUMBER(negint64, uint64_t, ITEM_NEGINT)
ON_NUMBER(map, size_t, ITEM_MAP)

static void on_bytes(void *item, cbor_data bytes, size_t len)
{
	*(struct item *)item = (struct item){.kind = ITEM_BYTES, .bytes = bytes, .len = len};
}

static void on_text(void *item, cbor_data bytes, size_t len)
{
	*(struct item *)item = (struct item){.kind = ITEM_TEXT, .bytes = bytes, .len = len};
}

static void on_simple(void *item)
{
	*(struct item *)item = (struct item){.kind = ITEM_OTHER};
}

static void on_bool(void *item, bool v)
{
	(void)v;
	on_simple(item);
}

static void on_float(void *item, float v)
{
	(void)v;
	on_simple(item);
}

static void on_double(void *item, double v)
{
	(void)v;
	on_simple(item);
}

/* What stands for itself alone is taken; arrays, tags and strings in pieces are not. */
static void on_unwanted(void *item)
{
	((struct item *)item)->kind = ITEM_NONE;
}

static void on_unwanted_array(void *item, size_t n)
{
	(void)n;
	on_unwanted(item);
}

static void on_unwanted_tag(void *item, uint64_t n)
{
	(void)n;
	on_unwanted(item);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_negint8,
	.negint16 = on_negint16,
	.negint32 = on_negint32,
	.negint64 = on_negint64,
	.byte_string = on_bytes,
	.byte_string_start = on_unwanted,
	.string = on_text,
	.string_start = on_unwanted,
	.array_start = on_unwanted_array,
	.indef_array_start = on_unwanted,
	.map_start = on_map,
	.indef_map_start = on_unwanted,
	.tag = on_unwanted_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_simple,
	.null = on_simple,
	.boolean = on_bool,
	.indef_break = on_unwanted,
};

static bool take_item(struct rd *rd, struct item *ret_item)
{
	*ret_item = (struct item){.kind = ITEM_NONE};
	if (rd_left(rd) == 0)
		return false;
	const struct cbor_decoder_result result =
		cbor_stream_decode(rd->p, rd_left(rd), &callbacks, ret_item);
	if (result.status != CBOR_DECODER_FINISHED || rd_take(rd, result.read) == NULL)
		return false;
	return ret_item->kind != ITEM_NONE;
}

static const struct member *find_member(const struct item *key, bool *ret_reverse)
{
	*ret_reverse = key->kind == ITEM_NEGINT;
	if (key->number >= UINT8_MAX)
		return NULL;
	const unsigned number = (unsigned)key->number + *ret_reverse;
	if (number == 0 || number > MEMBERS)
		return NULL;
	const struct member *m = &members[number - 1];
	return *ret_reverse && m->stride == 0 ? NULL : m;
}

static bool store(const struct member *m, bool reverse, const struct item *value,
		  struct flow_record *r)
{
	uint8_t *at = (uint8_t *)r + m->offset + (reverse ? m->stride : 0);
	if (m->kind == MEMBER_BYTES) {
		if (value->kind != ITEM_BYTES || value->len > m->size)
			return false;
		memset(at, 0, m->size);
		memcpy(at, value->bytes, value->len);
		return true;
	}
	if (value->kind != ITEM_UINT || (m->size < 8 && value->number >> (8 * m->size) != 0))
		return false;
	if (m->kind == MEMBER_FLAG && value->number > 1)
		return false;
	memcpy(at, &value->number, m->size);
	return true;
}

static bool time_is_right(int64_t ns)
{
	return ns >= 0 && ns <= PKT_TIME_MAX;
}

static bool dir_is_right(const struct flow_dir *d)
{
	return time_is_right(d->first_ns) && time_is_right(d->last_ns) && d->first_ns <= d->last_ns;
}

/* What the encoders take for granted. */
static bool is_right(const struct flow_record *r)
{
	return (r->ip_version == 4 || r->ip_version == 6) && time_is_right(r->clock.ns) &&
	       dir_is_right(&r->dir[FLOW_FORWARD]) && dir_is_right(&r->dir[FLOW_REVERSE]);
}

bool spool_record_read(struct rd *rd, struct flow_record *ret_record)
{
	struct flow_record r = {
		.kind = EXPORT_RECORD, .vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE};
	struct item map, key, value;
	if (!take_item(rd, &map) || map.kind != ITEM_MAP || map.number > PAIRS_MAX)
		return false;
	for (uint64_t i = 0; i < map.number; i++) {
		bool reverse;
		if (!take_item(rd, &key) || (key.kind != ITEM_UINT && key.kind != ITEM_NEGINT) ||
		    !take_item(rd, &value) || value.kind == ITEM_MAP)
			return false;
		const struct member *m = find_member(&key, &reverse);
		if (m != NULL && !store(m, reverse, &value, &r))
			return false;
	}
	if (!is_right(&r))
		return false;
	*ret_record = r;
	return true;
}

/* Encoders: a record into a message, with framing, to a transport that throws it away. */
#include "micro.h"

#include "../../exporter/format/format.h"
#include "exporter.h"

const struct micro_mode micro_modes[] = {
	{"ipfix://h?biflow=no", "IPFIX, one-way record"},
	{"ipfix://h?biflow=yes", "IPFIX, biflow record"},
	{"netflow9://h", "NetFlow v9"},
	{"netflow5://h", "NetFlow v5"},
	{"json:f", "JSON, biflow record"},
	{"csv:f", "CSV, biflow record"},
	{"cbor:f", "CBOR, biflow record"},
	{NULL, NULL},
};

enum { LENT = 1 << 20, RECORDS = 256 };

static uint8_t lent[LENT];
static struct flow_record records[RECORDS];

static uint8_t *lend(struct transport *t, size_t n)
{
	(void)t;
	if (n > LENT)
		micro_die("lend");
	return lent;
}

static void accept(struct transport *t, size_t n, unsigned count)
{
	(void)t, (void)n, (void)count;
}

static const struct transport_ops ops = {.name = "nowhere", .reserve = lend, .commit = accept};

static void step(void *arg, uint64_t n)
{
	struct encoder *enc = arg;
	for (uint64_t i = 0; i < n; i++) {
		const struct flow_record *r = &records[i % RECORDS];
		enc->ops->record(enc, r, r->clock);
	}
}

static void make_records(bool biflow)
{
	const int64_t t0 = MICRO_T0_S * NS_PER_S;
	for (unsigned i = 0; i < RECORDS; i++) {
		struct flow_record *r = &records[i];
		*r = (struct flow_record){
			.kind = EXPORT_RECORD, .ip_version = 4, .ip_proto = 6, .end_reason = FLOW_END_IDLE,
			.biflow_direction = 1, .sport = (uint16_t)(30000 + 97 * i), .dport = 443,
			.vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE, .src = {10, 1, 2, (uint8_t)i},
			.dst = {100, 3, 4, 5}, .flow_id = 1000 + i, .clock = {t0 + 2 * NS_PER_S}};
		for (unsigned d = 0; d < (biflow ? 2u : 1u); d++)
			r->dir[d] = (struct flow_dir){
				.packets = 7 + i, .octets = 4000 + 31 * i, .first_ns = t0 + i * NS_PER_MS,
				.last_ns = t0 + NS_PER_S, .ingress = 1, .tcp_flags = 0x1b,
				.ttl_min = 60, .ttl_max = 64};
	}
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)workdir;
	static struct output_counters counters;
	static struct export_books books;
	static struct url_spec spec;
	const struct exporter_conf run = {.replay = true, .sampling_n = 1};
	char text[512] = "";
	struct errtext e = {.buf = text, .size = sizeof(text)};
	struct transport transport = {.ops = &ops, .counters = &counters};
	if (url_parse(mode, &e, &spec) != 0)
		micro_die(text);
	spec.domain = 1;
	transport.max_message = spec.mtu != 0 ? spec.mtu - 28 : 65535;
	const struct encoder_conf conf = {.run = &run, .spec = &spec, .books = &books,
					  .counters = &counters, .transport = &transport,
					  .max_message = transport.max_message};
	struct encoder *enc;
	if (spec.scheme->format->open(&conf, &e, &enc) != 0)
		micro_die(text);
	enc->ops = spec.scheme->format;
	enc->transport = &transport;
	enc->counters = &counters;
	make_records(spec.biflow);
	if (enc->ops->begin != NULL)
		enc->ops->begin(enc, records[0].clock);
	measured(step, enc, n);
	enc->ops->close(enc);
	url_spec_fini(&spec);
}

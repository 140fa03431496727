/*
 * Fuzzing filter expressions. The first byte says whether records are biflows, the rest is the
 * text. Beyond not crashing: what is refused has a reason and a caret under a place of the text;
 * what is not gives the same each time, and its negation the opposite, for records of every kind.
 */
#include <stdlib.h>
#include <string.h>

#include "../../exporter/fail.h"
#include "../../exporter/policy/filter.h"
#include "err.h"

enum { TEXT_MAX = 1 << 14, KINDS = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fuzzer, or the replay of its corpus, takes this for a crash. */
static void must(bool truth)
{
	if (!truth)
		abort();
}

static struct flow_record record(unsigned kind)
{
	struct flow_record r = {.ip_version = kind % 2 ? 6 : 4,
				.ip_proto = kind < 2 ? 6 : 17,
				.vlan = kind == 3 ? 100 : FLOW_VLAN_NONE,
				.cvlan = FLOW_VLAN_NONE,
				.sport = 443,
				.flow_id = kind};
	r.dir[0].packets = 3;
	r.dir[0].octets = 1500;
	r.dir[0].first_ns = 1700000000000000001;
	r.dir[0].last_ns = 1700000001000000001;
	r.dir[0].tcp_flags = 0x12;
	memset(r.src, 10 + (int)kind, r.ip_version == 4 ? 4 : 16);
	if (kind == 4)
		r.dir[1] = r.dir[0];
	if (kind == 5) {
		r.icmp_known = true;
		r.ip_proto = 58;
		memset(r.src_mac, 7, sizeof(r.src_mac));
	}
	return r;
}

static int compile(const char *text, bool biflow, struct flow_filter **ret_filter)
{
	char why[2048] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	const int err = flow_filter_compile(text, biflow, &e, ret_filter);
	if (err != 0) {
		const char *shown = strchr(why, '\n');
		const char *caret = shown != NULL ? strchr(shown + 1, '\n') : NULL;
		must(err == ERR_USAGE && strncmp(why, "filter: ", 8) == 0);
		must(caret != NULL && strchr(caret + 1, '\n') == NULL);
		must(caret[1 + strspn(caret + 1, " ")] == '^');
		must(strlen(caret + 1) <= (size_t)(caret - shown));
	}
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MAX], negation[TEXT_MAX + 8];
	struct flow_filter *f = NULL, *not_f = NULL;
	if (size == 0 || size > TEXT_MAX - 1)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	const bool biflow = data[0] & 1;
	if (compile(text, biflow, &f) != 0)
		return 0;
	strcpy(stpcpy(stpcpy(negation, "not ("), text), ")");
	const bool has_not = compile(negation, biflow, &not_f) == 0; /* or it is too deep */
	for (unsigned kind = 0; kind < KINDS; kind++) {
		const struct flow_record r = record(kind);
		const bool passes = flow_filter_pass(f, &r);
		must(flow_filter_pass(f, &r) == passes);
		must(!has_not || flow_filter_pass(not_f, &r) == !passes);
	}
	flow_filter_free(f);
	flow_filter_free(not_f);
	return 0;
}

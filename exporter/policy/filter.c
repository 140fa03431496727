/* Running a filter. A test leads only forward, so a run takes at most as many steps as tests. */
#include "filter.h"

#include <stdlib.h>
#include <string.h>

#include "filter_program.h"
#include "wire.h"

static uint64_t load_member(const void *p, size_t size)
{
	uint64_t v = 0;
	memcpy(&v, p, size);
	return v;
}

static uint64_t load_time(const void *p, int64_t unit)
{
	int64_t ns;
	memcpy(&ns, p, sizeof(ns));
	return (uint64_t)(ns - ns % unit);
}

/* last_ns follows first_ns. */
static uint64_t load_duration(const void *p, int64_t unit)
{
	int64_t t[2];
	memcpy(t, p, sizeof(t));
	const int64_t ns = t[1] - t[0];
	return (uint64_t)(ns - ns % unit);
}

static uint64_t load_mac(const uint8_t *p)
{
	return (uint64_t)be16(p) << 32 | be32(p + 2);
}

static filter_value load(const struct filter_test *t, const struct flow_record *r)
{
	const uint8_t *p = (const uint8_t *)r + t->offset;
	switch ((enum filter_load)t->load) {
	case LOAD_U8:
		return *p & t->mask;
	case LOAD_U16:
		return load_member(p, 2) & t->mask;
	case LOAD_U32:
		return load_member(p, 4) & t->mask;
	case LOAD_U64:
		return load_member(p, 8) & t->mask;
	case LOAD_HIGH_BYTE:
		return load_member(p, 2) >> 8 & t->mask;
	case LOAD_LOW_BYTE:
		return load_member(p, 2) & 0xff & t->mask;
	case LOAD_SELECTOR:
		return FIELD_SELECTOR_ID & t->mask;
	case LOAD_TIME:
		return load_time(p, t->unit);
	case LOAD_DURATION:
		return load_duration(p, t->unit);
	case LOAD_MAC:
		return load_mac(p);
	case LOAD_IP4:
		return be32(p);
	case LOAD_IP6:
		return (filter_value)be64(p) << 64 | be64(p + 8);
	}
	return 0;
}

/* Bisects for the first range that does not end below `v`. */
static bool lies_in(const struct filter_range *range, uint32_t count, filter_value v)
{
	uint32_t from = 0;
	while (count > 0) {
		const uint32_t half = count / 2;
		if (range[from + half].hi < v) {
			from += half + 1;
			count -= half + 1;
		} else if (range[from + half].lo <= v) {
			return true;
		} else {
			count = half;
		}
	}
	return false;
}

bool flow_filter_pass(const struct flow_filter *f, const struct flow_record *r)
{
	const unsigned shape = flow_shape(r);
	uint32_t at = 0;
	while (at < f->tests) {
		const struct filter_test *t = &f->test[at];
		const bool truth = (t->needs & ~shape) == 0 &&
				   lies_in(f->range + t->first, t->count, load(t, r));
		at = truth ? t->on_true : t->on_false;
	}
	return at == FILTER_PASS;
}

bool flow_filter_wants(const struct flow_filter *f, struct field_ref ref)
{
	for (uint32_t i = 0; i < f->tests; i++)
		if (f->test[i].ref.id == ref.id && f->test[i].ref.reverse == ref.reverse)
			return true;
	return false;
}

void flow_filter_free(struct flow_filter *f)
{
	if (f == NULL)
		return;
	free(f->test);
	free(f->range);
	free(f);
}

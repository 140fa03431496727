/*
 * The program a filter is compiled to, for filter*.c only: tests in the order of the text, each
 * with the number of the test that follows it when true and when false.
 *
 * Every comparison there is comes down to one question: does the value lie in a set of ranges? So
 * there is one kind of test, and what differs is how the value is loaded.
 */
#ifndef WEIR_EXPORTER_FILTER_PROGRAM_H
#define WEIR_EXPORTER_FILTER_PROGRAM_H

#include <stdint.h>

#include "filter.h"

/* As wide as an IPv6 address, the widest value. */
__extension__ typedef unsigned __int128 filter_value;

enum filter_load {
	LOAD_U8,
	LOAD_U16,
	LOAD_U32,
	LOAD_U64,
	LOAD_HIGH_BYTE, /* of 16 bits */
	LOAD_LOW_BYTE,
	LOAD_SELECTOR,
	LOAD_TIME,     /* ns, cut to the element's unit */
	LOAD_DURATION, /* the same, of the difference of two times */
	LOAD_MAC,      /* as a number of 48 bits, network order */
	LOAD_IP4,
	LOAD_IP6,
};

struct filter_range {
	filter_value lo, hi; /* both included */
};

enum {
	FILTER_TESTS_MAX = 1024,
	FILTER_DEPTH_MAX = 32, /* parentheses and nots within one another */
	/* where on_true and on_false may lead, besides to a later test */
	FILTER_FAIL = 0xfffe,
	FILTER_PASS = 0xffff,
};

struct filter_test {
	struct field_ref ref;
	uint8_t load;	/* enum filter_load */
	uint16_t needs; /* shape bits without which it is false, whatever it asks */
	uint16_t offset;
	uint16_t on_true;
	uint16_t on_false;
	uint32_t first; /* its ranges, in order and apart from one another */
	uint32_t count;
	uint64_t mask; /* of numbers: only these bits count */
	int64_t unit;  /* of times, in ns */
};

struct flow_filter {
	struct filter_test *test;
	uint32_t tests;
	struct filter_range *range;
	uint32_t ranges;
	uint32_t range_room; /* while it is made */
};

#endif

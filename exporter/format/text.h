/*
 * Values as text, written by hand: printf costs more than all else of a record. The writers
 * return the end of what they wrote and trust the caller for room (TEXT_VALUE_MAX a value).
 */
#ifndef WEIR_EXPORTER_TEXT_H
#define WEIR_EXPORTER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "../fieldlist.h"

/* No value is longer. */
#define TEXT_VALUE_MAX 48

char *text_uint(char *p, uint64_t v);
char *text_ip4(char *p, const uint8_t *addr);
char *text_ip6(char *p, const uint8_t *addr);	 /* RFC 5952 */
char *text_mac(char *p, const uint8_t *mac);	 /* aa:bb:cc:dd:ee:ff */
char *text_mac_ecs(char *p, const uint8_t *mac); /* AA-BB-CC-DD-EE-FF */
char *text_str(char *p, const char *s);

/* "tcp", "udp" ... or NULL. */
const char *text_proto_name(unsigned ip_proto);

/* How a value is written. The first rows follow from field_kind. */
enum text_op {
	TEXT_U8,
	TEXT_U16,
	TEXT_U32,
	TEXT_U64,
	TEXT_IP4,
	TEXT_IP6,
	TEXT_MAC,
	TEXT_TIME_NS, /* RFC 3339 */
	TEXT_TIME_S,  /* numbers since the epoch */
	TEXT_TIME_MS,
	TEXT_TIME_US,
	TEXT_DURATION_MS,
	TEXT_DURATION_US,
	TEXT_HIGH_BYTE,
	TEXT_LOW_BYTE,
	TEXT_SELECTOR,
	TEXT_ECS_PROTO,	  /* names=ecs: "tcp" */
	TEXT_ECS_VERSION, /* "ipv4" */
	TEXT_ECS_MAC,	  /* "AA-BB-CC-DD-EE-FF", RFC 7042 */
};

/* One value of a record. */
struct text_step {
	uint8_t op;
	uint16_t needs; /* shape bits; else the value is not there */
	bool quoted;   /* a string, not a number */
	uint16_t offset;
};

/* The step of a chosen element. */
struct text_step text_step_make(struct field_ref ref);

/* A number's value, for ops that are not `quoted`. */
uint64_t text_number(const struct text_step *step, const struct flow_record *r);

/* The value as text, without quotes. */
char *text_value(char *p, const struct text_step *step, const struct flow_record *r);

#endif

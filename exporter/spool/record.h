/*
 * A flow record as CBOR, as the spool's files hold it: a map from small integers to numbers and
 * byte strings (docs/SPOOL.md). Members that are 0, or "none" of a VLAN, are left out. Any thread.
 */
#ifndef WEIR_EXPORTER_SPOOL_RECORD_H
#define WEIR_EXPORTER_SPOOL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "wire.h"

/* The meaning of the keys. A key that is added does not change it: readers pass over keys they do
 * not know, and a member that is missing is 0. */
#define SPOOL_SCHEMA 1

enum {
	SPOOL_RECORD_MIN = 1,	/* bytes of a record */
	SPOOL_RECORD_MAX = 512, /* no record of ours takes more */
};

/* Writes at most SPOOL_RECORD_MAX bytes at p; returns their end. */
uint8_t *spool_record_write(const struct flow_record *r, uint8_t *p);

/* Reads one, past which `rd` moves. False where the bytes are no record that the probe could have
 * made: what is read is safe to encode. */
bool spool_record_read(struct rd *rd, struct flow_record *ret_record);

#endif

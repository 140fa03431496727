/*
 * A message under construction: header room, then sets (v9: FlowSets) of records, in memory the
 * transport lends. What v9 and IPFIX share of framing. Export thread only.
 */
#ifndef WEIR_EXPORTER_MESSAGE_H
#define WEIR_EXPORTER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/transport.h"

struct message {
	struct transport *transport;
	size_t header; /* bytes of the protocol's message header */
	size_t max;    /* bytes a message may have; a multiple of 4 */
	uint8_t *buf;  /* NULL: none begun */
	size_t len;
	size_t set_at;	   /* where the current set begins; 0: none */
	size_t record_min; /* bytes of the smallest record of the current set */
	uint16_t set_id;
	unsigned records;      /* of all kinds: the header's count in v9 */
	unsigned data_records; /* flow and options records: IPFIX's sequence */
	unsigned flow_records;
};

enum message_record {
	MESSAGE_TEMPLATE,
	MESSAGE_OPTIONS,
	MESSAGE_FLOW,
};

#define MESSAGE_SET_HEADER 4

void message_init(struct message *m, struct transport *transport, size_t header, size_t max);

/* Begins a message in other memory than the transport's, `max` bytes of it. */
void message_begin_at(struct message *m, uint8_t *mem);

/* Goes on with `from` in other memory, and forgets it there. */
void message_move(struct message *to, struct message *from, uint8_t *mem);

/* Would a message of one set with a record of `n` bytes be allowed? */
bool message_fits(const struct message *m, size_t n);

/* Room for a record of `n` bytes in a set of this id, after the one before if it has the same, or
 * NULL when the message has to be sent first. Begins a message where there is none. */
uint8_t *message_room(struct message *m, uint16_t set_id, size_t n, enum message_record kind);

/* The same for one more flow record behind flow records of this template, and NULL wherever
 * message_room has more to do. */
static inline uint8_t *message_more(struct message *m, uint16_t set_id, size_t n)
{
	if (m->set_at == 0 || m->set_id != set_id || m->len + n > m->max)
		return NULL;
	uint8_t *at = m->buf + m->len;
	m->len += n;
	m->records++;
	m->data_records++;
	m->flow_records++;
	return at;
}

/* The next record begins a set of its own, even if the id stays. */
void message_end_set(struct message *m);

static inline bool message_empty(const struct message *m)
{
	return m->buf == NULL;
}

/* Closes the last set; returns the message's length. The caller writes the header at m->buf, and
 * hands it over with message_send. */
size_t message_finish(struct message *m);
void message_send(struct message *m);

/* Forgets what was begun: the memory it was in is gone. */
void message_abandon(struct message *m);

#endif

/*
 * Messages and sets. Room for a record, its set's header and its padding is checked in one
 * place; what follows may store without looking.
 *
 * Sets are padded to 4 bytes, unless a record could be that short: padding must be shorter than
 * any record of the set (RFC 7011 §3.3.1).
 */
#include "message.h"

#include <string.h>

enum {
	ALIGN = 4,
};

void message_init(struct message *m, struct transport *transport, size_t header, size_t max)
{
	*m = (struct message){
		.transport = transport,
		.header = header,
		.max = max / ALIGN * ALIGN,
	};
}

void message_begin_at(struct message *m, uint8_t *mem)
{
	m->buf = mem;
	m->len = m->header;
}

void message_move(struct message *to, struct message *from, uint8_t *mem)
{
	*to = *from;
	to->buf = memcpy(mem, from->buf, from->len);
	message_abandon(from);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

bool message_fits(const struct message *m, size_t n)
{
	return m->header + MESSAGE_SET_HEADER + n <= m->max;
}

static size_t padding(size_t len)
{
	return (ALIGN - len % ALIGN) % ALIGN;
}

void message_end_set(struct message *m)
{
	if (m->set_at == 0)
		return;
	size_t pad = padding(m->len);
	if (pad < m->record_min) {
		memset(m->buf + m->len, 0, pad);
		m->len += pad;
	}
	put16(m->buf + m->set_at + 2, m->len - m->set_at);
	m->set_at = 0;
}

static void begin_set(struct message *m, uint16_t set_id, size_t n)
{
	m->set_at = m->len;
	m->set_id = set_id;
	m->record_min = n;
	put16(m->buf + m->len, set_id);
	m->len += MESSAGE_SET_HEADER;
}

uint8_t *message_room(struct message *m, uint16_t set_id, size_t n, enum message_record kind)
{
	if (m->buf == NULL)
		message_begin_at(m, m->transport->ops->reserve(m->transport, m->max));
	if (m->set_at == 0 || m->set_id != set_id) {
		/* `max` is a multiple of 4: the old set's padding is inside what is aligned here.
		 */
		size_t from = m->len + padding(m->len) + MESSAGE_SET_HEADER;
		if (from + n > m->max)
			return NULL;
		message_end_set(m);
		begin_set(m, set_id, n);
	} else if (m->len + n > m->max) {
		return NULL;
	}
	if (n < m->record_min)
		m->record_min = n;
	uint8_t *at = m->buf + m->len;
	m->len += n;
	m->records++;
	m->data_records += kind != MESSAGE_TEMPLATE;
	m->flow_records += kind == MESSAGE_FLOW;
	return at;
}

size_t message_finish(struct message *m)
{
	message_end_set(m);
	return m->len;
}

void message_abandon(struct message *m)
{
	m->buf = NULL;
	m->set_at = 0;
	m->records = 0;
	m->data_records = 0;
	m->flow_records = 0;
}

void message_send(struct message *m)
{
	m->transport->ops->commit(m->transport, m->len, m->flow_records);
	message_abandon(m);
}

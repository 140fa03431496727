/*
 * Two queues: `flight` holds what has been sent at least once, `queue` what never was. So the
 * oldest that is not sent can be taken out while the window of a session stays, which a single
 * queue could not do without a hole. After a rewind `next` takes from the flight first.
 *
 * A queue is an array of blocks used in a circle; a place is an index that only grows.
 */
#include "record_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

enum {
	BLOCK = 64, /* records; a power of two */
	BLOCKS_FIRST = 8,
};

struct fifo {
	struct flow_record **block; /* place p is in block[p / BLOCK % blocks] */
	uint64_t blocks;	    /* a power of two */
	struct flow_record *spare;
	uint64_t head;
	uint64_t tail;
};

struct record_log {
	struct fifo flight;
	struct fifo queue;
	uint64_t sent; /* place in flight: before it, what was sent in this session */
};

/* ---- one queue ---- */

static uint64_t fifo_count(const struct fifo *f)
{
	return f->tail - f->head;
}

static struct flow_record *fifo_at(const struct fifo *f, uint64_t place)
{
	return &f->block[place / BLOCK % f->blocks][place % BLOCK];
}

/* Twice the room for blocks. */
static int fifo_grow(struct fifo *f)
{
	uint64_t blocks = f->blocks != 0 ? f->blocks * 2 : BLOCKS_FIRST;
	struct flow_record **block = calloc(blocks, sizeof(*block));
	if (block == NULL)
		return ERR_NOMEM;
	for (uint64_t i = 0; i < f->blocks; i++) {
		uint64_t number = f->head / BLOCK + i;
		block[number % blocks] = f->block[number % f->blocks];
	}
	free(f->block);
	f->block = block;
	f->blocks = blocks;
	return 0;
}

/* A block for the place where the next record goes. */
static int fifo_open_block(struct fifo *f)
{
	if (f->tail / BLOCK - f->head / BLOCK == f->blocks) {
		int err = fifo_grow(f);
		if (err != 0)
			return err;
	}
	struct flow_record **at = &f->block[f->tail / BLOCK % f->blocks];
	if (*at != NULL)
		return 0;
	*at = f->spare != NULL ? f->spare : malloc(sizeof(**at) * BLOCK);
	f->spare = NULL;
	return *at != NULL ? 0 : ERR_NOMEM;
}

static int fifo_push(struct fifo *f, const struct flow_record *r)
{
	if (f->tail % BLOCK == 0 || f->blocks == 0) {
		int err = fifo_open_block(f);
		if (err != 0)
			return err;
	}
	*fifo_at(f, f->tail++) = *r;
	return 0;
}

/* One block is kept for the next need. */
static void fifo_close_block(struct fifo *f, uint64_t number)
{
	struct flow_record **at = &f->block[number % f->blocks];
	if (f->spare == NULL)
		f->spare = *at;
	else
		free(*at);
	*at = NULL;
}

static void fifo_pop(struct fifo *f, uint64_t n)
{
	assert(n <= fifo_count(f));
	for (; n > 0; n--)
		if (++f->head % BLOCK == 0)
			fifo_close_block(f, f->head / BLOCK - 1);
}

static void fifo_fini(struct fifo *f)
{
	for (uint64_t i = 0; i < f->blocks; i++)
		free(f->block[i]);
	free(f->block);
	free(f->spare);
}

/* ---- the log ---- */

int record_log_new(struct record_log **ret_log)
{
	*ret_log = calloc(1, sizeof(**ret_log));
	return *ret_log != NULL ? 0 : ERR_NOMEM;
}

void record_log_free(struct record_log *log)
{
	if (log == NULL)
		return;
	fifo_fini(&log->flight);
	fifo_fini(&log->queue);
	free(log);
}

int record_log_add(struct record_log *log, const struct flow_record *r)
{
	return fifo_push(&log->queue, r);
}

static bool resends(const struct record_log *log)
{
	return log->sent != log->flight.tail;
}

const struct flow_record *record_log_oldest(const struct record_log *log)
{
	if (resends(log))
		return fifo_at(&log->flight, log->sent);
	return fifo_count(&log->queue) != 0 ? fifo_at(&log->queue, log->queue.head) : NULL;
}

const struct flow_record *record_log_next(struct record_log *log)
{
	const struct flow_record *r = record_log_oldest(log);
	if (r == NULL)
		return NULL;
	if (!resends(log)) {
		if (fifo_push(&log->flight, r) != 0)
			return NULL;
		fifo_pop(&log->queue, 1);
	}
	return fifo_at(&log->flight, log->sent++);
}

/* Where records can be taken away: a hole in the flight would lose count of its session. */
static const struct fifo *loose(const struct record_log *log)
{
	return resends(log) && log->sent == log->flight.head ? &log->flight : &log->queue;
}

unsigned record_log_copy(const struct record_log *log, struct flow_record *records, unsigned max)
{
	const struct fifo *f = loose(log);
	unsigned n = 0;
	for (; n < max && n < fifo_count(f); n++)
		records[n] = *fifo_at(f, f->head + n);
	return n;
}

void record_log_drop(struct record_log *log, unsigned n)
{
	const bool from_flight = loose(log) == &log->flight;
	fifo_pop(from_flight ? &log->flight : &log->queue, n);
	if (from_flight)
		log->sent = log->flight.head;
}

void record_log_confirm(struct record_log *log, uint64_t n)
{
	assert(n <= record_log_sent(log));
	fifo_pop(&log->flight, n);
}

void record_log_rewind(struct record_log *log)
{
	log->sent = log->flight.head;
}

uint64_t record_log_sent(const struct record_log *log)
{
	return log->sent - log->flight.head;
}

uint64_t record_log_unsent(const struct record_log *log)
{
	return log->flight.tail - log->sent + fifo_count(&log->queue);
}

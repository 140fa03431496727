/*
 * A sequence lock a slot, of which a writer who finds another there goes away: `state` is odd while it
 * is written, else tells which batch is in it. Words are stored and loaded in order, so that who sees
 * the same state before and after has seen that batch.
 */
#include "whose_board.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

/* Half a million packets of two workers, so far one may be behind. */
#define SLOTS 8192

/* Batches of two workers are so many packets, of more workers more. */
#define SLOT_PACKETS 64

#define WORDS (WHOSE_MAX / sizeof(uint64_t))

struct slot {
	_Alignas(64) _Atomic uint64_t state;
	_Atomic uint64_t word[WORDS];
};

struct whose_board {
	struct slot slot[SLOTS];
};

int whose_board_new(struct whose_board **ret_board)
{
	struct whose_board *board = aligned_alloc(64, sizeof(*board));
	if (board == NULL)
		return ERR_NOMEM;
	memset(board, 0, sizeof(*board));
	*ret_board = board;
	return 0;
}

void whose_board_free(struct whose_board *board)
{
	free(board);
}

/* Later batches have greater ones; never 0, always even. */
static uint64_t state_of(uint64_t number, unsigned n)
{
	return (number + 1) << 9 | (uint64_t)n << 1;
}

static struct slot *slot_of(struct whose_board *board, uint64_t number)
{
	return &board->slot[number / SLOT_PACKETS % SLOTS];
}

static unsigned words_of(unsigned n)
{
	return (n + 7) / 8;
}

void whose_board_put(struct whose_board *board, uint64_t number, unsigned n,
		     const uint8_t whose[WHOSE_MAX])
{
	struct slot *slot = slot_of(board, number);
	const uint64_t state = state_of(number, n);
	uint64_t held = atomic_load_explicit(&slot->state, memory_order_relaxed);
	if (held & 1 || held >= state ||
	    !atomic_compare_exchange_strong_explicit(&slot->state, &held, state | 1,
						     memory_order_acq_rel, memory_order_relaxed))
		return;
	for (unsigned i = 0; i < words_of(n); i++) {
		uint64_t word;
		memcpy(&word, whose + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&slot->word[i], word, memory_order_release);
	}
	atomic_store_explicit(&slot->state, state, memory_order_release);
}

bool whose_board_get(struct whose_board *board, uint64_t number, unsigned n,
		     uint8_t ret_whose[WHOSE_MAX])
{
	struct slot *slot = slot_of(board, number);
	const uint64_t state = state_of(number, n);
	if (atomic_load_explicit(&slot->state, memory_order_acquire) != state)
		return false;
	for (unsigned i = 0; i < words_of(n); i++) {
		const uint64_t word = atomic_load_explicit(&slot->word[i], memory_order_acquire);
		memcpy(ret_whose + i * sizeof(word), &word, sizeof(word));
	}
	return atomic_load_explicit(&slot->state, memory_order_relaxed) == state;
}

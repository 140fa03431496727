/*
 * Workers tell each other whose packets are, at different places and meeting in the same slots, under
 * ThreadSanitizer: what one finds is what was told of that batch, never a mixture.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "whose_board.h"

enum { WORKERS = 3, BATCHES = 60000, BATCH = 64, TURN = 8192 };

static struct whose_board *board;
static atomic_uint found, wrong;

static void fill(uint64_t number, uint8_t whose[WHOSE_MAX])
{
	for (unsigned i = 0; i < WHOSE_MAX; i++)
		whose[i] = (uint8_t)(number / BATCH * 31 + i);
}

/* Each begins a turn of the board further on, so that all write the same slots. */
static void *work(void *arg)
{
	const uint64_t ahead = *(const unsigned *)arg * (uint64_t)TURN;
	for (uint64_t batch = ahead; batch < ahead + BATCHES; batch++) {
		uint8_t whose[WHOSE_MAX], want[WHOSE_MAX];
		fill(batch * BATCH, want);
		if (!whose_board_get(board, batch * BATCH, BATCH, whose)) {
			whose_board_put(board, batch * BATCH, BATCH, want);
			continue;
		}
		atomic_fetch_add(&found, 1);
		for (unsigned i = 0; i < BATCH; i++)
			if (whose[i] != want[i])
				atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

int main(void)
{
	/* two at the same place, one a turn ahead */
	static const unsigned turns[WORKERS] = {0, 0, 1};
	pthread_t thread[WORKERS];
	if (whose_board_new(&board) != 0)
		return 1;
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)&turns[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	whose_board_free(board);
	printf("%u found, %u wrong\n", atomic_load(&found), atomic_load(&wrong));
	return atomic_load(&found) == 0 || atomic_load(&wrong) != 0;
}

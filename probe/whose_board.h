/*
 * Whose the packets of a replay are, told among its workers. Each reads all packets and meters its
 * share; to see whose a packet is costs a third of metering it. So who is ahead writes it here, and
 * who comes behind finds it: nobody waits for anybody, and what is not found is looked at again.
 *
 * A slot a batch, overwritten by later ones. Any thread; lock-free.
 */
#ifndef WEIR_WHOSE_BOARD_H
#define WEIR_WHOSE_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* Most packets of a batch. */
#define WHOSE_MAX 128

/* Not a worker: a packet that each has to look at. */
#define WHOSE_ANYBODYS UINT8_MAX

struct whose_board;

/* ERR_NOMEM. */
int whose_board_new(struct whose_board **ret_board);
void whose_board_free(struct whose_board *board);

/* Tells of the batch of `n` packets that follow the first `number` (below 2^54) of the replay. */
void whose_board_put(struct whose_board *board, uint64_t number, unsigned n,
		     const uint8_t whose[WHOSE_MAX]);

/* False when nobody has told of just that batch, or it has been overwritten. */
bool whose_board_get(struct whose_board *board, uint64_t number, unsigned n,
		     uint8_t ret_whose[WHOSE_MAX]);

#endif

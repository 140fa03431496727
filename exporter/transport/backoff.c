/* Pauses between tries. The jitter needs no good randomness, only other numbers elsewhere. */
#include "backoff.h"

#include <sys/random.h>

#include "splitmix.h"

static uint64_t draw(struct backoff *b)
{
	if (b->random == 0 &&
	    getrandom(&b->random, sizeof(b->random), GRND_NONBLOCK) != sizeof(b->random))
		b->random = (uint64_t)mono_now().ns;
	return splitmix64(&b->random);
}

int64_t backoff_next_ns(struct backoff *b)
{
	b->last_ns = b->last_ns == 0 ? BACKOFF_FIRST_NS : b->last_ns * 2;
	if (b->last_ns > BACKOFF_MAX_NS)
		b->last_ns = BACKOFF_MAX_NS;
	const int64_t half = b->last_ns / 2;
	return half + (int64_t)(draw(b) % (uint64_t)half);
}

void backoff_reset(struct backoff *b)
{
	b->last_ns = 0;
}

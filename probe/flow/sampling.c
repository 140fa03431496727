/*
 * The samplers. The rate cap cuts each second into as many slots as it allows packets and takes
 * the first packet of each slot: never more than the cap in a second of the clock, spread over
 * it, and no burst at its start. A token bucket was rejected: it lets a burst through.
 */
#include "flow/sampling.h"

#include "splitmix.h"
#include "tstamp.h"

void sampler_init(struct sampler *s, enum sampling_mode mode, uint32_t n, uint64_t rate_cap,
		  uint64_t seed)
{
	*s = (struct sampler){
		.mode = mode,
		.n = n > 0 ? n : 1,
		.left = 1,
		.random = seed,
		.rate_cap = rate_cap,
	};
	s->threshold = UINT64_MAX / s->n;
	sampler_restart(s);
}

void sampler_restart(struct sampler *s)
{
	s->cap_second = INT64_MIN;
	s->cap_slot = 0;
}

static bool is_picked(struct sampler *s)
{
	switch (s->mode) {
	case SAMPLING_SYSTEMATIC:
		if (--s->left > 0)
			return false;
		s->left = s->n;
		return true;
	case SAMPLING_RANDOM:
		return splitmix64(&s->random) <= s->threshold;
	default:
		return true;
	}
}

static bool is_under_cap(struct sampler *s, int64_t clock_ns)
{
	int64_t second = clock_ns / NS_PER_S;
	uint64_t slot = (uint64_t)(clock_ns % NS_PER_S) * s->rate_cap / NS_PER_S;
	if (second == s->cap_second && slot <= s->cap_slot)
		return false;
	s->cap_second = second;
	s->cap_slot = slot;
	return true;
}

enum sample_verdict sampler_decide(struct sampler *s, int64_t clock_ns)
{
	if (!is_picked(s))
		return SAMPLE_UNSAMPLED;
	if (s->rate_cap != 0 && !is_under_cap(s, clock_ns))
		return SAMPLE_OVER_CAP;
	return SAMPLE_TAKE;
}

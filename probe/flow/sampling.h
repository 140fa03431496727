/*
 * Sampling (METERING.md §8): decides on every observed packet before it is decoded. Flow sampling
 * decides afterwards, by a hash (flow_key_sample), and needs no state.
 */
#ifndef WEIR_FLOW_SAMPLING_H
#define WEIR_FLOW_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

#include "exporter.h"

struct sampler {
	enum sampling_mode mode;
	uint32_t n;
	uint32_t left;      /* systematic: packets until the next pick */
	uint64_t threshold; /* random: a draw below it picks */
	uint64_t random;    /* generator state */
	uint64_t rate_cap;  /* packets a second; 0 none */
	int64_t cap_second; /* second and slot of the last packet taken */
	uint64_t cap_slot;
};

enum sample_verdict {
	SAMPLE_TAKE,
	SAMPLE_UNSAMPLED,
	SAMPLE_OVER_CAP
};

void sampler_init(struct sampler *sampler, enum sampling_mode mode, uint32_t n, uint64_t rate_cap,
		  uint64_t seed);

/* Is there anything to decide on a packet before it is decoded? */
static inline bool sampler_decides(const struct sampler *sampler)
{
	return sampler->mode == SAMPLING_SYSTEMATIC || sampler->mode == SAMPLING_RANDOM ||
	       sampler->rate_cap != 0;
}

/* Next packet, arrived at `clock_ns`. */
enum sample_verdict sampler_decide(struct sampler *sampler, int64_t clock_ns);

/* The clock was set back: the cap starts anew. */
void sampler_restart(struct sampler *sampler);

#endif

/*
 * Sampling as an output has to tell it: what the run does to packets or flows, and what sample=
 * does to the flows of this output. Two samplers in a row leave one in the product of both.
 */
#ifndef WEIR_EXPORTER_TOLD_H
#define WEIR_EXPORTER_TOLD_H

#include "exporter.h"

struct told_sampling {
	enum sampling_mode mode; /* NONE to RANDOM: of packets; FLOW: of flows only */
	uint32_t n;		 /* of that mode, the one in N */
	uint32_t overall_n;	 /* what sums over many flows have to be scaled by */
	bool overall_random;
};

/* The product fits 32 bits: policy_open has seen to it. */
static inline struct told_sampling told_sampling(const struct exporter_conf *run, uint32_t sample)
{
	struct told_sampling t = {.mode = run->sampling, .n = run->sampling_n};
	t.overall_n = t.n * sample;
	if (sample > 1 && t.mode == SAMPLING_NONE)
		t.mode = SAMPLING_FLOW;
	if (t.mode == SAMPLING_FLOW)
		t.n = t.overall_n;
	t.overall_random = sample > 1 || t.mode == SAMPLING_RANDOM || t.mode == SAMPLING_FLOW;
	return t;
}

#endif

/* Inputs of a run, opened and shared out to workers. Main thread only. */
#ifndef WEIR_INPUTS_H
#define WEIR_INPUTS_H

#include "probe.h"

/* Opens everything that is read; all faults are said in the log, the first is returned. */
int inputs_start(struct probe *probe);
void inputs_stop(struct probe *probe);

/* Live: lets packets in, right before the workers start. Returns 0. */
int inputs_let_in(struct probe *probe);

/* How many workers the run has. After inputs_start. */
unsigned inputs_workers(const struct probe *probe);

/* Does an input know by which interface packets leave, being a gateway's? */
bool inputs_know_egress(const struct probe *probe);

/* Live: the input that a worker reads. */
const struct live_input *inputs_of_worker(const struct probe *probe, unsigned worker);

#endif

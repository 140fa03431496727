/*
 * Threads on CPUs of their own. Memory lies near the CPU that first touches it, so the main thread
 * goes to a worker's CPU for as long as it makes what is the worker's.
 */
#ifndef WEIR_PIN_H
#define WEIR_PIN_H

#include <sched.h>

#include "conf.h"

/* Can weir run on all of them? Else ERR_USAGE, and a line in the log. */
int pin_check(const struct conf_cpus *cpus);

/* Puts the calling thread on the CPU of a worker; with no CPUs given does nothing. */
void pin_to_worker(const struct conf_cpus *cpus, unsigned worker);

/* Lets the calling thread run where it could before. `before` is from pin_remember. */
void pin_remember(cpu_set_t *ret_before);
void pin_release(const cpu_set_t *before);

#endif

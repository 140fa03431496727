/* What others read of a worker while it runs: its counters, published as atomics of their own. */
#include "log.h"
#include "worker_internal.h"

/* What a live input says of packets that never came this far. */
void worker_account_input(struct worker *w, const struct capture_stats *s)
{
	uint64_t unsampled = s->unsampled - w->unsampled_input;
	w->unsampled_input = s->unsampled;
	w->counters.v[COUNTER_OBSERVED] += unsampled;
	w->counters.v[COUNTER_UNSAMPLED] += unsampled;
	w->counters.v[COUNTER_DROPPED] = capture_dropped(s);
	if (w->conf.lost_outside != NULL)
		w->counters.v[COUNTER_DROPPED] +=
			atomic_load_explicit(w->conf.lost_outside, memory_order_relaxed);
}

static uint64_t bytes_read(struct worker *w)
{
	struct capture_stats s = {.received = 0};
	if (w->shares)
		return deal_bytes_read(w->conf.deal);
	if (w->capture != NULL)
		capture_stats(w->capture, &s);
	if (w->conf.live && w->capture != NULL) {
		input_view_publish(&w->input, w->capture);
		worker_account_input(w, &s);
	}
	return w->bytes_done + s.bytes_read;
}

void worker_publish(struct worker *w)
{
	uint64_t bytes = bytes_read(w);
	if (w->counters.v[COUNTER_RECORDS_LOST] != 0 && !w->lost_said) {
		w->lost_said = true;
		log_warnx("worker", "the outputs are too slow, records are lost and counted");
	}
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		atomic_store_explicit(&w->view[i], w->counters.v[i], memory_order_relaxed);
	atomic_store_explicit(&w->view[COUNTER_COUNT], flow_table_held(w->table),
			      memory_order_relaxed);
	atomic_store_explicit(&w->view[COUNTER_COUNT + 1], bytes, memory_order_relaxed);
}

void worker_view(const struct worker *w, struct worker_view *ret_view)
{
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		ret_view->counters.v[i] = atomic_load_explicit(&w->view[i], memory_order_relaxed);
	ret_view->held = atomic_load_explicit(&w->view[COUNTER_COUNT], memory_order_relaxed);
	ret_view->bytes_read =
		atomic_load_explicit(&w->view[COUNTER_COUNT + 1], memory_order_relaxed);
}

void worker_part(const struct worker *w, unsigned part, struct capture_stats *ret_stats)
{
	input_view_read(&w->input, part, ret_stats);
}

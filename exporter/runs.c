/* A circle of runs that grows. A session of one source is one run, or one a lot. */
#include "runs.h"

#include <stdlib.h>

#include "err.h"

enum { RUNS_FIRST = 64 };

static struct run *run_at(const struct runs *runs, unsigned index)
{
	return &runs->run[(runs->head + index) % runs->size];
}

int runs_ready(struct runs *runs)
{
	if (runs->count < runs->size)
		return 0;
	unsigned size = runs->size != 0 ? runs->size * 2 : RUNS_FIRST;
	struct run *run = malloc(size * sizeof(*run));
	if (run == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < runs->count; i++)
		run[i] = *run_at(runs, i);
	free(runs->run);
	runs->run = run;
	runs->size = size;
	runs->head = 0;
	return 0;
}

void runs_note(struct runs *runs, bool from_spool, bool lot_ends, uint64_t upto)
{
	struct run *last = runs->count != 0 ? run_at(runs, runs->count - 1) : NULL;
	if (last == NULL || last->from_spool != from_spool || last->whole) {
		last = run_at(runs, runs->count++);
		*last = (struct run){.from_spool = from_spool};
	}
	last->records++;
	last->whole = lot_ends;
	last->upto = upto;
}

bool runs_take(struct runs *runs, uint64_t n, struct run *ret_run)
{
	if (runs->count == 0 || n == 0)
		return false;
	struct run *first = run_at(runs, 0);
	*ret_run = *first;
	if (first->records > n) {
		ret_run->records = n;
		ret_run->whole = false;
		first->records -= n;
		return true;
	}
	runs->head = (runs->head + 1) % runs->size;
	runs->count--;
	return true;
}

void runs_clear(struct runs *runs)
{
	runs->head = runs->count = 0;
}

void runs_fini(struct runs *runs)
{
	free(runs->run);
	*runs = (struct runs){.run = NULL};
}

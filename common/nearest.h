/* The name that was meant: of a list, the one a few slips of the keyboard away. Any thread. */
#ifndef WEIR_NEAREST_H
#define WEIR_NEAREST_H

/* A search; `best` is its answer, NULL while nothing is near enough. */
struct nearest {
	const char *name;
	const char *best;
	unsigned distance;
};

/* Begins to look for `name`, which stays the caller's. */
void nearest_begin(struct nearest *n, const char *name);

/* Keeps the nearer of the answer so far and `candidate`. */
void nearest_consider(struct nearest *n, const char *candidate);

#endif

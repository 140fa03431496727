/*
 * Big, zeroed, page-aligned memory from the kernel, in huge pages where the machine gives them;
 * touched pages cost, reserved ones do not.
 */
#ifndef WEIR_PAGES_H
#define WEIR_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* `bytes` of zeroed memory, or NULL. Any thread. */
void *pages_new(size_t bytes);

/* The same in small pages: for arrays of which little is ever touched. */
void *pages_new_small(size_t bytes);

/* Fetches memory for the first `bytes` of it, a huge page at a time, until `*stop` is set: whoever
 * touches it later does not wait for the kernel to clear a page. What is in it stays; others may use
 * it meanwhile. Any thread. */
void pages_populate(void *p, size_t bytes, const atomic_bool *stop);

/* Gives it back; NULL is fine. `bytes` as asked for. */
void pages_free(void *p, size_t bytes);

/* Makes it all zero again and returns touched pages to the kernel. */
void pages_clear(void *p, size_t bytes);

#endif

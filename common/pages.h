/*
 * Big, zeroed, page-aligned memory from the kernel, in huge pages where the machine gives them;
 * touched pages cost, reserved ones do not.
 */
#ifndef WEIR_PAGES_H
#define WEIR_PAGES_H

#include <stddef.h>

/* `bytes` of zeroed memory, or NULL. Any thread. */
void *pages_new(size_t bytes);

/* The same in small pages: for arrays of which little is ever touched. */
void *pages_new_small(size_t bytes);

/* Gives it back; NULL is fine. `bytes` as asked for. */
void pages_free(void *p, size_t bytes);

/* Makes it all zero again and returns touched pages to the kernel. */
void pages_clear(void *p, size_t bytes);

#endif

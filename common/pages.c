/* Anonymous mappings; huge pages are asked for, never demanded. */
#include "pages.h"

#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t n)
{
	size_t page = n >= HUGE_PAGE ? HUGE_PAGE : 4096;
	return (n + page - 1) / page * page;
}

static void *map(size_t bytes, int advice)
{
	size_t n = round_up(bytes);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (n >= HUGE_PAGE)
		(void)madvise(p, n, advice);
	return p;
}

void *pages_new(size_t bytes)
{
	return map(bytes, MADV_HUGEPAGE);
}

void *pages_new_small(size_t bytes)
{
	return map(bytes, MADV_NOHUGEPAGE);
}

void pages_populate(void *p, size_t bytes, const atomic_bool *stop)
{
	const size_t n = round_up(bytes);
	for (size_t at = 0; at < n && !atomic_load_explicit(stop, memory_order_relaxed);
	     at += HUGE_PAGE) {
		const size_t left = n - at;
		/* Linux before 5.14 cannot: then pages come as they are touched */
		if (madvise((char *)p + at, left < HUGE_PAGE ? left : HUGE_PAGE, MADV_POPULATE_WRITE) != 0)
			return;
	}
}

void pages_free(void *p, size_t bytes)
{
	if (p != NULL)
		munmap(p, round_up(bytes));
}

void pages_clear(void *p, size_t bytes)
{
	/* Small areas are cheaper to wipe than to fault in again. */
	if (bytes < HUGE_PAGE || madvise(p, round_up(bytes), MADV_DONTNEED) != 0)
		memset(p, 0, bytes);
}

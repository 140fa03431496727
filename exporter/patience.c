/* How long to wait for a collector: arithmetic on what moved and when. */
#include "patience.h"

void patience_renew(struct patience *p, int64_t now_ns)
{
	p->moved_ns = p->before_ns = now_ns;
}

void patience_begin(struct patience *p, uint64_t bytes)
{
	p->before_ns = p->moved_ns;
	p->began_at = bytes;
	p->got_further = false;
}

void patience_confirm(struct patience *p, uint64_t records)
{
	p->confirmed += records;
	p->got_further = true;
	p->furthest = 0;
}

/* What a session in vain has moved does not count. */
void patience_fall(struct patience *p, uint64_t bytes)
{
	const uint64_t taken = bytes - p->began_at;
	if (!p->got_further && taken <= p->furthest)
		p->moved_ns = p->before_ns;
	p->moved = bytes + p->confirmed;
	if (taken > p->furthest)
		p->furthest = taken;
}

bool patience_ends(struct patience *p, uint64_t bytes, int64_t now_ns)
{
	const uint64_t moved = bytes + p->confirmed;
	if (moved != p->moved || p->moved_ns == 0) {
		p->moved = moved;
		p->moved_ns = now_ns;
	}
	return now_ns - p->moved_ns >= p->wait_ns || (p->until_ns != 0 && now_ns >= p->until_ns);
}

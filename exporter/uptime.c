/*
 * Boot times. The base lies on a whole second, a day before what it is chosen for: room for flows
 * that began earlier, and never 0 ms for a flow's time, which nfcapd takes for "no time". All
 * arithmetic is 64 bits wide. When a flow is weeks older than the clock (a capture with a gap: it
 * ends when the next packet comes), the header's clock is held back rather than let its uptime
 * reach 2^31: what counts is that the flow's own times come back.
 */
#include "uptime.h"

#include "tstamp.h"

#define MARGIN_S     86400
#define AGE_MAX_MS   (INT64_C(1) << 30) /* re-based long before 2^31 ms */
#define UPTIME_MAX_S (INT32_MAX / 1000)

static int64_t ms_of(int64_t ns)
{
	return ns / NS_PER_MS;
}

static int64_t base_before(int64_t ns)
{
	int64_t s = ns / NS_PER_S - MARGIN_S;
	return s > 0 ? s : 0;
}

void uptime_begin(struct uptime *u, struct pkt_time now)
{
	int64_t age_ms = ms_of(now.ns) - uptime_boot_ms(u);
	if (age_ms < 0 || age_ms > AGE_MAX_MS)
		u->boot_s = base_before(now.ns);
}

/* In whole milliseconds: the first behind the base, the last no more than 2^31 behind it. */
bool uptime_reaches(const struct uptime *u, const struct flow_dir *d)
{
	const int64_t boot_ns = u->boot_s * NS_PER_S;
	return (d->first_ns - boot_ns >= NS_PER_MS || u->boot_s == 0) &&
	       d->last_ns - boot_ns < (INT32_MAX + INT64_C(1)) * NS_PER_MS;
}

void uptime_move(struct uptime *u, const struct flow_dir *d)
{
	u->boot_s = base_before(d->first_ns);
}

struct uptime_header uptime_header(const struct uptime *u, struct pkt_time now, bool whole_seconds)
{
	int64_t ms = ms_of(now.ns);
	if (whole_seconds)
		ms = (now.ns + NS_PER_S - 1) / NS_PER_S * 1000;
	int64_t up = ms - uptime_boot_ms(u);
	if (up < 0)
		up = 0;
	if (up > UPTIME_MAX_S * INT64_C(1000))
		up = UPTIME_MAX_S * INT64_C(1000);
	ms = uptime_boot_ms(u) + up;
	return (struct uptime_header){
		.uptime_ms = (uint32_t)up,
		.seconds = (uint32_t)(ms / 1000),
		.ns = (uint32_t)(ms % 1000 * NS_PER_MS),
	};
}

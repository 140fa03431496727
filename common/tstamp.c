/* The clocks, and the one text form of packet time (RFC 3339). */
#include "tstamp.h"

#include <string.h>
#include <time.h>

#include "digits.h"

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct mono_time mono_now(void)
{
	return (struct mono_time){clock_read(CLOCK_MONOTONIC)};
}

struct pkt_time wall_now(void)
{
	return (struct pkt_time){clock_read(CLOCK_REALTIME)};
}

/* Days to civil date, proleptic Gregorian, for days >= 0 since 1970-01-01 (H. Hinnant's
 * algorithm, public domain): gmtime_r costs ten times as much, and times come from packets in any
 * order. */
static char *put_date(char *p, uint32_t days)
{
	uint32_t z = days + 719468;
	uint32_t era = z / 146097;
	uint32_t doe = z - era * 146097;
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t mp = (5 * doy + 2) / 153;
	uint32_t day = doy - (153 * mp + 2) / 5 + 1;
	uint32_t month = mp < 10 ? mp + 3 : mp - 9;
	p = put_digits4(p, yoe + era * 400 + (month <= 2));
	*p++ = '-';
	p = put_digits2(p, month);
	*p++ = '-';
	return put_digits2(p, day);
}

enum {
	SECOND_LEN = 20, /* 2023-11-14T22:13:20. */
	SECONDS = 64,	 /* most flows of a while began and ended in so many */
};

/* A second as text; empty: none yet. */
struct second {
	uint64_t s;
	char text[SECOND_LEN];
};

static void put_second(char *p, uint64_t s)
{
	const uint32_t of_day = (uint32_t)(s % 86400);
	p = put_date(p, (uint32_t)(s / 86400));
	*p++ = 'T';
	p = put_digits2(p, of_day / 3600);
	*p++ = ':';
	p = put_digits2(p, of_day / 60 % 60);
	*p++ = ':';
	p = put_digits2(p, of_day % 60);
	*p = '.';
}

unsigned tstamp_rfc3339(struct pkt_time t, char *buf)
{
	static _Thread_local struct second seconds[SECONDS];
	const uint64_t ns = t.ns < 0 ? 0 : (uint64_t)t.ns;
	const uint64_t s = ns / NS_PER_S;
	const uint32_t part = (uint32_t)(ns % NS_PER_S);
	struct second *second = &seconds[s % SECONDS];
	if (second->s != s || *second->text == '\0') {
		put_second(second->text, s);
		second->s = s;
	}
	memcpy(buf, second->text, SECOND_LEN);
	char *p = buf + SECOND_LEN;
	*p++ = (char)('0' + part / 100000000);
	p = put_digits8(p, part % 100000000);
	*p++ = 'Z';
	*p = '\0';
	return (unsigned)(p - buf);
}

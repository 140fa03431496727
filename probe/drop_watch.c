/* Losses as events with a beginning and an end. */
#include "drop_watch.h"

static enum drop_news begin(struct drop_watch *w, struct mono_time now)
{
	w->dropping = true;
	w->began = now;
	w->told = now;
	return DROP_BEGINS;
}

static enum drop_news go_on(struct drop_watch *w, struct mono_time now)
{
	if (now.ns - w->told.ns < DROP_AGAIN_NS)
		return DROP_NO_NEWS;
	w->told = now;
	return DROP_GOES_ON;
}

enum drop_news drop_watch_step(struct drop_watch *w, struct mono_time now, uint64_t total)
{
	bool grew = total > w->total;
	if (grew && !w->dropping)
		w->before = w->total;
	if (grew) {
		w->total = total;
		w->last = now;
		return w->dropping ? go_on(w, now) : begin(w, now);
	}
	if (!w->dropping || now.ns - w->last.ns < DROP_QUIET_NS)
		return DROP_NO_NEWS;
	w->dropping = false;
	return DROP_ENDED;
}

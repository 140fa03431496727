/* The timing wheel: an id filed once and taken once. */
#include "micro.h"

#include "timer_wheel.h"

const struct micro_mode micro_modes[] = {
	{"file", "timer_wheel_file"},
	{"take", "timer_wheel_take, an id"},
	{NULL, NULL},
};

enum { SLOTS = 256, SPREAD = 64 };

static struct timer_wheel wheel;

static void step_file(void *arg, uint64_t n)
{
	(void)arg;
	for (uint64_t i = 0; i < n; i++)
		timer_wheel_file(&wheel, (uint32_t)i, 1 + i % SPREAD);
}

static void step_take(void *arg, uint64_t n)
{
	(void)arg;
	uint64_t taken = 0;
	for (uint64_t now = 1; now <= SPREAD; now++) {
		uint32_t ids[TIMER_WHEEL_CHUNK];
		unsigned got;
		while ((got = timer_wheel_take(&wheel, now, ids)) > 0)
			taken += got;
	}
	if (taken != n)
		micro_die("wheel");
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)workdir;
	if (timer_wheel_init(&wheel, SLOTS, n, 0) != 0)
		micro_die("timer_wheel_init");
	if (strcmp(mode, "file") == 0) {
		measured(step_file, NULL, n);
		return;
	}
	step_file(NULL, n);
	measured(step_take, NULL, n);
}

/* The reader: from a capture file to raw packets, in batches of 32. */
#include "micro.h"

#include <unistd.h>

#include "capture.h"
#include "err.h"

const struct micro_mode micro_modes[] = {
	{"pcap", "capture_next, mapped pcap"},
	{NULL, NULL},
};

static void step(void *arg, uint64_t n)
{
	struct raw_packet raws[32];
	for (uint64_t got = 0; got < n;) {
		int r = capture_next(arg, raws, 32);
		if (r <= 0)
			micro_die("capture_next");
		got += (uint64_t)r;
	}
}

static void write_file(const char *path, uint64_t n)
{
	FILE *f = fopen(path, "wb");
	if (f == NULL)
		micro_die(path);
	const uint32_t header[6] = {0xa1b2c3d4, 4u << 16 | 2, 0, 0, MICRO_FRAME, 1};
	fwrite(header, sizeof(header), 1, f);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t frame[MICRO_FRAME];
		const uint32_t len = micro_frame(frame, (uint32_t)i, 0, 0);
		const uint32_t head[4] = {MICRO_T0_S, (uint32_t)(i % 1000000), len, len};
		fwrite(head, sizeof(head), 1, f);
		fwrite(frame, len, 1, f);
	}
	if (fclose(f) != 0)
		micro_die(path);
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)mode;
	char path[512], text[CAPTURE_ERRBUF_SIZE];
	snprintf(path, sizeof(path), "%s/micro.pcap", workdir);
	write_file(path, n);
	struct capture *capture;
	const struct capture_conf conf = {.spec = path};
	if (capture_open(&conf, text, sizeof(text), &capture) != 0)
		micro_die("capture_open");
	measured(step, capture, n);
	capture_close(capture);
	unlink(path);
}

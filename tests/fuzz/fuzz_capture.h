/*
 * What the fuzz targets of capture file readers share. The input is written to a file in memory and
 * read three times: mapped; mapped once more with another batch size; and packed with gzip, that
 * is, as a stream. All three have to give the same packets and the same end, and every packet's
 * bytes have to be readable and believable.
 */
#ifndef WEIR_FUZZ_CAPTURE_H
#define WEIR_FUZZ_CAPTURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "capture.h"
#include "err.h"
#include "log.h"

#define FUZZ_MAX_INPUT (1 << 20)
#define FUZZ_MAX_BATCH 64

/* What a reading came to. */
struct reading {
	int open_rc;
	int end_rc;
	uint64_t packets;
	uint64_t hash; /* over all members and bytes of all packets */
};

static inline void require(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	return hash;
}

static inline void take_packet(struct reading *reading, const struct raw_packet *pkt)
{
	require(pkt->caplen <= 262144, "caplen beyond its limit");
	require(pkt->wirelen >= pkt->caplen, "wirelen below caplen");
	require(pkt->time.ns == PKT_TIME_NONE ||
			(pkt->time.ns >= 0 && pkt->time.ns <= PKT_TIME_MAX),
		"time out of range");
	const uint64_t members[] = {pkt->caplen,  pkt->wirelen,	 (uint64_t)pkt->time.ns,
				    pkt->ingress, pkt->linktype, pkt->swapped};
	reading->packets++;
	reading->hash = hash_bytes(reading->hash, members, sizeof(members));
	reading->hash = hash_bytes(reading->hash, pkt->data, pkt->caplen);
}

static inline void read_packets(struct capture *capture, unsigned batch, struct reading *reading)
{
	struct raw_packet pkts[FUZZ_MAX_BATCH];
	int n;
	while ((n = capture_next(capture, pkts, batch)) > 0)
		for (int i = 0; i < n; i++)
			take_packet(reading, &pkts[i]);
	require(n < 0, "a file gave an empty batch");
	reading->end_rc = n;
	require(capture_next(capture, pkts, batch) == ERR_EOF, "no end after the end");
	struct capture_stats stats;
	capture_stats(capture, &stats);
	require(stats.received == reading->packets, "packets received are not those handed over");
	require(stats.truncated == (reading->end_rc == ERR_TRUNCATED), "truncated, or not");
}

static inline struct reading read_bytes(const uint8_t *data, size_t size, unsigned batch)
{
	struct reading reading = {.hash = UINT64_C(14695981039346656037)};
	char path[64];
	char error[CAPTURE_ERRBUF_SIZE] = "";
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	require(fd >= 0 && write(fd, data, size) == (ssize_t)size, "no file in memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct capture_conf conf = {.spec = path};
	struct capture *capture = NULL;
	reading.open_rc = capture_open(&conf, error, sizeof(error), &capture);
	if (reading.open_rc == 0)
		read_packets(capture, batch, &reading);
	else
		require(error[0] != '\0' && strchr(error, '\n') == NULL, "not one line of error");
	capture_close(capture);
	close(fd);
	return reading;
}

/* The same bytes in a gzip member, not compressed. */
static inline struct reading read_packed(const uint8_t *data, size_t size)
{
	size_t room = size + size / 1000 + 1024;
	uint8_t *packed = malloc(room);
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data,
		      .avail_in = (uInt)size,
		      .next_out = packed,
		      .avail_out = (uInt)room};
	require(packed != NULL && deflateInit2(&z, Z_NO_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
					       Z_DEFAULT_STRATEGY) == Z_OK,
		"out of memory");
	require(deflate(&z, Z_FINISH) == Z_STREAM_END, "cannot pack");
	struct reading reading = read_bytes(packed, z.total_out, 7);
	deflateEnd(&z);
	free(packed);
	return reading;
}

static inline void require_same(const struct reading *a, const struct reading *b, const char *what)
{
	require(a->open_rc == b->open_rc && a->end_rc == b->end_rc && a->packets == b->packets &&
			a->hash == b->hash,
		what);
}

static inline int fuzz_capture(const uint8_t *data, size_t size)
{
	if (size > FUZZ_MAX_INPUT)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	struct reading mapped = read_bytes(data, size, FUZZ_MAX_BATCH);
	struct reading again = read_bytes(data, size, 1);
	require_same(&mapped, &again, "reading twice gives two results");
	/* Packed data inside packed data is not unpacked twice. */
	if (mapped.open_rc != 0 || data[0] == 0x1f || data[0] == 0x28 || (data[0] & 0xf0) == 0x50)
		return 0;
	struct reading packed = read_packed(data, size);
	require_same(&mapped, &packed, "mapped and streamed differ");
	return 0;
}

#endif

/*
 * The "file" input: plain or packed capture files and standard input.
 *
 * Readers are rows. The two for pcap and pcapng work on the window of a source without a copy;
 * libpcap is the last row and is handed what they do not know. How a file ends is decided here
 * alone: soundly, inside a record (what came before counts), or in damage.
 */
#include "file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"

/* As much as any reader wants to see of a file's beginning. */
#define HEAD_SIZE 12

static const struct file_reader *const readers[] = {&pcap_reader, &pcapng_reader, &libpcap_reader};

/* ---- for the readers ----------------------------------------------------------------------- */

/* How the end is put when no record was begun: by what the source met. */
static const char *end_words(bool begun, int error)
{
	if (begun)
		return "the last record is cut";
	return error == ERR_TRUNCATED ? "the data ends early" : "the data cannot be read on";
}

void file_set_end(struct capture_file *file, uint64_t offset, bool begun)
{
	const struct source *src = &file->src;
	int error = source_error(src);
	file->end = ERR_EOF;
	if (error == 0 && !begun)
		return;
	file->end = error != 0 ? error : ERR_TRUNCATED;
	if (error == ERR_STOPPED)
		return;
	file->truncated = file->end == ERR_TRUNCATED;
	log_warnx("capture", "%s, what came before counts: file=%s offset=%" PRIu64 "%s%s%s",
		  end_words(begun, error), src->name, offset, source_offset_unit(src),
		  error != 0 ? ": " : "", error != 0 ? source_complaint(src) : "");
}

void file_set_corrupt(struct capture_file *file, uint64_t offset, const char *what)
{
	file->end = ERR_CORRUPT;
	log_warnx("capture", "%s, what came before counts: file=%s offset=%" PRIu64 "%s", what,
		  file->src.name, offset, source_offset_unit(&file->src));
}

/* ---- opening ------------------------------------------------------------------------------- */

/* The window with at least HEAD_SIZE bytes, or what there is. */
static struct rd file_head(struct capture_file *file)
{
	(void)source_need(&file->src, HEAD_SIZE);
	return file->src.at;
}

/* Tries the readers that match, in order. */
static int file_pick_reader(struct capture_file *file, char *errbuf, unsigned errsize)
{
	int rc = ERR_NOTSUP;
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]) && rc == ERR_NOTSUP; i++) {
		if (!readers[i]->match(file_head(file)))
			continue;
		rc = readers[i]->open(file, errbuf, errsize);
		if (rc == 0)
			file->reader = readers[i];
		else
			readers[i]->close(file);
	}
	return rc;
}

static void file_free(struct capture_file *file)
{
	if (file->reader != NULL)
		file->reader->close(file);
	filter_free(file->filter);
	chunks_fini(&file->copies);
	source_close(&file->src);
	free(file);
}

/* Everything that can fail; file_free undoes it. */
static int file_init(struct capture_file *file, const struct capture_conf *conf, char *errbuf,
		     unsigned errsize)
{
	int rc = source_open(&file->src, conf, errbuf, errsize);
	if (rc < 0)
		return rc;
	if (conf->filter != NULL && conf->filter[0] != '\0') {
		rc = filter_new(conf->filter, &file->filter);
		if (rc < 0) {
			snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(rc));
			return rc;
		}
		filter_look_ahead(file->filter, PACKET_AHEAD);
	}
	return file_pick_reader(file, errbuf, errsize);
}

static int file_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		     struct capture **ret_capture)
{
	struct capture_file *file = calloc(1, sizeof(*file));
	if (file == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	file->base.ops = &capture_file_ops;
	file->iface = conf->iface;
	int rc = file_init(file, conf, errbuf, errsize);
	if (rc < 0) {
		file_free(file);
		return rc;
	}
	*ret_capture = &file->base;
	return 0;
}

/* ---- operations ---------------------------------------------------------------------------- */

/* Moves what the packets point to into memory that lasts as long as the batch. Returns their
 * number, fewer when memory is out. */
static unsigned file_copy(struct capture_file *file, struct raw_packet *pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pkts[i].data = chunks_copy(&file->copies, pkts[i].data, pkts[i].caplen);
		if (pkts[i].data == NULL) {
			file->end = ERR_NOMEM;
			log_errorx("capture", "%s: file=%s", err_str(ERR_NOMEM), file->src.name);
			return i;
		}
	}
	return n;
}

/* Reads some packets and keeps those that pass the filter. A stream's are copied then, so that a
 * filter that lets little through does not make a batch hold on to all that was read for it. */
static unsigned file_round(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	source_release(&file->src);
	unsigned got = file->reader->take(file, pkts, file->reader->fleeting ? 1 : max);
	unsigned kept = got;
	if (file->filter != NULL)
		kept = filter_keep(file->filter, pkts, got);
	file->received += got;
	file->filtered += got - kept;
	bool stays = file->filter == NULL || source_is_mapped(&file->src);
	return stays && !file->reader->fleeting ? kept : file_copy(file, pkts, kept);
}

/* So much is read for a filter before the caller gets what there is, which may be nothing, and to look at
 * what it was asked meanwhile. */
#define FILTERED_ROUNDS 4096
#define FILTERED_BYTES	((uint64_t)1 << 20)

static int file_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct capture_file *file = (struct capture_file *)capture;
	const uint64_t begin = source_offset(&file->src);
	chunks_recycle(&file->copies, NULL);
	unsigned n = 0;
	for (unsigned rounds = 0; n < max && file->end == 0; rounds++) {
		if (file->filter != NULL &&
		    (rounds == FILTERED_ROUNDS ||
		     source_offset(&file->src) - begin >= FILTERED_BYTES))
			return (int)n;
		n += file_round(file, pkts + n, max - n);
	}
	if (n > 0 || max == 0)
		return (int)n;
	int end = file->end;
	file->end = ERR_EOF;
	return end;
}

static bool file_lasts(const struct capture *capture)
{
	const struct capture_file *file = (const struct capture_file *)capture;
	return source_is_mapped(&file->src) && !file->reader->fleeting;
}

static void file_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	const struct capture_file *file = (const struct capture_file *)capture;
	*ret_stats = (struct capture_stats){
		.received = file->received,
		.filtered = file->filtered,
		.bytes_read = source_bytes_read(&file->src),
		.bytes_total = source_bytes_total(&file->src),
		.truncated = file->truncated,
	};
}

static void file_close(struct capture *capture)
{
	if (capture != NULL)
		file_free((struct capture_file *)capture);
}

const struct capture_ops capture_file_ops = {
	.name = "file",
	.open = file_open,
	.next = file_next,
	.lasts = file_lasts,
	.stats = file_stats,
	.close = file_close,
};

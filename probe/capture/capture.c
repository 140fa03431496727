/*
 * The registry of inputs: a specification picks a row, and calls go through the row's operations.
 *
 * Replay and live are told apart by the caller (-r or -i), since a file may be named like an
 * interface. Live inputs are "name:argument"; a bare interface name gets the best row there is.
 */
#include "capture.h"

#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "err.h"
#include "iface.h"
#include "log.h"

const struct capture_ops *const capture_backends[] = {
	&capture_file_ops,
	&capture_ring_ops,
	&capture_pcap_live_ops,
#ifdef WITH_XDP
	&capture_xdp_ops,
#endif
#ifdef WITH_NFQUEUE
	&capture_nfqueue_ops,
#endif
#ifdef WITH_NFLOG
	&capture_nflog_ops,
#endif
	NULL,
};

/* Prefixes that mean an input this build does not have. A prefix in no list is part of an
 * interface's name ("eth0:1"). */
static const char *const absent_schemes[] = {"xdp", "nfqueue", "nflog", NULL};

static bool has_scheme(const char *spec, const char *scheme)
{
	size_t n = strlen(scheme);
	return strncmp(spec, scheme, n) == 0 && spec[n] == ':';
}

static const char *absent_scheme(const char *spec)
{
	for (const char *const *scheme = absent_schemes; *scheme != NULL; scheme++)
		if (has_scheme(spec, *scheme))
			return *scheme;
	return NULL;
}

/* The row that a live specification names, or NULL. */
static const struct capture_ops *named_row(const char *spec)
{
	for (const struct capture_ops *const *ops = capture_backends; *ops != NULL; ops++)
		if (*ops != &capture_file_ops && has_scheme(spec, (*ops)->name))
			return *ops;
	return NULL;
}

/* "eth1+eth2". A '+' behind a comma is an option's. */
static bool is_joined(const char *spec)
{
	return spec[strcspn(spec, "+,")] == '+';
}

/* The row for a live specification that this build can serve: the best for a bare name. */
static const struct capture_ops *live_row(const char *spec)
{
	const struct capture_ops *named = named_row(spec);
	if (is_joined(spec))
		return &capture_joined_ops;
	if (named != NULL)
		return named;
	return ring_suits(spec) ? &capture_ring_ops : &capture_pcap_live_ops;
}

/* The same; NULL with a line in errbuf when it cannot. */
static const struct capture_ops *find_live(const char *spec, char *errbuf, unsigned errsize)
{
	const char *absent = named_row(spec) == NULL ? absent_scheme(spec) : NULL;
	if (absent != NULL) {
		snprintf(errbuf, errsize,
			 "%s: '%s:' inputs are not built into this weir; try pcap:INTERFACE", spec,
			 absent);
		return NULL;
	}
	const struct capture_ops *row = live_row(spec);
	if (row == &capture_pcap_live_ops && named_row(spec) == NULL && iface_type(spec) >= 0)
		log_info("capture", "no Ethernet port, read through libpcap: interface=%s", spec);
	return row;
}

/* ---- specifications -------------------------------------------------------------------------- */

/* Bytes of "scheme:" at the beginning, 0 for a bare interface name. */
static size_t scheme_size(const char *spec)
{
	if (named_row(spec) == NULL && absent_scheme(spec) == NULL)
		return 0;
	return (size_t)(strchr(spec, ':') - spec) + 1;
}

static bool prints_whole(char *buf, unsigned size, int printed)
{
	return size > 0 && printed >= 0 && (unsigned)printed < size && buf[0] != '\0';
}

bool capture_spec_part(const char *spec, unsigned number, char *buf, unsigned size)
{
	size_t scheme = scheme_size(spec);
	const char *name = spec + scheme;
	const char *options = name + strcspn(name, ",");
	for (; number > 0; number--) {
		name += strcspn(name, "+,");
		if (*name != '+')
			return false;
		name++;
	}
	return prints_whole(buf, size,
			    snprintf(buf, size, "%.*s%.*s%s", (int)scheme, spec,
				     (int)strcspn(name, "+,"), name, options));
}

bool capture_spec_interface(const char *spec, char *buf, unsigned size)
{
	const char *name = spec + scheme_size(spec);
	if (!live_row(spec)->port)
		return false;
	return prints_whole(buf, size,
			    snprintf(buf, size, "%.*s", (int)strcspn(name, ","), name));
}

bool capture_knows_egress(const char *spec)
{
	return live_row(spec)->egress;
}

/* ---- calls that go through the row ----------------------------------------------------------- */

int capture_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		 struct capture **ret_capture)
{
	const struct capture_ops *ops = &capture_file_ops;
	if (conf->live)
		ops = find_live(conf->spec, errbuf, errsize);
	if (ops == NULL)
		return ERR_NOTSUP;
	return ops->open(conf, errbuf, errsize, ret_capture);
}

int capture_open_said(const struct capture_conf *conf, struct capture **ret_capture)
{
	char text[CAPTURE_ERRBUF_SIZE];
	int err = capture_open(conf, text, sizeof(text), ret_capture);
	if (err != 0)
		log_errorx("capture", "%s", text);
	return err;
}

unsigned capture_workers(const char *spec, unsigned wanted)
{
	const struct capture_ops *ops = live_row(spec);
	return ops->workers != NULL ? ops->workers(spec, wanted) : 1;
}

void capture_start(struct capture *capture)
{
	if (capture->ops->start != NULL)
		capture->ops->start(capture);
}

int capture_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	return capture->ops->next(capture, pkts, max);
}

bool capture_lasts(const struct capture *capture)
{
	return capture->ops->lasts != NULL && capture->ops->lasts(capture);
}

int capture_fd(struct capture *capture)
{
	return capture->ops->fd(capture);
}

bool capture_finish(struct capture *capture)
{
	if (capture->ops->finish == NULL)
		return false;
	capture->ops->finish(capture);
	return true;
}

void capture_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	capture->ops->stats(capture, ret_stats);
}

struct capture *capture_part(struct capture *capture, unsigned number)
{
	if (capture->ops->part != NULL)
		return capture->ops->part(capture, number);
	return number == 0 ? capture : NULL;
}

void capture_close(struct capture *capture)
{
	if (capture != NULL)
		capture->ops->close(capture);
}

void capture_stats_add(struct capture_stats *into, const struct capture_stats *from)
{
	into->received += from->received;
	into->filtered += from->filtered;
	into->unsampled += from->unsampled;
	into->merged += from->merged;
	into->gone |= from->gone;
	for (unsigned i = 0; i < CAPTURE_DROP_COUNT; i++)
		into->drops[i] += from->drops[i];
}

uint64_t capture_dropped(const struct capture_stats *stats)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < CAPTURE_DROP_COUNT; i++)
		sum += stats->drops[i];
	return sum;
}

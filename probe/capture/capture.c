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

const struct capture_ops *const capture_backends[] = {
	&capture_file_ops,
	&capture_pcap_live_ops,
	NULL,
};

/* Prefixes that mean an input this build does not have. A prefix in no list is part of an
 * interface's name ("eth0:1"). */
static const char *const absent_schemes[] = {"ring", "xdp", "nfqueue", "nflog", NULL};

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

/* The row for a live specification; NULL with a line in errbuf. */
static const struct capture_ops *find_live(const char *spec, char *errbuf, unsigned errsize)
{
	const char *absent = absent_scheme(spec);
	if (absent != NULL) {
		snprintf(errbuf, errsize,
			 "%s: '%s:' inputs are not built into this weir; try pcap:INTERFACE", spec,
			 absent);
		return NULL;
	}
	if (strchr(spec, '+') != NULL) {
		snprintf(errbuf, errsize,
			 "%s: joined ports are not built into this weir; try pcap:INTERFACE", spec);
		return NULL;
	}
	for (const struct capture_ops *const *ops = capture_backends; *ops != NULL; ops++)
		if (*ops != &capture_file_ops && has_scheme(spec, (*ops)->name))
			return *ops;
	return &capture_pcap_live_ops;
}

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

int capture_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	return capture->ops->next(capture, pkts, max);
}

void capture_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	capture->ops->stats(capture, ret_stats);
}

void capture_close(struct capture *capture)
{
	if (capture != NULL)
		capture->ops->close(capture);
}

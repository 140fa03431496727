/*
 * Syslog (RFC 5424): a message a record, whose text is the record's JSON object.
 *
 *     <134>1 2023-11-14T22:13:20.123456Z probe weir 4711 flow - {"flowStartNanoseconds":...}
 *
 * TIMESTAMP is the clock at which the record was made, cut to the six decimals that syslog allows.
 * PROCID is what tells one run from the next; a replay, whose bytes depend on the capture alone,
 * has none ("-"). There is no structured data: the text is structured. It is ASCII, so that it
 * needs no byte order mark to say UTF-8 (§6.4), and JSON parsers trip over one; bom=yes adds it.
 *
 * A datagram holds one message (RFC 5426 §3.1); on a stream each has its length before it (RFC
 * 6587 §3.4.1, RFC 5425 §4.3). Newlines as the end are not offered: they cannot tell a lost byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "body.h"
#include "err.h"
#include "log.h"
#include "text.h"

enum {
	HOSTNAME_MAX = 255, /* §6 */
	HEAD_MAX = HOSTNAME_MAX + 40,
	STAMP_KEPT = sizeof("2023-11-14T22:13:20.123456") - 1,
	BEFORE_BODY = sizeof("<191>1 ") + STAMP_KEPT + sizeof("Z") + HEAD_MAX,
	LEN_MAX = sizeof("65535 ") - 1, /* bodies are far shorter */
};

struct syslog {
	struct body_encoder base;
	size_t max;	     /* bytes of the longest message, without its length */
	size_t head_len;     /* of `head` */
	uint8_t pri_len;     /* of `pri` */
	char pri[8];	     /* <PRI>1 and a space */
	char head[HEAD_MAX]; /* what follows the seconds, to the space before the text */
	bool said_too_big;
	uint8_t *own; /* datagrams: where a message is made that may not fit; NULL: in place */
};

static struct syslog *syslog_of(struct encoder *enc)
{
	return (struct syslog *)enc;
}

/* ---- messages ---- */

/* A whole message, without its length; returns its end. */
static uint8_t *put_message(const struct syslog *s, const struct flow_record *r, uint8_t *at)
{
	const struct body *body = s->base.body;
	char stamp[TSTAMP_RFC3339_SIZE];
	tstamp_rfc3339(r->clock, stamp);
	memcpy(at, s->pri, s->pri_len);
	at += s->pri_len;
	memcpy(at, stamp, STAMP_KEPT);
	at += STAMP_KEPT;
	memcpy(at, s->head, s->head_len);
	return body->ops->put(body, r, at + s->head_len);
}

static void too_big(struct syslog *s, size_t n)
{
	struct encoder *enc = &s->base.base;
	stat_add(&enc->counters->dropped[DROP_TOO_BIG], 1);
	if (!s->said_too_big)
		log_warnx("output",
			  "syslog: a message of %zu bytes does not fit, the datagrams take %zu; "
			  "take a larger mtu= or fewer fields",
			  n, enc->transport->max_message);
	s->said_too_big = true;
}

/* It is known only afterwards whether the message fits. */
static void record_in_own(struct syslog *s, const struct flow_record *r)
{
	struct transport *t = s->base.base.transport;
	size_t n = (size_t)(put_message(s, r, s->own) - s->own);
	if (n > t->max_message) {
		too_big(s, n);
		return;
	}
	memcpy(t->ops->reserve(t, n), s->own, n);
	t->ops->commit(t, n, 1);
}

static void datagram_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct syslog *s = syslog_of(enc);
	struct transport *t = enc->transport;
	if (s->own != NULL) {
		record_in_own(s, r);
		return;
	}
	uint8_t *start = t->ops->reserve(t, s->max);
	t->ops->commit(t, (size_t)(put_message(s, r, start) - start), 1);
}

/* The length is known last and has no fixed width: the message moves up to it. */
static void stream_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct syslog *s = syslog_of(enc);
	struct transport *t = enc->transport;
	uint8_t *start = t->ops->reserve(t, LEN_MAX + s->max);
	uint8_t *message = start + LEN_MAX;
	size_t n = (size_t)(put_message(s, r, message) - message);
	uint8_t *p = (uint8_t *)text_uint((char *)start, n);
	*p++ = ' ';
	memmove(p, message, n);
	t->ops->commit(t, (size_t)(p - start) + n, 1);
}

/* ---- opening ---- */

/* PRINTUSASCII of §6, or "-" where the machine has no name. */
static void own_hostname(char *buf, size_t size)
{
	if (gethostname(buf, size) != 0)
		buf[0] = '\0';
	buf[size - 1] = '\0';
	for (char *p = buf; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 127)
			*p = '_';
	if (buf[0] == '\0')
		strcpy(buf, "-");
}

static int check_hostname(const char *name, struct errtext *e)
{
	size_t n = 0;
	for (; name[n] != '\0'; n++)
		if (name[n] <= ' ' || name[n] >= 127)
			break;
	if (name[n] == '\0' && n <= HOSTNAME_MAX)
		return 0;
	return fail(e, ERR_USAGE,
		    "hostname=%s is wrong, it wants at most %d printable ASCII characters without "
		    "spaces",
		    name, HOSTNAME_MAX);
}

static int make_head(struct syslog *s, const struct encoder_conf *conf, struct errtext *e)
{
	const struct url_spec *spec = conf->spec;
	char host[HOSTNAME_MAX + 1];
	char procid[16] = "-";
	if (spec->hostname != NULL && check_hostname(spec->hostname, e) != 0)
		return ERR_USAGE;
	if (spec->hostname == NULL)
		own_hostname(host, sizeof(host));
	if (!conf->run->replay)
		snprintf(procid, sizeof(procid), "%d", (int)getpid());
	s->pri_len = (uint8_t)snprintf(s->pri, sizeof(s->pri), "<%u>1 ",
				       spec->facility * 8 + spec->severity);
	s->head_len = (size_t)snprintf(s->head, sizeof(s->head), "Z %s weir %s flow - %s",
				       spec->hostname != NULL ? spec->hostname : host, procid,
				       spec->bom ? "\xef\xbb\xbf" : "");
	return 0;
}

static void syslog_close(struct encoder *enc)
{
	if (enc == NULL)
		return;
	free(syslog_of(enc)->own);
	body_encoder_close(enc);
}

static int open_syslog(const struct encoder_conf *conf, struct errtext *e, struct syslog **ret)
{
	struct body_encoder *b;
	int err = body_encoder_new(conf, &json_body, sizeof(struct syslog), e, &b);
	if (err != 0)
		return err;
	struct syslog *s = (struct syslog *)b;
	err = make_head(s, conf, e);
	if (err != 0) {
		syslog_close(&b->base);
		return err;
	}
	s->max = BEFORE_BODY + b->body->max;
	*ret = s;
	return 0;
}

static int open_datagrams(const struct encoder_conf *conf, struct errtext *e,
			  struct encoder **ret_encoder)
{
	struct syslog *s;
	int err = open_syslog(conf, e, &s);
	if (err != 0)
		return err;
	*ret_encoder = &s->base.base;
	if (s->max <= conf->max_message)
		return 0;
	s->own = malloc(s->max);
	if (s->own != NULL)
		return 0;
	syslog_close(*ret_encoder);
	return ERR_NOMEM;
}

static int open_stream(const struct encoder_conf *conf, struct errtext *e,
		       struct encoder **ret_encoder)
{
	struct syslog *s;
	int err = open_syslog(conf, e, &s);
	if (err == 0)
		*ret_encoder = &s->base.base;
	return err;
}

const struct format_ops syslog_format = {
	.name = "syslog",
	.open = open_datagrams,
	.wants = body_encoder_wants,
	.record = datagram_record,
	.close = syslog_close,
};

const struct format_ops syslog_stream_format = {
	.name = "syslog-stream",
	.open = open_stream,
	.wants = body_encoder_wants,
	.record = stream_record,
	.close = syslog_close,
};

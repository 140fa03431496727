/*
 * Output URLs, by two tables: schemes and options. A new output is a row of the first; an option
 * is a row of the second and a member of struct url_spec. Options that no scheme of this version
 * knows are refused, never passed over: a filter that is silently ignored would export what
 * nobody wanted to leave the house.
 *
 * Values are taken as they stand, without percent-decoding: paths are full of strftime's '%'. The
 * exception is an expression, which may hold every character there is.
 */
#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fail.h"
#include "format/format.h"
#include "secret.h"
#include "spool/spool.h"
#include "transport/transport.h"

/* Policies, which every output has. */
#define BIFLOW	  (URL_HAS(URL_BIFLOW) | URL_HAS(URL_FILTER) | URL_HAS(URL_SAMPLE))
#define FIELDS	  URL_HAS(URL_FIELDS)
#define DOMAIN	  URL_HAS(URL_DOMAIN)
#define FILES	  URL_HAS(URL_ROTATE)
#define UDP	  (URL_HAS(URL_MTU) | URL_HAS(URL_RATE) | URL_HAS(URL_QUEUE) | SOCKET)
#define TEMPLATES (URL_HAS(URL_TEMPLATE_REFRESH) | URL_HAS(URL_TEMPLATE_REFRESH_PACKETS))
#define SOCKET	  (URL_HAS(URL_SOURCE) | URL_HAS(URL_DSCP))
#define HELD	  (URL_HAS(URL_QUEUE) | URL_HAS(URL_RESEND) | URL_HAS(URL_CONNECT_WAIT) | SPOOL)
#define SPOOL	  (URL_HAS(URL_SPOOL) | URL_HAS(URL_SPOOL_SIZE) | URL_HAS(URL_SPOOL_RATE))
#define SESSION	  (URL_HAS(URL_RATE) | HELD | SOCKET)
#define NAMES	  URL_HAS(URL_NAMES)
#define KAFKA                                                                                      \
	(FIELDS | NAMES | URL_HAS(URL_RATE) | URL_HAS(URL_QUEUE) | URL_HAS(URL_CONNECT_WAIT) |     \
	 SPOOL | SPOOL | URL_HAS(URL_FORMAT) | URL_HAS(URL_ACKS) | URL_HAS(URL_COMPRESSION) |      \
	 URL_HAS(URL_KAFKA))
#define TLS                                                                                        \
	(URL_HAS(URL_CA) | URL_HAS(URL_CERT) | URL_HAS(URL_KEY) | URL_HAS(URL_PEER_NAME) |         \
	 URL_HAS(URL_VERIFY) | URL_HAS(URL_MIN_VERSION))
#define DTLS                                                                                       \
	(UDP | URL_HAS(URL_QUEUE) | URL_HAS(URL_CONNECT_WAIT) | SOCKET | URL_HAS(URL_RECONNECT) |  \
	 (TLS & ~URL_HAS(URL_MIN_VERSION)))
#define SYSLOG                                                                                     \
	(FIELDS | NAMES | URL_HAS(URL_FACILITY) | URL_HAS(URL_SEVERITY) | URL_HAS(URL_HOSTNAME) |  \
	 URL_HAS(URL_BOM))

/* Over UDP by default: what fits anywhere but in old tunnels (v5: 30 records), and a pace that an
 * nfcapd with the system's default socket buffer survives not being run for 10 ms. */
#define MTU_DEFAULT	1400
#define MTU_V5		1500
#define RATE_DEFAULT	100000
#define REFRESH_DEFAULT 60

/* A DTLS collector that lost its sessions and does not say so misses no more than this. */
#define RECONNECT_DEFAULT 300

/* Over UDP a syslog message is a datagram; a daemon takes fewer of them than a flow collector. */
#define MTU_SYSLOG  1500
#define RATE_SYSLOG 20000
/* Flow records are nobody's alarm: local0.info. */
#define FACILITY_DEFAULT 16
#define SEVERITY_DEFAULT 6

/* Sessions: a third of a million records, and what Linux lets a peer's receive buffer grow to by
 * default (tcp_rmem: 6 MiB) with some to spare. */
#define QUEUE_DEFAULT	     (UINT64_C(64) << 20)
#define QUEUE_UDP	     (UINT64_C(256) << 20) /* of messages: two million biflows that end at once */
#define RESEND_DEFAULT	     (UINT64_C(8) << 20)
#define CONNECT_WAIT_DEFAULT 30
#define SPOOL_RATE_DEFAULT   20000

/* Kept in ns elsewhere: ten years are enough. */
#define ROTATE_S_MAX (UINT64_C(10) * 366 * 86400)

/* Kafka's own limit. */
#define TOPIC_MAX 249

/* THE table of outputs. */
/* clang-format off */
static const struct scheme schemes[] = {
	{"netflow5", &netflow5_format, &udp_transport, URL_HOST, "2055",
	 .options = BIFLOW | UDP | DOMAIN,
	 .mtu = MTU_V5, .rate = RATE_DEFAULT},
	{"netflow9", &netflow9_format, &udp_transport, URL_HOST, "2055",
	 .options = BIFLOW | FIELDS | UDP | DOMAIN | TEMPLATES,
	 .template_refresh_s = REFRESH_DEFAULT, .mtu = MTU_DEFAULT, .rate = RATE_DEFAULT},
	{"ipfix", &ipfix_format, &udp_transport, URL_HOST, "4739",
	 .options = BIFLOW | FIELDS | UDP | DOMAIN | TEMPLATES,
	 .template_refresh_s = REFRESH_DEFAULT, .mtu = MTU_DEFAULT, .rate = RATE_DEFAULT},
	{"ipfix+tcp", &ipfix_format, &tcp_transport, URL_HOST, "4739",
	 .options = BIFLOW | FIELDS | DOMAIN | SESSION},
	{"ipfix+tls", &ipfix_format, &tls_transport, URL_HOST, "4740",
	 .options = BIFLOW | FIELDS | DOMAIN | SESSION | TLS},
	{"ipfix+sctp", &ipfix_format, &sctp_transport, URL_HOST, "4739",
	 .options = BIFLOW | FIELDS | DOMAIN | SESSION},
	{"ipfix+dtls", &ipfix_format, &dtls_transport, URL_HOST, "4740",
	 .options = BIFLOW | FIELDS | DOMAIN | TEMPLATES | DTLS,
	 .template_refresh_s = REFRESH_DEFAULT, .mtu = MTU_DEFAULT, .rate = RATE_DEFAULT},
	{"ipfix-file", &ipfix_file_format, &file_transport, URL_PATH,
	 .options = BIFLOW | FIELDS | FILES | DOMAIN, .biflow = true},
	{"json", &json_format, &file_transport, URL_PATH,
	 .options = BIFLOW | FIELDS | FILES | NAMES, .biflow = true},
	{"json+tcp", &json_format, &tcp_transport, URL_HOST, NULL,
	 .options = BIFLOW | FIELDS | NAMES | SESSION, .biflow = true},
	{"json+tls", &json_format, &tls_transport, URL_HOST, NULL,
	 .options = BIFLOW | FIELDS | NAMES | SESSION | TLS, .biflow = true},
	{"csv", &csv_format, &file_transport, URL_PATH,
	 .options = BIFLOW | FIELDS | FILES, .biflow = true},
	{"cbor", &cbor_format, &file_transport, URL_PATH,
	 .options = BIFLOW | FIELDS | FILES, .biflow = true},
	{"table", &table_format, &file_transport, URL_PATH,
	 .options = BIFLOW | FILES, .biflow = true},
	{"syslog", &syslog_format, &udp_transport, URL_HOST, "514",
	 .options = BIFLOW | UDP | SYSLOG, .biflow = true,
	 .mtu = MTU_SYSLOG, .rate = RATE_SYSLOG},
	{"syslog+tcp", &syslog_stream_format, &tcp_transport, URL_HOST, "514",
	 .options = BIFLOW | SYSLOG | SESSION, .biflow = true},
	{"syslog+tls", &syslog_stream_format, &tls_transport, URL_HOST, "6514",
	 .options = BIFLOW | SYSLOG | SESSION | TLS, .biflow = true},
	{"kafka", &kafka_format, &kafka_transport, URL_BROKERS, "9092",
	 .options = BIFLOW | KAFKA, .biflow = true},
	{"null", &null_format, &null_transport, URL_NOTHING,
	 .options = BIFLOW, .biflow = true},
};
/* clang-format on */

enum value_kind {
	VALUE_YES_NO, /* bool */
	VALUE_TEXT,   /* const char * */
	VALUE_QUOTED, /* the same, %XX decoded */
	VALUE_U32,
	VALUE_U64,
	VALUE_SIZE,	/* uint64_t bytes */
	VALUE_CHOICE,	/* uint32_t: which of `choices` */
	VALUE_WORD,	/* const char *: one of `choices` */
	VALUE_PROPERTY, /* a name of its own behind the option's prefix */
	VALUE_ROTATE,	/* rotate_s or rotate_bytes */
};

struct option {
	const char *name;
	enum value_kind kind;
	size_t offset; /* of the member in struct url_spec */
	uint64_t min;
	uint64_t max;
	const char *wants; /* what a right value is */
	const char *const *choices;
};

/* As the enums of url.h. */
static const char *const names_choices[] = {"iana", "ecs", NULL};
static const char *const version_choices[] = {"1.2", "1.3", NULL};

/* RFC 5424 §6.2.1, by number; the names are those of syslog.conf. */
static const char *const facility_choices[] = {
	"kern",	  "user",     "mail",	"daemon", "auth",   "syslog", "lpr",   "news",	 "uucp",
	"cron",	  "authpriv", "ftp",	"ntp",	  "audit",  "alert",  "clock", "local0", "local1",
	"local2", "local3",   "local4", "local5", "local6", "local7", NULL,
};
static const char *const format_choices[] = {"json", "cbor", NULL};
static const char *const acks_choices[] = {"all", "1", "0", NULL};
static const char *const compression_choices[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const severity_choices[] = {
	"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", NULL,
};

#define MEMBER(name) offsetof(struct url_spec, name)

/* THE table of options. */
static const struct option options[URL_OPTION_COUNT] = {
	[URL_BIFLOW] = {"biflow", VALUE_YES_NO, offsetof(struct url_spec, biflow), 0, 0,
			"yes or no"},
	[URL_FILTER] = {"filter", VALUE_QUOTED, MEMBER(filter), 0, 0,
			"an expression over elements, with %25 for %"},
	[URL_SAMPLE] = {"sample", VALUE_U32, MEMBER(sample), 1, UINT32_MAX,
			"the N of one flow in N, from 1"},
	[URL_FIELDS] = {"fields", VALUE_TEXT, offsetof(struct url_spec, fields), 0, 0,
			"element names with commas between (see --list-fields)"},
	[URL_TEMPLATE_REFRESH] = {"template-refresh", VALUE_U32,
				  offsetof(struct url_spec, template_refresh_s), 1, 86400,
				  "seconds, 1 to 86400"},
	[URL_TEMPLATE_REFRESH_PACKETS] = {"template-refresh-packets", VALUE_U32,
					  MEMBER(template_refresh_packets), 0, UINT32_MAX,
					  "messages, 0 for by time alone"},
	[URL_MTU] = {"mtu", VALUE_U32, offsetof(struct url_spec, mtu), 128, 65535,
		     "bytes of an IP packet, 128 to 65535"},
	[URL_RATE] = {"rate", VALUE_U64, offsetof(struct url_spec, rate), 0, 1000000000,
		      "records a second, 0 for no limit"},
	[URL_DOMAIN] = {"domain", VALUE_U32, offsetof(struct url_spec, domain), 0, UINT32_MAX,
			"a number from 0 to 4294967295"},
	[URL_NAMES] = {"names", VALUE_CHOICE, offsetof(struct url_spec, names), 0, 0, "iana or ecs",
		       names_choices},
	[URL_ROTATE] = {"rotate", VALUE_ROTATE, 0, 1, UINT64_C(1) << 50,
			"seconds (rotate=300) or a size (rotate=64MiB)"},
	[URL_QUEUE] = {"queue", VALUE_SIZE, MEMBER(queue_bytes), 1 << 20, UINT64_C(1) << 40,
		       "bytes of memory, at least 1MiB (queue=64MiB)"},
	[URL_RESEND] = {"resend", VALUE_SIZE, MEMBER(resend_bytes), 0, UINT64_C(1) << 32,
			"bytes, up to 4GiB (resend=8MiB)"},
	[URL_CONNECT_WAIT] = {"connect-wait", VALUE_U32, MEMBER(connect_wait_s), 0, 86400,
			      "seconds, 0 to 86400"},
	[URL_SPOOL] = {"spool", VALUE_TEXT, MEMBER(spool), 0, 0, "a directory"},
	[URL_SPOOL_SIZE] = {"spool-size", VALUE_SIZE, MEMBER(spool_bytes), 1 << 20,
			    UINT64_C(1) << 50, "bytes on disk, at least 1MiB (spool-size=1GiB)"},
	[URL_SPOOL_RATE] = {"spool-rate", VALUE_U64, MEMBER(spool_rate), 0, 1000000000,
			    "records a second, 0 for no limit"},
	[URL_CA] = {"ca", VALUE_TEXT, MEMBER(ca), 0, 0, "a PEM file of certificates to trust"},
	[URL_CERT] = {"cert", VALUE_TEXT, MEMBER(cert), 0, 0, "a PEM file, our certificate first"},
	[URL_KEY] = {"key", VALUE_TEXT, MEMBER(key), 0, 0, "a PEM file with our private key"},
	[URL_PEER_NAME] = {"peer-name", VALUE_TEXT, MEMBER(peer_name), 0, 0,
			   "the name or address in the peer's certificate"},
	[URL_VERIFY] = {"verify", VALUE_YES_NO, MEMBER(verify), 0, 0, "yes or no"},
	[URL_MIN_VERSION] = {"min-version", VALUE_CHOICE, MEMBER(min_version), 0, 0, "1.2 or 1.3",
			     version_choices},
	[URL_SOURCE] = {"source", VALUE_TEXT, MEMBER(source), 0, 0,
			"an address of this machine, without port"},
	[URL_RECONNECT] = {"reconnect", VALUE_U32, MEMBER(reconnect_s), 0, 86400,
			   "seconds, up to 86400, 0 for never"},
	[URL_FACILITY] = {"facility", VALUE_CHOICE, MEMBER(facility), 0, 0,
			  "kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, "
			  "authpriv, ftp, ntp, audit, alert, clock or local0 to local7",
			  facility_choices},
	[URL_SEVERITY] = {"severity", VALUE_CHOICE, MEMBER(severity), 0, 0,
			  "emerg, alert, crit, err, warning, notice, info or debug",
			  severity_choices},
	[URL_HOSTNAME] = {"hostname", VALUE_TEXT, MEMBER(hostname), 0, 0,
			  "the name that messages come from"},
	[URL_BOM] = {"bom", VALUE_YES_NO, MEMBER(bom), 0, 0, "yes or no"},
	[URL_FORMAT] = {"format", VALUE_CHOICE, MEMBER(format), 0, 0, "json or cbor",
			format_choices},
	[URL_ACKS] = {"acks", VALUE_WORD, MEMBER(acks), 0, 0, "all, 1 or 0", acks_choices},
	[URL_COMPRESSION] = {"compression", VALUE_WORD, MEMBER(compression), 0, 0,
			     "none, gzip, snappy, lz4 or zstd", compression_choices},
	[URL_KAFKA] = {"kafka.PROPERTY", VALUE_PROPERTY, 0, 0, 0, "a value"},
	[URL_DSCP] = {"dscp", VALUE_U32, MEMBER(dscp), 0, 63, "a number from 0 to 63"},
};

/* Options that no output of this version has. */
static const char *const later_options[] = {
	"anonymise",
};

static bool listed(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

#define LISTED(name, list) listed((name), (list), sizeof(list) / sizeof((list)[0]))

/* ---- values ---- */

/* Decimal digits at *text, which moves past them. */
static bool read_number(const char **text, uint64_t *ret_value)
{
	if (**text < '0' || **text > '9')
		return false;
	char *end;
	errno = 0;
	unsigned long long v = strtoull(*text, &end, 10);
	if (errno != 0)
		return false;
	*text = end;
	*ret_value = v;
	return true;
}

/* A number from 1 and a unit: 64MiB. */
static bool read_size(const char *text, uint64_t max, uint64_t *ret_bytes)
{
	static const struct {
		const char *suffix;
		unsigned shift;
	} units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}};
	uint64_t v;
	if (!read_number(&text, &v))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].suffix) == 0 && v <= max >> units[i].shift) {
			*ret_bytes = v << units[i].shift;
			return true;
		}
	}
	return false;
}

static bool read_rotate(const char *text, const struct option *o, struct url_spec *spec)
{
	const char *end = text;
	uint64_t v;
	if (!read_number(&end, &v) || v < o->min)
		return false;
	if (*end == '\0' && v <= ROTATE_S_MAX) {
		spec->rotate_s = v;
		return true;
	}
	return *end != '\0' && read_size(text, o->max, &spec->rotate_bytes);
}

static bool read_choice(const char *text, const struct option *o, uint32_t *ret_index)
{
	for (uint32_t i = 0; o->choices[i] != NULL; i++) {
		if (strcmp(text, o->choices[i]) == 0) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c | (c >= 'A' ? 0x20 : 0)) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

/* A % without two hex digits, or a NUL made so, is wrong. */
static bool is_quoted(const char *text)
{
	for (; (text = strchr(text, '%')) != NULL; text++)
		if (hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0 ||
		    (text[1] == '0' && text[2] == '0'))
			return false;
	return true;
}

/* Decodes %XX in place. */
static bool read_quoted(char *text, const char **ret_text)
{
	if (*text == '\0' || !is_quoted(text))
		return false;
	const char *from = text;
	char *to = text;
	while (*from != '\0') {
		if (*from != '%') {
			*to++ = *from++;
		} else {
			*to++ = (char)(hex_digit(from[1]) << 4 | hex_digit(from[2]));
			from += 3;
		}
	}
	*to = '\0';
	*ret_text = text;
	return true;
}

static bool read_value(char *value, const struct option *o, struct url_spec *spec)
{
	void *member = (char *)spec + o->offset;
	const char *text = value;
	uint64_t number = 0;
	uint32_t choice;
	switch (o->kind) {
	case VALUE_YES_NO:
		if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
			return false;
		*(bool *)member = strcmp(text, "yes") == 0;
		return true;
	case VALUE_CHOICE:
		return read_choice(text, o, member);
	case VALUE_WORD:
		if (!read_choice(text, o, &choice))
			return false;
		*(const char **)member = o->choices[choice];
		return true;
	case VALUE_PROPERTY:
		return false; /* read_property's */
	case VALUE_SIZE:
		if (!read_size(text, o->max, &number) || number < o->min)
			return false;
		*(uint64_t *)member = number;
		return true;
	case VALUE_TEXT:
		if (*text == '\0')
			return false;
		*(const char **)member = text;
		return true;
	case VALUE_QUOTED:
		return read_quoted(value, member);
	case VALUE_ROTATE:
		return read_rotate(text, o, spec);
	case VALUE_U32:
	case VALUE_U64:
		break;
	}
	if (!read_number(&text, &number) || *text != '\0' || number < o->min || number > o->max)
		return false;
	if (o->kind == VALUE_U32)
		*(uint32_t *)member = (uint32_t)number;
	else
		*(uint64_t *)member = number;
	return true;
}

/* ---- options ---- */

static int unknown_option(const char *name, const struct scheme *scheme, struct errtext *e)
{
	if (LISTED(name, later_options))
		fail(e, ERR_USAGE, "option \"%s\" is not supported by this version", name);
	else
		fail(e, ERR_USAGE, "%s has no option \"%s\"", scheme->name, name);
	const char *before = ", it takes ";
	for (unsigned i = 0; i < URL_OPTION_COUNT; i++) {
		if (scheme->options & URL_HAS(i)) {
			errtext_add(e, "%s%s", before, options[i].name);
			before = ", ";
		}
	}
	return ERR_USAGE;
}

/* kafka.NAME=VALUE: what it means is the library's to say. */
static int read_property(const char *name, char *value, struct errtext *e, struct url_spec *spec)
{
	const char *text;
	for (unsigned i = 0; i < spec->properties_count; i++)
		if (strcmp(spec->properties[i].name, name) == 0)
			return fail(e, ERR_USAGE, "kafka.%s is given twice", name);
	if (spec->properties_count == URL_PROPERTIES_MAX)
		return fail(e, ERR_USAGE, "more than %d properties", URL_PROPERTIES_MAX);
	if (!read_quoted(value, &text))
		return fail(e, ERR_USAGE, "kafka.%s wants a value, with %%25 for %% and %%26 for &",
			    name);
	spec->properties[spec->properties_count++] = (struct url_property){name, text};
	return 0;
}

/* One "name=value"; `pair` is cut at the '='. */
static int read_option(char *pair, struct errtext *e, struct url_spec *spec)
{
	char *value = strchr(pair, '=');
	if (value == NULL)
		return fail(e, ERR_USAGE, "option \"%s\" has no value, write name=value", pair);
	*value++ = '\0';
	if ((spec->scheme->options & URL_HAS(URL_KAFKA)) && strncmp(pair, "kafka.", 6) == 0)
		return read_property(pair + 6, value, e, spec);
	for (unsigned i = 0; i < URL_OPTION_COUNT; i++) {
		const struct option *o = &options[i];
		if (strcmp(pair, o->name) != 0 || !(spec->scheme->options & URL_HAS(i)))
			continue;
		if (spec->given & URL_HAS(i))
			return fail(e, ERR_USAGE, "option \"%s\" is given twice", pair);
		spec->given |= URL_HAS(i);
		if (!read_value(value, o, spec))
			return fail(e, ERR_USAGE, "%s=%s is wrong, %s wants %s", pair, value, pair,
				    o->wants);
		return 0;
	}
	return unknown_option(pair, spec->scheme, e);
}

/* The next "name=value" of *rest, which moves on; NULL: none is left. An & with a blank beside it
 * is part of a value. */
static char *next_pair(char **rest)
{
	char *pair = *rest;
	if (pair == NULL)
		return NULL;
	char *end = pair;
	while ((end = strchr(end, '&')) != NULL &&
	       (end[1] == ' ' || (end != pair && end[-1] == ' ')))
		end++;
	if (end != NULL)
		*end++ = '\0';
	*rest = end;
	return pair;
}

static bool is_option(const char *pair, size_t n, const struct scheme *scheme)
{
	if (pair[n] != '=')
		return false;
	if ((scheme->options & URL_HAS(URL_KAFKA)) && strncmp(pair, "kafka.", 6) == 0)
		return true;
	for (unsigned i = 0; i < URL_OPTION_COUNT; i++)
		if ((scheme->options & URL_HAS(i)) && strlen(options[i].name) == n &&
		    memcmp(options[i].name, pair, n) == 0)
			return true;
	return false;
}

/* Or one that is misspelt: passwords are properties of these. */
static bool may_be_secret(const char *pair, size_t n)
{
	return secret_option(pair, n) || strncmp(pair, "kafka.sasl.", 11) == 0 ||
	       strncmp(pair, "kafka.ssl.", 10) == 0;
}

/* What is no option behind a secret is the rest of it, and not shown. */
static int read_options(char *query, struct errtext *e, struct url_spec *spec)
{
	int err = 0;
	bool after_secret = false;
	for (char *pair = next_pair(&query); pair != NULL; pair = next_pair(&query)) {
		const size_t n = strcspn(pair, "=");
		const bool secret = may_be_secret(pair, n);
		if (*pair == '\0')
			continue;
		if (after_secret && !is_option(pair, n, spec->scheme))
			err = fail(e, ERR_USAGE,
				   "what follows the & behind a secret, or what may be one, is "
				   "no option; an & that belongs to a value is written %%26");
		else if (read_option(pair, e, spec) != 0)
			err = ERR_USAGE;
		after_secret |= secret;
	}
	return err;
}

/* ---- addresses ---- */

static bool port_is_right(const char *port)
{
	uint64_t v;
	return read_number(&port, &v) && *port == '\0' && v >= 1 && v <= 65535;
}

static bool is_ip6(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET6, text, &address) == 1;
}

/* An IPv6 host without brackets. What follows its last colon is a port if one may stand there. */
static int unbracketed(char *host, const char *name, struct errtext *e)
{
	char *last = strrchr(host, ':');
	*last = '\0';
	const bool has_port = is_ip6(host) && port_is_right(last + 1);
	if (!has_port)
		*last = ':';
	return fail(e, ERR_USAGE, "an IPv6 host stands in brackets: %s://[%s]%s%s", name, host,
		    has_port ? ":" : "", has_port ? last + 1 : "");
}

/* "//host", "//host:port" or "//[v6]:port". */
static int read_host(char *rest, struct errtext *e, struct url_spec *spec)
{
	const char *name = spec->scheme->name;
	if (strncmp(rest, "//", 2) != 0)
		return fail(e, ERR_USAGE, "%s wants %s://host:port", name, name);
	char *host = rest + 2;
	char *port;
	if (*host == '[') {
		char *end = strchr(++host, ']');
		if (end == NULL)
			return fail(e, ERR_USAGE, "the bracket around the IPv6 host is not closed");
		*end = '\0';
		port = end + 1;
		if (*port != '\0' && *port != ':')
			return fail(e, ERR_USAGE, "after [%s] comes :port, not \"%s\"", host, port);
	} else {
		port = strchr(host, ':');
		if (port != NULL && strchr(port + 1, ':') != NULL)
			return unbracketed(host, name, e);
	}
	if (port != NULL && *port == ':') {
		*port++ = '\0';
		if (!port_is_right(port))
			return fail(e, ERR_USAGE, "port \"%s\" is wrong, it is 1 to 65535", port);
		spec->port = port;
	}
	if (spec->port == NULL)
		return fail(e, ERR_USAGE, "no port, %s wants %s://host:port", name, name);
	if (*host == '\0')
		return fail(e, ERR_USAGE, "no host, %s wants %s://host:port", name, name);
	spec->host = host;
	return 0;
}

/* One of "host", "host:port", "[v6]:port" between commas. */
static bool broker_is_right(char *broker)
{
	char *port = broker;
	if (*broker == '[') {
		port = strchr(broker, ']');
		if (port == NULL)
			return false;
		port++;
		if (*port != '\0' && *port != ':')
			return false;
	}
	const char *colon = strchr(port, ':');
	return *broker != '\0' && colon != broker && (colon == NULL || port_is_right(colon + 1));
}

static bool brokers_are_right(const char *brokers)
{
	char *list = strdup(brokers);
	char *rest = list;
	bool right = list != NULL;
	for (char *one = strsep(&rest, ","); right && one != NULL; one = strsep(&rest, ","))
		right = broker_is_right(one);
	free(list);
	return right;
}

/* Names that a broker takes. */
static bool topic_is_right(const char *topic)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t n = strlen(topic);
	return n >= 1 && n <= TOPIC_MAX && strspn(topic, allowed) == n && strcmp(topic, ".") != 0 &&
	       strcmp(topic, "..") != 0;
}

/* "//broker,broker/topic" */
static int read_brokers(char *rest, struct errtext *e, struct url_spec *spec)
{
	const char *name = spec->scheme->name;
	char *topic = strncmp(rest, "//", 2) == 0 ? strchr(rest + 2, '/') : NULL;
	if (topic == NULL)
		return fail(e, ERR_USAGE, "%s wants %s://host:port,host:port/topic", name, name);
	*topic++ = '\0';
	int err = 0;
	if (!brokers_are_right(rest + 2))
		err = fail(e, ERR_USAGE,
			   "brokers \"%s\" are wrong, write host:port with commas between and IPv6 "
			   "addresses in brackets",
			   rest + 2);
	if (!topic_is_right(topic))
		err = fail(e, ERR_USAGE,
			   "topic \"%s\" is wrong, it wants 1 to %d letters, digits, dots, "
			   "underscores and hyphens",
			   topic, TOPIC_MAX);
	spec->host = rest + 2;
	spec->topic = topic;
	return err;
}

/* "//" begins a host, and a file has none. */
static int host_of_file(const char *rest, const char *name, struct errtext *e)
{
	if (rest[2] == '/')
		return fail(e, ERR_USAGE, "%s: writes a file, write %s:%s", name, name,
			    rest + strspn(rest, "/") - 1);
	const char *before = "a host is for ";
	fail(e, ERR_USAGE, "%s: writes a file; ", name);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (schemes[i].address == URL_HOST) {
			errtext_add(e, "%s%s", before, schemes[i].name);
			before = ", ";
		}
	}
	return ERR_USAGE;
}

static int read_path(const char *rest, struct errtext *e, struct url_spec *spec)
{
	const char *name = spec->scheme->name;
	if (*rest == '\0')
		return fail(e, ERR_USAGE, "no path, %s wants %s:PATH or %s:-", name, name, name);
	if (strncmp(rest, "//", 2) == 0)
		return host_of_file(rest, name, e);
	spec->path = rest;
	return 0;
}

static int read_address(char *rest, struct errtext *e, struct url_spec *spec)
{
	switch (spec->scheme->address) {
	case URL_HOST:
		return read_host(rest, e, spec);
	case URL_BROKERS:
		return read_brokers(rest, e, spec);
	case URL_PATH:
		return read_path(rest, e, spec);
	case URL_NOTHING:
		if (*rest != '\0')
			return fail(e, ERR_USAGE, "%s: takes no address", spec->scheme->name);
		return 0;
	}
	return ERR_USAGE;
}

static int find_scheme(const char *name, struct errtext *e, const struct scheme **ret_scheme)
{
	const size_t n = sizeof(schemes) / sizeof(schemes[0]);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, schemes[i].name) == 0) {
			*ret_scheme = &schemes[i];
			return 0;
		}
	}
	fail(e, ERR_USAGE, "there is no output \"%s\"", name);
	for (size_t i = 0; i < n; i++)
		errtext_add(e, "%s%s", i == 0 ? "; outputs are " : ", ", schemes[i].name);
	return ERR_USAGE;
}

static void take_defaults(struct url_spec *spec)
{
	const struct scheme *scheme = spec->scheme;
	spec->biflow = scheme->biflow;
	spec->sample = 1;
	spec->host = spec->path = "";
	spec->port = scheme->port;
	spec->template_refresh_s = scheme->template_refresh_s;
	spec->mtu = scheme->mtu;
	spec->rate = scheme->rate;
	spec->queue_bytes = scheme->mtu != 0 ? QUEUE_UDP : QUEUE_DEFAULT;
	spec->resend_bytes = RESEND_DEFAULT;
	spec->connect_wait_s = CONNECT_WAIT_DEFAULT;
	spec->spool_bytes = SPOOL_SIZE_DEFAULT;
	spec->spool_rate = SPOOL_RATE_DEFAULT;
	spec->verify = true;
	spec->acks = "all";
	spec->compression = "none";
	spec->reconnect_s = RECONNECT_DEFAULT;
	spec->facility = FACILITY_DEFAULT;
	spec->severity = SEVERITY_DEFAULT;
}

static int parse(char *text, struct errtext *e, struct url_spec *spec)
{
	char *rest = strchr(text, ':');
	if (rest == NULL)
		return fail(e, ERR_USAGE, "no scheme; an output is like json:PATH or ipfix://host");
	*rest++ = '\0';
	int err = find_scheme(text, e, &spec->scheme);
	if (err != 0)
		return err;
	take_defaults(spec);
	char *query = strchr(rest, '?');
	if (query != NULL)
		*query++ = '\0';
	err = read_address(rest, e, spec);
	if (query != NULL && read_options(query, e, spec) != 0)
		err = ERR_USAGE;
	if (spec->rotate_s + spec->rotate_bytes != 0 && strcmp(spec->path, "-") == 0)
		err = fail(e, ERR_USAGE, "standard output cannot rotate, give a path");
	return err;
}

int url_parse(const char *url, struct errtext *e, struct url_spec *ret_spec)
{
	*ret_spec = (struct url_spec){.text = strdup(url)};
	return ret_spec->text != NULL ? parse(ret_spec->text, e, ret_spec) : ERR_NOMEM;
}

void url_spec_fini(struct url_spec *spec)
{
	free(spec->text);
	spec->text = NULL;
}

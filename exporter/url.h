/*
 * Output URLs: the schemes, the options each takes, and what a URL says once it is read. Start-up
 * only, main thread.
 */
#ifndef WEIR_EXPORTER_URL_H
#define WEIR_EXPORTER_URL_H

#include <stdbool.h>
#include <stdint.h>

struct errtext;
struct format_ops;
struct transport_ops;

enum url_option {
	URL_BIFLOW,
	URL_FILTER,
	URL_SAMPLE,
	URL_FIELDS,
	URL_TEMPLATE_REFRESH,
	URL_TEMPLATE_REFRESH_PACKETS,
	URL_MTU,
	URL_RATE,
	URL_DOMAIN,
	URL_NAMES,
	URL_ROTATE,
	URL_QUEUE,
	URL_RESEND,
	URL_CONNECT_WAIT,
	URL_SPOOL,
	URL_SPOOL_SIZE,
	URL_SPOOL_RATE,
	URL_CA,
	URL_CERT,
	URL_KEY,
	URL_PEER_NAME,
	URL_VERIFY,
	URL_MIN_VERSION,
	URL_SOURCE,
	URL_DSCP,
	URL_RECONNECT,
	URL_FACILITY,
	URL_SEVERITY,
	URL_HOSTNAME,
	URL_BOM,
	URL_FORMAT,
	URL_ACKS,
	URL_COMPRESSION,
	URL_KAFKA, /* kafka.PROPERTY */
	URL_OPTION_COUNT
};

#define URL_HAS(option) (UINT64_C(1) << (option))

enum url_address {
	URL_NOTHING, /* null: */
	URL_PATH,    /* scheme:PATH */
	URL_HOST,    /* scheme://host:port */
	URL_BROKERS, /* scheme://host:port,host:port/topic */
};

enum url_names {
	NAMES_IANA,
	NAMES_ECS,
};

/* What a Kafka message carries. */
enum url_format {
	FORMAT_JSON,
	FORMAT_CBOR,
};

/* A property of librdkafka. */
struct url_property {
	const char *name;
	const char *value;
};

#define URL_PROPERTIES_MAX 64

enum url_tls_version {
	TLS_1_2,
	TLS_1_3,
};

/* A kind of output: one row of the table in url.c. */
struct scheme {
	const char *name;
	const struct format_ops *format;
	const struct transport_ops *transport;
	enum url_address address;
	const char *port; /* default port; NULL: there is none, it has to be given */
	uint64_t options; /* URL_HAS of each option it takes */
	/* the defaults */
	bool biflow;
	uint32_t template_refresh_s; /* 0: once a session */
	uint32_t mtu;
	uint64_t rate;
};

/* A URL, read. Strings belong to the spec. */
struct url_spec {
	const struct scheme *scheme;
	char *text;	  /* what the strings below point into */
	const char *host; /* without brackets; "" none */
	const char *port;
	const char *path; /* "-": standard output; "" none */
	uint64_t given;	  /* URL_HAS of each option that was there */
	bool biflow;
	const char *filter; /* NULL: every record */
	uint32_t sample;    /* one flow in so many; 1: every flow */
	const char *fields; /* NULL: the default list */
	uint32_t template_refresh_s;
	uint32_t template_refresh_packets; /* messages; 0: by time alone */
	uint32_t mtu;  /* bytes of an IP packet */
	uint64_t rate; /* records a second, 0 unlimited */
	uint32_t domain;
	uint32_t names; /* enum url_names */
	/* sessions */
	uint64_t queue_bytes;	 /* of memory for records not sent */
	uint64_t resend_bytes;	 /* sent last, kept to be sent again */
	uint32_t connect_wait_s; /* how long a replay waits for a collector that is not there */
	const char *spool;	 /* directory; NULL: none */
	uint64_t spool_bytes;
	uint64_t spool_rate; /* records a second from the spool, 0 unlimited */
	/* TLS, DTLS: paths, NULL when not given */
	const char *ca;
	const char *cert;
	const char *key;
	const char *peer_name; /* NULL: the host */
	bool verify;
	uint32_t min_version; /* enum url_tls_version */
	uint32_t reconnect_s; /* DTLS: a new session in place of the old one; 0: never */
	/* syslog, RFC 5424 §6 */
	uint32_t facility;
	uint32_t severity;
	const char *hostname; /* NULL: the machine's */
	bool bom;
	/* Kafka; `host` holds the brokers, commas between them */
	const char *topic;
	uint32_t format;  /* enum url_format */
	const char *acks; /* words of librdkafka */
	const char *compression;
	unsigned properties_count;
	struct url_property properties[URL_PROPERTIES_MAX];
	/* sockets */
	const char *source;    /* address to send from; NULL: the system's choice */
	uint32_t dscp;	       /* 0 to 63 */
	uint64_t rotate_s;     /* 0: not by time */
	uint64_t rotate_bytes; /* 0: not by size */
};

/* Reads a URL. ERR_USAGE with every reason in `e`, and what was right in the spec (scheme NULL: not
 * even that); ERR_NOMEM. In any case url_spec_fini is due. */
int url_parse(const char *url, struct errtext *e, struct url_spec *ret_spec);
void url_spec_fini(struct url_spec *spec);

#endif

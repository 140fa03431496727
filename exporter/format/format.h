/*
 * Formats behind one operations table: from records to bytes. An encoder writes into memory that
 * its transport lends it. Export thread only, after open.
 */
#ifndef WEIR_EXPORTER_FORMAT_H
#define WEIR_EXPORTER_FORMAT_H

#include <stdint.h>

#include "../fail.h"
#include "../output_counters.h"
#include "../transport/transport.h"
#include "../url.h"
#include "exporter.h"
#include "field.h"

/* Packets so far, summed over the workers' last ticks. */
struct export_books {
	uint64_t observed; /* by the sampler: without the copies that went before */
	uint64_t selected;
	uint64_t dropped;
	uint64_t malformed;
	uint64_t non_ip;
	uint64_t metered;
};

/* What an encoder is made from. All of it outlives the encoder. */
struct encoder_conf {
	const struct exporter_conf *run;
	const struct url_spec *spec;
	const struct export_books *books;
	struct output_counters *counters;
	struct transport *transport; /* NULL: only see whether the options are right */
	size_t max_message;	     /* bytes of a message that the transport carries */
};

/* "Never" and "at once" for due_ns. */
#define DUE_NEVER INT64_MAX
#define DUE_NOW	  INT64_MIN

/* The part all encoders share; first member of each. */
struct encoder {
	const struct format_ops *ops;
	struct transport *transport;
	struct output_counters *counters;
	int64_t due_ns; /* clock at which `advance` has something to do */
};

struct format_ops {
	const char *name;

	/* Reads the options, compiles the field list. 0, ERR_USAGE with the reason in `e`,
	 * ERR_NOMEM. */
	int (*open)(const struct encoder_conf *conf, struct errtext *e,
		    struct encoder **ret_encoder);

	/* Would it put this element on a record? */
	bool (*wants)(const struct encoder *enc, struct field_ref ref);

	/* A session or a file begins: headers, templates. */
	void (*begin)(struct encoder *enc, struct pkt_time now);

	/* One record, as the policy made it. */
	void (*record)(struct encoder *enc, const struct flow_record *r, struct pkt_time now);

	/* The same of the record as it is seen from the other end, in one-way outputs. NULL: it is
	 * turned before it comes to `record`. */
	void (*record_turned)(struct encoder *enc, const struct flow_record *r,
			      struct pkt_time now);

	/* The clock has passed due_ns, or was set back: refresh templates, send what waits. */
	void (*advance)(struct encoder *enc, struct pkt_time now);

	/* Live: the export thread is about to sleep. Messages that are complete go to the
	 * transport. NULL: they always do at once. */
	void (*push)(struct encoder *enc, struct pkt_time now);

	/* The session or file ends: hands everything to the transport. `last`: no other follows. */
	void (*end)(struct encoder *enc, struct pkt_time now, bool last);

	/* The session broke: forgets what is half built. NULL where nothing is kept. */
	void (*abandon)(struct encoder *enc);

	/* NULL is fine. */
	void (*close)(struct encoder *enc);

	bool split_only; /* NetFlow: biflow records do not exist */
	bool turns;	 /* IPFIX: a record whose initiator was not heard is turned */
};

extern const struct format_ops netflow5_format;
extern const struct format_ops netflow9_format;
extern const struct format_ops ipfix_format;
extern const struct format_ops ipfix_file_format;
extern const struct format_ops json_format;
extern const struct format_ops csv_format;
extern const struct format_ops cbor_format;
extern const struct format_ops table_format;
extern const struct format_ops syslog_format;	     /* a message a datagram */
extern const struct format_ops syslog_stream_format; /* with its length before each */
extern const struct format_ops kafka_format;
extern const struct format_ops null_format;

#endif

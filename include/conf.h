/*
 * The configuration: struct conf, filled from defaults, a file and the command line by way of
 * options.def. Text in, canonical text out (`--print-config`), which parses again to itself.
 */
#ifndef WEIR_CONF_H
#define WEIR_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "exporter.h"
#include "log.h"

enum key_flag {
	KEY_PORTS = 1 << 0,
	KEY_TOS = 1 << 1,
	KEY_INTERFACE = 1 << 2,
	KEY_VLAN = 1 << 3,
	KEY_MAC = 1 << 4,
	KEY_DEFAULT = KEY_PORTS | KEY_TOS | KEY_INTERFACE
};

enum decap_flag {
	DECAP_ERSPAN = 1 << 0,
	DECAP_GRE = 1 << 1,
	DECAP_VXLAN = 1 << 2,
	DECAP_GENEVE = 1 << 3,
	DECAP_IPIP = 1 << 4,
	DECAP_GTPU = 1 << 5,
	DECAP_TZSP = 1 << 6,
	DECAP_L2TP = 1 << 7,
	DECAP_TEREDO = 1 << 8
};

/* What identical packets may differ in (dedup-ignore). */
enum dedup_ignore {
	DEDUP_IGNORE_TTL = 1 << 0,     /* TTL or hop limit, and the header checksum with it */
	DEDUP_IGNORE_CHECKSUM = 1 << 1 /* IPv4's header checksum alone */
};

enum stats_format {
	STATS_DEFAULT, /* text on a terminal, else none */
	STATS_TEXT,
	STATS_JSON,
	STATS_NONE
};

/* A list of strings the configuration owns. */
struct conf_list {
	char **item;
	unsigned count;
};

struct conf_sample {
	enum sampling_mode mode;
	uint32_t n;
};

/* CPUs for workers: worker i has number i, from the front again past the end. */
#define CONF_CPUS_MAX 64
struct conf_cpus {
	uint16_t cpu[CONF_CPUS_MAX];
	unsigned count; /* 0: wherever the system puts them */
};

/* What is to be done, besides running. */
enum conf_action {
	CONF_RUN,
	CONF_CHECK,        /* --check */
	CONF_PRINT,        /* --print-config */
	CONF_DOCTOR,       /* --doctor */
	CONF_HELP,         /* --help */
	CONF_VERSION,      /* --version */
	CONF_LIST_FIELDS   /* --list-fields */
};

struct conf {
	enum conf_action action;
	char *file; /* given with -c, or NULL */
	struct conf_list doctor; /* what --doctor looks at */
	struct conf_list reads;
	struct conf_list inputs;
	struct conf_list outputs;
	char *filter;
	struct conf_sample sample; /* mode SAMPLING_NONE, n 1 by default */
	uint64_t rate_cap;         /* packets a second, 0 = none */
	int64_t idle_timeout_ns;
	int64_t active_timeout_ns;
	int64_t tcp_linger_ns;
	uint32_t key_flags;        /* enum key_flag */
	uint32_t decap_flags;      /* enum decap_flag */
	uint8_t tos_mask;
	int64_t dedup_ns;          /* window in which a packet's copies are left out; 0 = off */
	uint32_t dedup_ignore;     /* enum dedup_ignore */
	bool meter_own;            /* live: packets of our own export streams too */
	struct conf_list local_networks; /* each one as net_parse takes it */
	uint64_t flows;
	uint64_t memory;           /* bytes; 0 = `flows` decides */
	uint64_t workers;          /* 0 = choose */
	struct conf_cpus cpus;
	uint64_t ring_size;        /* bytes, each live worker */
	uint64_t seed;
	double speed;
	enum stats_format stats;
	enum log_level log_level;
};

/* Defaults. */
void conf_init(struct conf *conf);
void conf_fini(struct conf *conf);

/* Command line and, with -c, the file under it: options given beside it win, a list replaces the
 * file's list, and -r or -i replaces both of the file's. Every fault is written to `err` as one
 * clear line (file, line, key, value, what would be right; "command line" where no file), all of
 * them; then ERR_USAGE. Includes what only the whole shows: no input (only when running), -r beside
 * -i, v5 with N > 16383, a filter that does not compile, a URL that cannot be parsed
 * (exporter_check_output). With action HELP, VERSION or LIST_FIELDS nothing else is checked. With
 * CONF_RUN and no output, the default one is filled in. ERR_NOMEM when memory ran out. `conf` was
 * given to conf_init; whatever is returned, conf_fini frees it. Main thread only (getopt). */
int conf_from_args(struct conf *conf, int argc, char **argv, FILE *err);

/* Canonical text of the configuration: every option with its value, commented where unset. It
 * parses again to itself. */
void conf_print(const struct conf *conf, FILE *out);

/* `--help`, made from options.def; fits 80 columns and one screen. */
void conf_help(FILE *out);

#endif

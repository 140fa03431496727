/* The books, as text for people and as JSON for programs (weir(8)). */
#include <stdio.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "probe.h"

void probe_counters(const struct probe *p, struct counters *ret_sum, uint64_t *ret_held)
{
	*ret_sum = (struct counters){.v = {0}};
	*ret_held = 0;
	for (unsigned i = 0; i < p->workers; i++) {
		struct worker_view view;
		worker_view(p->worker[i], &view);
		counters_add(ret_sum, &view.counters);
		*ret_held += view.held;
	}
}

static double seconds_since(struct mono_time start)
{
	return (double)(mono_now().ns - start.ns) / 1e9;
}

static bool is_balanced(const struct counters *c)
{
	return counters_balance(c, c->v[COUNTER_RECORD_PACKETS], 0);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void json_output(struct json *j, const struct output_stats *s)
{
	json_object_begin(j, NULL);
	json_str(j, "url", s->url);
	json_uint(j, "records_in", s->records_in);
	json_uint(j, "recovered", s->recovered);
	json_uint(j, "records", s->records);
	json_uint(j, "unsampled", s->unsampled);
	json_uint(j, "filtered", s->filtered);
	json_uint(j, "messages", s->messages);
	json_uint(j, "bytes", s->bytes);
	json_uint(j, "records_dropped", s->records_dropped);
	json_object_begin(j, "dropped_by_reason");
	for (unsigned i = 0; i < sizeof(s->dropped) / sizeof(s->dropped[0]); i++)
		if (s->dropped[i].reason != NULL)
			json_uint(j, s->dropped[i].reason, s->dropped[i].records);
	json_object_end(j);
	json_uint(j, "queued", s->queued);
	json_uint(j, "unconfirmed", s->unconfirmed);
	json_uint(j, "spooled", s->spooled);
	json_uint(j, "spooled_bytes", s->spooled_bytes);
	json_double(j, "lag_seconds", (double)s->lag_ns / 1e9);
	json_uint(j, "reconnects", s->reconnects);
	json_bool(j, "connected", s->connected);
	json_object_end(j);
}

static void json_input(struct json *j, const struct port *port)
{
	const struct capture_stats *s = &port->stats;
	json_object_begin(j, NULL);
	json_str(j, "input", port->spec);
	json_str(j, "interface", port->name);
	json_uint(j, "index", port->index);
	json_uint(j, "workers", port->input->team.workers);
	json_uint(j, "received", s->received);
	json_uint(j, "filtered", s->filtered);
	json_uint(j, "unsampled", s->unsampled);
	json_uint(j, "merged", s->merged);
	json_uint(j, "dropped", capture_dropped(s));
	json_uint(j, "dropped_ring", s->drops[CAPTURE_DROP_RING]);
	json_uint(j, "dropped_super", s->drops[CAPTURE_DROP_SUPER]);
	json_uint(j, "dropped_kernel", s->drops[CAPTURE_DROP_KERNEL]);
	json_uint(j, "dropped_nic", s->drops[CAPTURE_DROP_NIC]);
	json_uint(j, "interface_dropped", port->interface_dropped);
	json_bool(j, "gone", s->gone);
	json_object_end(j);
}

static void print_json(const struct probe *p, const struct counters *c)
{
	struct json j;
	json_init(&j);
	json_object_begin(&j, NULL);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		json_uint(&j, counter_info(i)->name, c->v[i]);
	json_bool(&j, "balanced", is_balanced(c));
	json_double(&j, "seconds", seconds_since(p->start));
	json_array_begin(&j, "inputs");
	for (unsigned i = 0; i < p->ports_count; i++)
		json_input(&j, &p->ports[i]);
	json_array_end(&j);
	json_array_begin(&j, "outputs");
	for (unsigned i = 0; i < exporter_outputs(p->exporter); i++) {
		struct output_stats s;
		exporter_output_stats(p->exporter, i, &s);
		json_output(&j, &s);
	}
	json_array_end(&j);
	json_object_end(&j);
	const char *text = json_text(&j);
	fprintf(stderr, "%s\n", text != NULL ? text : "{}");
	json_fini(&j);
}

/* ---- text --------------------------------------------------------------------------------- */

static void print_row(const struct counters *c, unsigned id, int depth)
{
	const struct counter_info *info = counter_info(id);
	fprintf(stderr, "%*s%-*s %14llu  %s\n", depth * 2 + 2, "", 24 - depth * 2, info->name,
		(unsigned long long)c->v[id], info->help);
}

/* A counter and, below it, the finer reasons that are not zero. */
static void print_counter(const struct counters *c, unsigned id)
{
	print_row(c, id, 0);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		if (counter_info(i)->parent == (int)id && c->v[i] != 0)
			print_row(c, i, 1);
}

/* What is not zero, beyond what every output has. */
static void print_output(const struct probe *p, unsigned index)
{
	struct output_stats s;
	exporter_output_stats(p->exporter, index, &s);
	const struct {
		uint64_t value;
		const char *text;
	} some[] = {
		{s.unsampled, "not sampled"},
		{s.filtered, "filtered out"},
		{s.recovered, "found in the spool"},
		{s.queued, "queued"},
		{s.unconfirmed, "not confirmed"},
		{s.spooled, "in the spool"},
		{s.spooled_bytes, "bytes of spool"},
		{s.reconnects, "reconnects"},
	};
	fprintf(stderr, "output %s: %llu in, %llu records, %llu messages, %llu bytes, %llu dropped",
		s.url, (unsigned long long)s.records_in, (unsigned long long)s.records,
		(unsigned long long)s.messages, (unsigned long long)s.bytes,
		(unsigned long long)s.records_dropped);
	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		if (some[i].value != 0)
			fprintf(stderr, ", %llu %s", (unsigned long long)some[i].value,
				some[i].text);
	if (s.lag_ns != 0)
		fprintf(stderr, ", %.1f s behind", (double)s.lag_ns / 1e9);
	fputc('\n', stderr);
	for (unsigned i = 0; i < sizeof(s.dropped) / sizeof(s.dropped[0]); i++)
		if (s.dropped[i].reason != NULL)
			fprintf(stderr, "  dropped, %-14s %14llu\n", s.dropped[i].reason,
				(unsigned long long)s.dropped[i].records);
}

static void print_input(const struct port *port)
{
	const struct capture_stats *s = &port->stats;
	fprintf(stderr,
		"input %s: %llu received, %llu dropped: %llu by the ring, %llu by the kernel, %llu by "
		"the NIC\n",
		port->spec, (unsigned long long)s->received, (unsigned long long)capture_dropped(s),
		(unsigned long long)s->drops[CAPTURE_DROP_RING],
		(unsigned long long)s->drops[CAPTURE_DROP_KERNEL],
		(unsigned long long)s->drops[CAPTURE_DROP_NIC]);
	if (s->merged != 0)
		fprintf(stderr, "  %llu super-packets are counted as one packet each\n",
			(unsigned long long)s->merged);
	if (s->drops[CAPTURE_DROP_SUPER] != 0)
		fprintf(stderr, "  %llu dropped super-packets are unknown to a ring\n",
			(unsigned long long)s->drops[CAPTURE_DROP_SUPER]);
}

static void print_text(const struct probe *p, const struct counters *c)
{
	double seconds = seconds_since(p->start);
	fprintf(stderr, "books (%s), %.3f s, %.3f Mpackets/s\n",
		is_balanced(c) ? "balanced" : "NOT BALANCED", seconds,
		(double)c->v[COUNTER_OBSERVED] / seconds / 1e6);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		if (counter_info(i)->parent < 0 && (i <= COUNTER_DROPPED || c->v[i] != 0))
			print_counter(c, i);
	for (unsigned i = 0; i < p->ports_count; i++)
		print_input(&p->ports[i]);
	for (unsigned i = 0; i < exporter_outputs(p->exporter); i++)
		print_output(p, i);
}

/* ---- entry -------------------------------------------------------------------------------- */

void stats_print(const struct probe *p)
{
	enum stats_format format = p->conf->stats;
	struct counters c;
	uint64_t held;
	if (format == STATS_DEFAULT)
		format = isatty(STDERR_FILENO) ? STATS_TEXT : STATS_NONE;
	probe_counters(p, &c, &held);
	if (format != STATS_NONE && !is_balanced(&c))
		log_errorx("books", "the books do not balance: please report this");
	if (format == STATS_JSON)
		print_json(p, &c);
	else if (format == STATS_TEXT)
		print_text(p, &c);
}

static void log_input(const struct port *port)
{
	const struct capture_stats *s = &port->stats;
	log_info("books",
		 "input=%s received=%llu filtered=%llu unsampled=%llu merged=%llu ring=%llu "
		 "super=%llu kernel=%llu nic=%llu interface_dropped=%llu",
		 port->spec, (unsigned long long)s->received, (unsigned long long)s->filtered,
		 (unsigned long long)s->unsampled, (unsigned long long)s->merged,
		 (unsigned long long)s->drops[CAPTURE_DROP_RING],
		 (unsigned long long)s->drops[CAPTURE_DROP_SUPER],
		 (unsigned long long)s->drops[CAPTURE_DROP_KERNEL],
		 (unsigned long long)s->drops[CAPTURE_DROP_NIC],
		 (unsigned long long)port->interface_dropped);
}

static void log_output(const struct probe *p, unsigned index)
{
	struct output_stats s;
	exporter_output_stats(p->exporter, index, &s);
	log_info("books",
		 "output=%s in=%llu records=%llu messages=%llu bytes=%llu dropped=%llu queued=%llu "
		 "unconfirmed=%llu spooled=%llu spooled_bytes=%llu reconnects=%llu lag_s=%.3f "
		 "connected=%s",
		 s.url, (unsigned long long)s.records_in, (unsigned long long)s.records,
		 (unsigned long long)s.messages, (unsigned long long)s.bytes,
		 (unsigned long long)s.records_dropped, (unsigned long long)s.queued,
		 (unsigned long long)s.unconfirmed, (unsigned long long)s.spooled,
		 (unsigned long long)s.spooled_bytes, (unsigned long long)s.reconnects,
		 (double)s.lag_ns / 1e9, s.connected ? "yes" : "no");
}

void stats_log(const struct probe *p)
{
	struct counters c;
	uint64_t held;
	probe_counters(p, &c, &held);
	const uint64_t *v = c.v;
	log_info("books",
		 "observed=%llu own_export=%llu duplicate=%llu unsampled=%llu non_ip=%llu "
		 "malformed=%llu metered=%llu dropped=%llu held=%llu records=%llu",
		 (unsigned long long)v[COUNTER_OBSERVED], (unsigned long long)v[COUNTER_OWN_EXPORT],
		 (unsigned long long)v[COUNTER_DUPLICATE], (unsigned long long)v[COUNTER_UNSAMPLED],
		 (unsigned long long)v[COUNTER_NON_IP], (unsigned long long)v[COUNTER_MALFORMED],
		 (unsigned long long)v[COUNTER_METERED], (unsigned long long)v[COUNTER_DROPPED],
		 (unsigned long long)held, (unsigned long long)v[COUNTER_RECORDS]);
	for (unsigned i = 0; i < p->ports_count; i++)
		log_input(&p->ports[i]);
	for (unsigned i = 0; i < exporter_outputs(p->exporter); i++)
		log_output(p, i);
}

/*
 * Starting and stopping: a table of steps. Steps start in order; the stops run in reverse from the
 * last one that started. What a step starts it puts into struct probe, and stops from there.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "deal.h"
#include "err.h"
#include "flow/table.h"
#include "inputs.h"
#include "log.h"
#include "pin.h"
#include "netset.h"
#include "own.h"
#include "probe.h"

/* ---- signals ------------------------------------------------------------------------------ */

/* Blocked in every thread, read through a descriptor by the main one: no handler, no races. */
static int signals_start(struct probe *p)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	int err = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (err != 0)
		return -err;
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return p->signal_fd < 0 || p->done_fd < 0 ? -errno : 0;
}

static void signals_stop(struct probe *p)
{
	if (p->signal_fd >= 0)
		close(p->signal_fd);
	if (p->done_fd >= 0)
		close(p->done_fd);
}

/* ---- outputs ------------------------------------------------------------------------------ */

static int outputs_start(struct probe *p)
{
	const struct conf *c = p->conf;
	struct exporter_conf conf = {
		.outputs = (const char *const *)c->outputs.item,
		.outputs_count = c->outputs.count,
		.workers = inputs_workers(p),
		.replay = !p->live,
		.sampling = c->sample.mode,
		.sampling_n = c->sample.n,
		.seed = c->seed,
		.knows_egress = inputs_know_egress(p),
		.key_has_tos = c->tos_mask != 0 && c->key_flags & KEY_TOS,
		.ifaces = p->ifaces,
		.ifaces_count = p->ifaces_count,
	};
	char text[512];
	int err = p->live && !c->meter_own ? own_new(&p->own) : 0;
	if (err == 0 && c->local_networks.count > 0)
		err = netset_new(c->local_networks.item, c->local_networks.count, &p->local);
	if (err != 0)
		return err;
	conf.own = p->own;
	conf.local = p->local;
	err = exporter_new(&conf, text, sizeof(text), &p->exporter);
	if (err != 0)
		log_errorx("output", "%s", text);
	return err;
}

static void outputs_stop(struct probe *p)
{
	exporter_free(p->exporter);
	own_free(p->own);
	netset_free(p->local);
}

static int export_start(struct probe *p)
{
	return exporter_start(p->exporter);
}

static void export_stop(struct probe *p)
{
	int err = exporter_stop(p->exporter);
	if (p->error == 0)
		p->error = err;
}

/* The books are complete once the outputs are flushed, and gone when they are freed. */
static int books_start(struct probe *p)
{
	p->start = mono_now();
	return 0;
}

static void books_stop(struct probe *p)
{
	log_progress(NULL);
	stats_print(p);
}

/* ---- workers ------------------------------------------------------------------------------ */

static int secrets_make(struct probe *p)
{
	if (p->live) {
		int err = flow_secret_random(&p->secret);
		/* flow sampling is the same on every probe of one seed */
		flow_secret_from_seed(&p->sample_secret, ~p->conf->seed);
		return err;
	}
	flow_secret_from_seed(&p->secret, p->conf->seed);
	flow_secret_from_seed(&p->sample_secret, ~p->conf->seed);
	return 0;
}

static bool wants_macs(const struct probe *p)
{
	return exporter_wants(p->exporter, "sourceMacAddress") ||
	       exporter_wants(p->exporter, "destinationMacAddress");
}

static bool wants_egress(const struct probe *p)
{
	return inputs_know_egress(p) && exporter_wants(p->exporter, "egressInterface");
}

static uint64_t flows_per_worker(const struct probe *p, unsigned workers, bool keep_macs)
{
	const struct conf *c = p->conf;
	bool macs = keep_macs || c->key_flags & KEY_MAC;
	uint64_t each = flow_table_bytes_per_flow(macs, wants_egress(p));
	uint64_t flows = c->memory > 0 ? c->memory / each : c->flows;
	uint64_t share = (flows + workers - 1) / workers;
	return share < 64 ? 64 : share;
}

/* One worker of each input tells of what its ports lost. */
static const atomic_ullong *lost_outside(const struct probe *p, unsigned number)
{
	const struct live_input *input = inputs_of_worker(p, number);
	return number == input->first_worker ? &input->lost_outside : NULL;
}

static struct worker_conf worker_conf_of(struct probe *p, unsigned number, unsigned workers,
					 bool keep_macs)
{
	struct worker_conf conf = {
		.number = number,
		.workers = workers,
		.conf = p->conf,
		.specs = (const char *const *)p->conf->reads.item,
		.specs_count = p->conf->reads.count,
		.flows = flows_per_worker(p, workers, keep_macs),
		.keep_macs = keep_macs,
		.keep_egress = wants_egress(p),
		.secret = &p->secret,
		.sample_secret = &p->sample_secret,
		.own = p->own,
		.queue = exporter_queue(p->exporter, number),
		.opened = p->opened,
		.stop = &p->stop,
		.deal = p->deal,
		.done_fd = p->done_fd,
	};
	if (p->live) {
		conf.live = true;
		conf.specs = &inputs_of_worker(p, number)->spec;
		conf.specs_count = 1;
		conf.opened = &p->opened[number];
		conf.lost_outside = lost_outside(p, number);
	}
	return conf;
}

static int deal_make(struct probe *p, unsigned workers)
{
	const struct deal_conf conf = {
		.workers = workers,
		.conf = p->conf,
		.specs = (const char *const *)p->conf->reads.item,
		.specs_count = p->conf->reads.count,
		.secret = &p->secret,
		.stop = &p->stop,
	};
	return deal_new(&conf, &p->deal);
}

static int workers_make(struct probe *p)
{
	unsigned n = inputs_workers(p);
	int err = secrets_make(p);
	if (err != 0)
		return err;
	p->worker = calloc(n, sizeof(*p->worker));
	if (p->worker == NULL)
		return ERR_NOMEM;
	if (n > 1 && !p->live && (err = deal_make(p, n)) != 0)
		return err;
	bool keep_macs = wants_macs(p);
	cpu_set_t before;
	pin_remember(&before);
	for (unsigned i = 0; i < n && err == 0; i++) {
		struct worker_conf conf = worker_conf_of(p, i, n, keep_macs);
		pin_to_worker(&p->conf->cpus, i);
		err = worker_new(&conf, &p->worker[i]);
		if (err == 0)
			p->workers++;
	}
	pin_release(&before);
	if (err != 0)
		log_errorx("table", "no memory for the flow table: give a smaller --flows or --memory");
	return err;
}

static void workers_free(struct probe *p)
{
	for (unsigned i = 0; i < p->workers; i++)
		worker_free(p->worker[i]);
	free(p->worker);
	deal_free(p->deal);
}

/* From here on packets are taken: who starts a probe and then traffic waits for these lines. */
static void say_watching(const struct probe *p)
{
	for (unsigned i = 0; i < p->inputs_count; i++)
		log_info("capture", "watching input=%s workers=%u", p->inputs[i].spec,
			 p->inputs[i].team.workers);
}

static int workers_start(struct probe *p)
{
	for (unsigned i = 0; i < p->workers; i++) {
		int err = worker_start(p->worker[i]);
		if (err != 0) {
			log_errorx("worker", "cannot start a thread: %s", err_str(err));
			return err;
		}
	}
	say_watching(p);
	return 0;
}

static void workers_stop(struct probe *p)
{
	atomic_store(&p->stop, true);
	for (unsigned i = 0; i < p->workers; i++) {
		int err = worker_join(p->worker[i]);
		if (p->error == 0)
			p->error = err;
	}
	ports_sum(p);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* A live probe meters from its first packet, whatever the size of its table; clearing that for the
 * first time takes seconds at millions of flows, and is done beside it by whoever has nothing better
 * to do. A replay touches what it needs. */
static void *populate(void *arg)
{
	struct probe *p = arg;
	const struct sched_param none = {0};
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	for (unsigned i = 0; i < p->workers; i++) {
		pin_to_worker(&p->conf->cpus, i);
		worker_populate(p->worker[i]);
	}
	return NULL;
}

static int memory_start(struct probe *p)
{
	if (!p->live)
		return 0;
	int err = pthread_create(&p->populate, NULL, populate, p);
	p->populates = err == 0;
	return -err;
}

static void memory_stop(struct probe *p)
{
	atomic_store(&p->stop, true);
	if (p->populates)
		pthread_join(p->populate, NULL);
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct step {
	const char *name;
	int (*start)(struct probe *);
	void (*stop)(struct probe *);
} steps[] = {
	{"inputs", inputs_start, inputs_stop},   /* these two may wait, for a pipe or a name: */
	{"outputs", outputs_start, outputs_stop}, /* a signal still ends us */
	{"signals", signals_start, signals_stop},
	{"flow tables", workers_make, workers_free},
	{"books", books_start, books_stop},
	{"export thread", export_start, export_stop},
	{"live inputs", inputs_let_in, NULL},
	{"workers", workers_start, workers_stop},
	{"memory", memory_start, memory_stop},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

int probe_run(const struct conf *conf)
{
	struct probe p = {
		.conf = conf,
		.signal_fd = -1,
		.done_fd = -1,
		.live = conf->inputs.count > 0,
	};
	unsigned started = 0;
	signal(SIGPIPE, SIG_IGN);
	while (started < STEPS) {
		p.error = steps[started].start(&p);
		if (p.error != 0) {
			log_debug("startup", "%s: %s", steps[started].name, err_str(p.error));
			/* what a step had made before it failed */
			started++;
			break;
		}
		started++;
	}
	if (p.error == 0)
		probe_wait(&p);
	while (started-- > 0)
		if (steps[started].stop != NULL)
			steps[started].stop(&p);
	return p.error;
}

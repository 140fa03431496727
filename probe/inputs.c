/*
 * What the run reads: captures one after the other, or live inputs each of which a team of workers
 * shares. All are opened before any output is touched, so that a wrong name or a file that is no
 * capture is said first, and, live, before any worker runs, so that a team is complete before its
 * first packet. Main thread only.
 */
#include "inputs.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "err.h"
#include "log.h"
#include "pin.h"

/* ---- captures ------------------------------------------------------------------------------- */

/* What can be opened only once stays open; a plain file is opened again when its turn comes. */
static int open_file(struct probe *p, unsigned number)
{
	const char *spec = p->conf->reads.item[number];
	struct capture_conf conf = {
		.spec = spec,
		.filter = p->conf->filter,
		.stop = &p->stop,
	};
	struct capture_stats stats;
	struct capture *capture;
	struct stat st;
	int err = capture_open_said(&conf, &capture);
	if (err != 0)
		return err;
	capture_stats(capture, &stats);
	p->bytes_total += stats.bytes_total;
	if (strcmp(spec, "-") != 0 && stat(spec, &st) == 0 && S_ISREG(st.st_mode)) {
		capture_close(capture);
		return 0;
	}
	p->opened[number] = capture;
	p->pipes = true;
	return 0;
}

static int open_files(struct probe *p)
{
	int first = 0;
	p->opened_count = p->conf->reads.count;
	p->opened = calloc(p->opened_count, sizeof(*p->opened));
	if (p->opened == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < p->conf->reads.count; i++) {
		int err = open_file(p, i);
		if (first == 0)
			first = err;
	}
	return first;
}

/* ---- live ----------------------------------------------------------------------------------- */

/* How many workers each input has, and which. */
static int form_teams(struct probe *p)
{
	unsigned n = p->conf->inputs.count;
	p->inputs = calloc(n, sizeof(*p->inputs));
	if (p->inputs == NULL)
		return ERR_NOMEM;
	p->inputs_count = n;
	for (unsigned i = 0; i < n; i++) {
		struct live_input *input = &p->inputs[i];
		input->spec = p->conf->inputs.item[i];
		input->first_worker = p->opened_count;
		input->team.workers = capture_workers(input->spec, (unsigned)p->conf->workers);
		if (getrandom(&input->team.key, sizeof(input->team.key), 0) < 0)
			return -errno;
		if (p->conf->workers > input->team.workers)
			log_warnx("startup",
				  "workers=%u are of use to this input, no more: input=%s",
				  input->team.workers, input->spec);
		p->opened_count += input->team.workers;
	}
	p->opened = calloc(p->opened_count, sizeof(*p->opened));
	return p->opened != NULL ? 0 : ERR_NOMEM;
}

/* What the input may pick by itself: nothing where copies have to go first. */
static uint32_t random_n(const struct conf *c)
{
	return c->sample.mode == SAMPLING_RANDOM && c->dedup_ns == 0 ? c->sample.n : 0;
}

/* The handles of a team; the first fault is enough. */
static int open_team(struct probe *p, unsigned number)
{
	struct live_input *input = &p->inputs[number];
	struct capture_conf conf = {
		.spec = input->spec,
		.filter = p->conf->filter,
		.iface = (uint8_t)number,
		.live = true,
		.stop = &p->stop,
		.team = &input->team,
		.ring_size = p->conf->ring_size,
		.random_n = random_n(p->conf),
	};
	for (; conf.worker < input->team.workers; conf.worker++) {
		pin_to_worker(&p->conf->cpus, input->first_worker + conf.worker);
		int err = capture_open_said(&conf, &p->opened[input->first_worker + conf.worker]);
		if (err != 0)
			return err;
	}
	return 0;
}

bool inputs_know_egress(const struct probe *p)
{
	for (unsigned i = 0; i < p->inputs_count; i++)
		if (capture_knows_egress(p->inputs[i].spec))
			return true;
	return false;
}

static bool is_port(const struct probe *p, unsigned index)
{
	for (unsigned i = 0; i < p->ports_count; i++)
		if (p->ports[i].index == index)
			return true;
	return false;
}

/* A gateway's packets come and leave by any interface of the machine: all that are no ports. Their
 * names stay until the inputs stop. */
static void name_others(struct probe *p)
{
	for (const struct if_nameindex *one = p->all_ifaces; one->if_index != 0; one++)
		if (!is_port(p, one->if_index))
			p->ifaces[p->ifaces_count++] = (struct exporter_iface){
				.index = one->if_index,
				.name = one->if_name,
			};
}

/* For the options records that name interfaces and tell what was lost there. */
static int name_interfaces(struct probe *p)
{
	unsigned others = 0;
	p->all_ifaces = inputs_know_egress(p) ? if_nameindex() : NULL;
	while (p->all_ifaces != NULL && p->all_ifaces[others].if_index != 0)
		others++;
	p->ifaces = calloc(p->ports_count + others + 1, sizeof(*p->ifaces));
	if (p->ifaces == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < p->ports_count; i++) {
		const struct port *port = &p->ports[i];
		if (port->index != 0)
			p->ifaces[p->ifaces_count++] = (struct exporter_iface){
				.index = port->index,
				.name = port->name,
				.dropped = &port->dropped,
			};
	}
	if (p->all_ifaces != NULL)
		name_others(p);
	return 0;
}

static int open_live(struct probe *p)
{
	cpu_set_t before;
	int first = form_teams(p);
	if (first != 0)
		return first;
	pin_remember(&before);
	for (unsigned i = 0; i < p->inputs_count; i++) {
		int err = open_team(p, i);
		if (first == 0)
			first = err;
	}
	pin_release(&before);
	if (first == 0)
		first = ports_make(p);
	return first == 0 ? name_interfaces(p) : first;
}

/* ---- for startup ---------------------------------------------------------------------------- */

int inputs_start(struct probe *p)
{
	int err = pin_check(&p->conf->cpus);
	if (err != 0)
		return err;
	return p->live ? open_live(p) : open_files(p);
}

void inputs_stop(struct probe *p)
{
	for (unsigned i = 0; p->opened != NULL && i < p->opened_count; i++)
		capture_close(p->opened[i]);
	free(p->opened);
	free(p->ifaces);
	if (p->all_ifaces != NULL)
		if_freenameindex(p->all_ifaces);
	ports_free(p);
	free(p->inputs);
}

int inputs_let_in(struct probe *p)
{
	for (unsigned i = 0; p->live && i < p->opened_count; i++)
		capture_start(p->opened[i]);
	return 0;
}

unsigned inputs_workers(const struct probe *p)
{
	if (p->live)
		return p->opened_count;
	return p->conf->workers > 0 && !p->pipes ? (unsigned)p->conf->workers : 1;
}

const struct live_input *inputs_of_worker(const struct probe *p, unsigned worker)
{
	const struct live_input *input = p->inputs;
	while (worker >= input->first_worker + input->team.workers)
		input++;
	return input;
}

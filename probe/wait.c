/* What the main thread does while the others work: signals, the progress line, the end. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "probe.h"

/* A replay shows its progress after this long, this often. */
#define PROGRESS_AFTER_NS (2 * NS_PER_S)
#define PROGRESS_EVERY_MS 250

/* How often to look whether any output is still alive. */
#define LOOK_EVERY_MS 1000

/* How often to look at the ports of live inputs. */
#define PORTS_EVERY_NS (500 * NS_PER_MS)

/* A second SIGINT or SIGTERM leaves at once, with the status a shell expects of it. Not one that
 * comes with the first: timeout(1) signals a process and then its group. */
#define IMPATIENT_AFTER_NS (500 * NS_PER_MS)

static void handle_stop(struct probe *p, unsigned signal)
{
	if (!atomic_load(&p->stop)) {
		ports_look(p, true); /* the last time that the workers can tell of it */
		atomic_store(&p->stop, true);
		p->stopped = mono_now();
		log_info("probe", "stopping, what is held is exported signal=%u", signal);
	} else if (mono_now().ns - p->stopped.ns > IMPATIENT_AFTER_NS) {
		_exit(128 + (int)signal);
	}
}

static void handle_signals(struct probe *p)
{
	struct signalfd_siginfo info;
	while (read(p->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			stats_log(p);
		else
			handle_stop(p, info.ssi_signo);
	}
}

static void watch_ports(struct probe *p)
{
	if (mono_now().ns - p->ports_looked.ns < PORTS_EVERY_NS)
		return;
	p->ports_looked = mono_now();
	ports_look(p, false);
}

static uint64_t take_done(const struct probe *p)
{
	uint64_t n;
	return read(p->done_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void show_progress(const struct probe *p)
{
	struct counters c;
	struct worker_view view;
	uint64_t held, read_bytes;
	char text[120];
	double seconds = (double)(mono_now().ns - p->start.ns) / 1e9;
	probe_counters(p, &c, &held);
	worker_view(p->worker[0], &view);
	read_bytes = view.bytes_read;
	double packets = (double)c.v[COUNTER_OBSERVED];
	int n = 0;
	if (p->bytes_total > 0 && read_bytes <= p->bytes_total) {
		double part = (double)read_bytes / (double)p->bytes_total;
		n = snprintf(text, sizeof(text), "%3.0f %%  ", part * 100);
		if (part > 0)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "ETA %.0f s  ",
				      seconds / part - seconds);
	}
	snprintf(text + n, sizeof(text) - (size_t)n, "%.0f packets  %.2f Mpackets/s  %llu flows",
		 packets, packets / seconds / 1e6, (unsigned long long)held);
	log_progress(text);
}

void probe_wait(struct probe *p)
{
	struct pollfd fds[] = {
		{.fd = p->signal_fd, .events = POLLIN},
		{.fd = p->done_fd, .events = POLLIN},
		{.fd = exporter_done_fd(p->exporter), .events = POLLIN},
	};
	bool progress = !p->live && isatty(STDERR_FILENO);
	uint64_t done = 0;
	/* the exporter ends last: a signal must be heard while it still waits for a slow output */
	while (done < p->workers || !(fds[2].revents & POLLIN)) {
		poll(fds, 3, progress || p->live ? PROGRESS_EVERY_MS : LOOK_EVERY_MS);
		handle_signals(p);
		if (p->live)
			watch_ports(p);
		if (!p->live && exporter_dead(p->exporter) && !atomic_exchange(&p->stop, true))
			log_errorx("probe", "no output is left, the replay ends early");
		done += take_done(p);
		if (progress && mono_now().ns - p->start.ns > PROGRESS_AFTER_NS)
			show_progress(p);
	}
}

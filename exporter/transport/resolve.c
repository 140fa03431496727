/*
 * A request is shared by the export thread and the one that asks: the last to let go frees it. So
 * a name server that does not answer holds up nobody, not even the end of the process, though
 * getaddrinfo cannot be interrupted. libevent's own resolver was not taken: it reads resolv.conf
 * and hosts, but knows nothing of nsswitch.conf.
 */
#include "resolve.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
	_Atomic int users;
	int fd; /* eventfd: the answer is there */
	char *host;
	char *port;
	int socktype;
	/* the answer */
	int eai;
	struct addrinfo *list;
	/* the export thread's */
	struct event *event;
	resolve_done *done;
	void *arg;
};

static void let_go(struct resolve *r)
{
	if (atomic_fetch_sub(&r->users, 1) != 1)
		return;
	if (r->list != NULL)
		freeaddrinfo(r->list);
	if (r->fd >= 0)
		close(r->fd);
	free(r->host);
	free(r->port);
	free(r);
}

static void ask(struct resolve *r, int flags)
{
	const struct addrinfo hints = {
		.ai_socktype = r->socktype,
		.ai_flags = AI_NUMERICSERV | flags,
	};
	r->eai = getaddrinfo(r->host, r->port, &hints, &r->list);
	if (r->eai != 0)
		r->list = NULL;
}

static void tell(struct resolve *r)
{
	const uint64_t one = 1;
	while (write(r->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *ask_thread(void *arg)
{
	struct resolve *r = arg;
	ask(r, 0);
	tell(r);
	let_go(r);
	return NULL;
}

static void forget(struct resolve *r)
{
	event_free(r->event);
	r->event = NULL;
	let_go(r);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct resolve *r = arg;
	uint64_t value;
	if (read(fd, &value, sizeof(value)) < 0)
		return;
	struct addrinfo *list = r->list;
	const int eai = r->eai;
	resolve_done *done = r->done;
	void *done_arg = r->arg;
	r->list = NULL;
	forget(r);
	done(done_arg, eai, list);
}

/* Signals are the main thread's business. */
static int start_thread(struct resolve *r)
{
	sigset_t all, old;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&thread, NULL, ask_thread, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		pthread_detach(thread);
	return error;
}

/* Figures need nobody to ask. */
static int answer(struct resolve *r)
{
	ask(r, AI_NUMERICHOST);
	if (r->eai != EAI_NONAME) {
		tell(r);
		return 0;
	}
	atomic_store(&r->users, 2);
	return start_thread(r);
}

static struct resolve *make(struct event_base *base, const char *host, const char *port)
{
	struct resolve *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	atomic_store(&r->users, 1);
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->host = strdup(host);
	r->port = strdup(port);
	if (r->fd >= 0 && r->host != NULL && r->port != NULL)
		r->event = event_new(base, r->fd, EV_READ, on_answer, r);
	if (r->event != NULL && event_add(r->event, NULL) == 0)
		return r;
	if (r->event != NULL)
		event_free(r->event);
	let_go(r);
	return NULL;
}

struct resolve *resolve_begin(struct event_base *base, const char *host, const char *port,
			      int socktype, resolve_done *done, void *arg)
{
	struct resolve *r = make(base, host, port);
	if (r == NULL)
		return NULL;
	r->socktype = socktype;
	r->done = done;
	r->arg = arg;
	if (answer(r) != 0) {
		atomic_store(&r->users, 1);
		forget(r);
		return NULL;
	}
	return r;
}

void resolve_cancel(struct resolve *r)
{
	if (r != NULL)
		forget(r);
}

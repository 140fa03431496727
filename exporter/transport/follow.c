/*
 * Two ways to look: a dial, which ends with a socket, when there is none or the collector refuses;
 * and the mere question whether its address is still among the name's, which dials only if not.
 * A name server that does not answer, or does not know at the moment, moves nobody.
 */
#include "follow.h"

#include <event2/event.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../url.h"
#include "backoff.h"
#include "dial.h"
#include "err.h"
#include "log.h"
#include "resolve.h"

#define LOOK_S 60 /* where no templates are refreshed */

struct follow {
	const struct url_spec *spec;
	follow_found *found;
	void *arg;
	struct dial *dial;
	struct event *redial;
	struct backoff backoff;
	bool dialling; /* or waiting to */
	struct event *look;
	struct resolve *looking; /* NULL: not asked now */
	struct sockaddr_storage peer;
	socklen_t peer_len; /* 0: not found yet */
};

static void set_redial(struct follow *f)
{
	const int64_t ns = backoff_next_ns(&f->backoff);
	const struct timeval tv = {
		.tv_sec = ns / NS_PER_S,
		.tv_usec = ns % NS_PER_S / NS_PER_US,
	};
	f->dialling = event_add(f->redial, &tv) == 0;
}

void follow_again(struct follow *f)
{
	if (f != NULL && !f->dialling)
		set_redial(f);
}

static bool is_peer(const struct follow *f, const void *address, socklen_t len)
{
	return len == f->peer_len && memcmp(address, &f->peer, len) == 0;
}

static void note_failure(struct follow *f, const char *why)
{
	if (f->backoff.last_ns <= BACKOFF_FIRST_NS)
		log_warnx("output", "%s:%s: %s; trying again", f->spec->host, f->spec->port, why);
	set_redial(f);
}

static void on_dialled(void *arg, int fd, const char *why)
{
	struct follow *f = arg;
	struct sockaddr_storage peer = {.ss_family = 0};
	socklen_t len = sizeof(peer);
	f->dialling = false;
	if (fd < 0) {
		note_failure(f, why);
		return;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 || is_peer(f, &peer, len)) {
		close(fd);
		return;
	}
	log_info("output", "%s:%s: %s", f->spec->host, f->spec->port,
		 f->peer_len != 0 ? "has moved, a new session begins" : "found");
	f->peer = peer;
	f->peer_len = len;
	backoff_reset(&f->backoff);
	f->found(f->arg, fd);
}

static void on_redial(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	dial_begin(((struct follow *)arg)->dial);
}

static bool is_among(const struct follow *f, const struct addrinfo *list)
{
	for (; list != NULL; list = list->ai_next)
		if (is_peer(f, list->ai_addr, list->ai_addrlen))
			return true;
	return false;
}

static void on_looked(void *arg, int eai, struct addrinfo *list)
{
	struct follow *f = arg;
	f->looking = NULL;
	if (eai != 0)
		return;
	if (!is_among(f, list))
		follow_again(f);
	freeaddrinfo(list);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct follow *f = arg;
	if (f->peer_len != 0 && !f->dialling && f->looking == NULL)
		f->looking = resolve_begin(event_get_base(f->look), f->spec->host, f->spec->port,
					   SOCK_DGRAM, on_looked, f);
}

static int begin(struct follow *f, struct event_base *base)
{
	const uint32_t refresh_s = f->spec->template_refresh_s;
	const struct timeval now = {.tv_sec = 0};
	const struct timeval period = {.tv_sec = refresh_s != 0 ? refresh_s : LOOK_S};
	int err = dial_new(base, f->spec, SOCK_DGRAM, 0, on_dialled, f, &f->dial);
	if (err != 0)
		return err;
	f->redial = event_new(base, -1, 0, on_redial, f);
	f->look = event_new(base, -1, EV_PERSIST, on_look, f);
	if (f->redial == NULL || f->look == NULL)
		return ERR_NOMEM;
	f->dialling = true;
	return event_add(f->redial, &now) == 0 && event_add(f->look, &period) == 0 ? 0 : ERR_NOMEM;
}

int follow_new(struct event_base *base, const struct url_spec *spec, follow_found *found, void *arg,
	       struct follow **ret_follow)
{
	struct follow *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ERR_NOMEM;
	f->spec = spec;
	f->found = found;
	f->arg = arg;
	int err = begin(f, base);
	if (err != 0) {
		follow_free(f);
		return err;
	}
	*ret_follow = f;
	return 0;
}

void follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	resolve_cancel(f->looking);
	if (f->look != NULL)
		event_free(f->look);
	if (f->redial != NULL)
		event_free(f->redial);
	dial_free(f->dial);
	free(f);
}

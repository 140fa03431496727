/*
 * Dialling. An address that does not answer has a few seconds before the next is tried; the text
 * of a failure tells of the last address, which is the one that is left.
 */
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../url.h"
#include "err.h"
#include "own.h"
#include "resolve.h"

enum {
	ADDRESS_WAIT_S = 4,
	DSCP_SHIFT = 2,
};

struct dial {
	struct event_base *base;
	const struct url_spec *spec;
	int socktype;
	int protocol;
	dial_done *done;
	void *arg;
	struct resolve *resolve;
	struct addrinfo *list;
	const struct addrinfo *at; /* the address being tried */
	struct event *event;	   /* of its socket */
	int fd;
	struct own *own;
	int own_number; /* of the stream last begun, -1 none */
	char why[160];
};

/* ---- sockets ---- */

static int bind_source(int fd, int family, const char *source)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	const struct sockaddr *sa = (const struct sockaddr *)&four;
	socklen_t len = sizeof(four);
	void *address = &four.sin_addr;
	if (family == AF_INET6) {
		sa = (const struct sockaddr *)&six;
		len = sizeof(six);
		address = &six.sin6_addr;
	}
	if (inet_pton(family, source, address) != 1)
		return -EAFNOSUPPORT;
	return bind(fd, sa, len) == 0 ? 0 : -errno;
}

int dial_prepare(int fd, int family, const struct url_spec *spec)
{
	const int tos = (int)spec->dscp << DSCP_SHIFT;
	int done = 0;
	if (tos != 0 && family == AF_INET6)
		done = setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else if (tos != 0)
		done = setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	if (done != 0)
		return -errno;
	return spec->source != NULL ? bind_source(fd, family, spec->source) : 0;
}

/* ---- tries ---- */

static void free_event(struct dial *d)
{
	if (d->event != NULL)
		event_free(d->event);
	d->event = NULL;
}

static void clean(struct dial *d)
{
	free_event(d);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	if (d->list != NULL)
		freeaddrinfo(d->list);
	d->list = NULL;
	d->at = NULL;
	resolve_cancel(d->resolve);
	d->resolve = NULL;
}

static void tell_failed(struct dial *d)
{
	clean(d);
	d->done(d->arg, -1, d->why);
}

static void tell_connected(struct dial *d)
{
	const int fd = d->fd;
	d->fd = -1;
	clean(d);
	d->done(d->arg, fd, NULL);
}

static void on_socket(evutil_socket_t fd, short what, void *arg);

/* Begins with d->at. 0: on_socket goes on. */
static int try_address(struct dial *d)
{
	const struct timeval patience = {.tv_sec = ADDRESS_WAIT_S};
	const int type = d->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
	d->fd = socket(d->at->ai_family, type, d->protocol);
	if (d->fd < 0)
		return -errno;
	int err = dial_prepare(d->fd, d->at->ai_family, d->spec);
	if (err == 0 && connect(d->fd, d->at->ai_addr, d->at->ai_addrlen) != 0 &&
	    errno != EINPROGRESS)
		err = -errno;
	if (err == 0) {
		own_drop(d->own, d->own_number);
		d->own_number = own_add(d->own, d->fd, d->at->ai_addr);
		d->event = event_new(d->base, d->fd, EV_WRITE, on_socket, d);
		if (d->event == NULL || event_add(d->event, &patience) != 0)
			err = ERR_NOMEM;
	}
	return err;
}

static void note_failure(struct dial *d, int err)
{
	char host[INET6_ADDRSTRLEN] = "?";
	getnameinfo(d->at->ai_addr, d->at->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	if (err == -EAFNOSUPPORT && d->spec->source != NULL)
		snprintf(d->why, sizeof(d->why), "%s is not of the same family as source=%s", host,
			 d->spec->source);
	else if (err == -EADDRNOTAVAIL && d->spec->source != NULL)
		snprintf(d->why, sizeof(d->why), "source=%s is no address of this machine",
			 d->spec->source);
	else
		snprintf(d->why, sizeof(d->why), "cannot connect to %s: %s", host, err_str(err));
	free_event(d);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* From d->at on, until one can be waited for. */
static void try_from(struct dial *d)
{
	for (; d->at != NULL; d->at = d->at->ai_next) {
		int err = try_address(d);
		if (err == 0)
			return;
		note_failure(d, err);
	}
	tell_failed(d);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	int error = ETIMEDOUT;
	socklen_t len = sizeof(error);
	if ((what & EV_WRITE) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0) {
		tell_connected(d);
		return;
	}
	note_failure(d, -error);
	d->at = d->at->ai_next;
	try_from(d);
}

static void on_resolved(void *arg, int eai, struct addrinfo *list)
{
	struct dial *d = arg;
	d->resolve = NULL;
	if (eai != 0) {
		snprintf(d->why, sizeof(d->why), "cannot find host %s: %s", d->spec->host,
			 gai_strerror(eai));
		tell_failed(d);
		return;
	}
	d->list = list;
	d->at = list;
	snprintf(d->why, sizeof(d->why), "host %s has no address", d->spec->host);
	try_from(d);
}

/* ---- entry ---- */

int dial_new(struct event_base *base, const struct url_spec *spec, int socktype, int protocol,
	     dial_done *done, void *arg, struct dial **ret_dial)
{
	struct dial *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return ERR_NOMEM;
	d->base = base;
	d->spec = spec;
	d->socktype = socktype;
	d->protocol = protocol;
	d->done = done;
	d->arg = arg;
	d->fd = -1;
	d->own_number = -1;
	*ret_dial = d;
	return 0;
}

void dial_own(struct dial *d, struct own *own)
{
	d->own = own;
}

void dial_begin(struct dial *d)
{
	clean(d);
	/* SCTP is asked for as TCP: the name service knows no more. */
	d->resolve =
		resolve_begin(d->base, d->spec->host, d->spec->port, d->socktype, on_resolved, d);
	if (d->resolve == NULL) {
		snprintf(d->why, sizeof(d->why), "cannot ask for host %s: %s", d->spec->host,
			 err_str(ERR_NOMEM));
		tell_failed(d);
	}
}

void dial_cancel(struct dial *d)
{
	clean(d);
}

void dial_free(struct dial *d)
{
	if (d == NULL)
		return;
	clean(d);
	own_drop(d->own, d->own_number);
	free(d);
}

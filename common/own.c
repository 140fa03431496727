/*
 * Our own export streams. A stream is one 64-bit number, a keyed hash of its 5-tuple that is the
 * same both ways: publishing it is one store, so workers need neither lock nor sequence counters.
 * That another packet has the same number is a matter of 2^-64 a stream, and whoever could choose
 * packets that do does not know the key.
 *
 * Writers hold a lock and are rare. A place whose stream has ended keeps its number until it is
 * needed, the longest ended first.
 *
 * Rejected: a kernel filter against our streams, since it could not count, and would have to change
 * with each connection; matching the collector's address and port alone, since others export too.
 */
#include "own.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <xxhash.h>

#include "err.h"
#include "log.h"

enum { STREAMS = 256, SECRET_BYTES = 192 };

struct own {
	struct own_marks marks;		  /* first: own_is looks at it */
	_Atomic uint64_t stream[STREAMS]; /* 0: none */
	_Atomic unsigned used;		  /* places that ever had one */
	uint8_t secret[SECRET_BYTES];
	/* the writers' */
	pthread_mutex_t lock;
	struct place {
		unsigned mark;
		bool live;
		uint64_t ended; /* a count: the least has ended first */
	} place[STREAMS];
	uint64_t endings;
	bool full_said;
};
_Static_assert(offsetof(struct own, marks) == 0, "own_is takes it for the marks");

/* ---- identity ------------------------------------------------------------------------------ */

struct end {
	uint8_t addr[16]; /* IPv4: the first four */
	uint16_t port;
};

/* No holes: hashed as it lies. */
struct tuple {
	struct end end[2]; /* the lesser first */
	uint16_t version;
	uint16_t ip_proto;
};
_Static_assert(sizeof(struct tuple) == 40, "no holes in what is hashed");

static uint64_t number_of(const struct own *own, struct end a, struct end b, unsigned version,
			  unsigned ip_proto)
{
	const bool turned = memcmp(&a, &b, sizeof(a)) > 0;
	const struct tuple t = {
		.end = {turned ? b : a, turned ? a : b},
		.version = (uint16_t)version,
		.ip_proto = (uint16_t)ip_proto,
	};
	const uint64_t h = XXH3_64bits_withSecret(&t, sizeof(t), own->secret, SECRET_BYTES);
	return h != 0 ? h : 1;
}

static struct end end_of_packet(const uint8_t *addr, unsigned version, uint16_t port)
{
	struct end e = {.port = port};
	memcpy(e.addr, addr, version == 6 ? 16 : 4);
	return e;
}

bool own_has(const struct own *own, const struct packet *p)
{
	const uint64_t number = number_of(own, end_of_packet(p->src, p->ip_version, p->sport),
					  end_of_packet(p->dst, p->ip_version, p->dport),
					  p->ip_version, p->ip_proto);
	const unsigned used = atomic_load_explicit(&own->used, memory_order_relaxed);
	for (unsigned i = 0; i < used; i++)
		if (atomic_load_explicit(&own->stream[i], memory_order_relaxed) == number)
			return true;
	return false;
}

/* The end at a socket address; false when it is not IP. IPv4 inside IPv6 is IPv4 on the wire. */
static bool end_of_socket(const struct sockaddr *sa, struct end *ret_end, unsigned *ret_version)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const void *any = sa;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *four = any;
		*ret_end = (struct end){.port = ntohs(four->sin_port)};
		memcpy(ret_end->addr, &four->sin_addr, 4);
		*ret_version = 4;
		return true;
	}
	const struct sockaddr_in6 *six = any;
	const uint8_t *addr = six->sin6_addr.s6_addr;
	if (sa->sa_family != AF_INET6)
		return false;
	*ret_version = memcmp(addr, mapped, sizeof(mapped)) == 0 ? 4 : 6;
	*ret_end = (struct end){.port = ntohs(six->sin6_port)};
	memcpy(ret_end->addr, *ret_version == 4 ? addr + 12 : addr, *ret_version == 4 ? 4 : 16);
	return true;
}

/* What a socket's packets look like; -errno or ERR_NOTSUP. */
static int read_socket(const struct own *own, int fd, const struct sockaddr *peer,
		       uint64_t *ret_number, unsigned *ret_mark)
{
	struct sockaddr_storage here = {0}, there = {0};
	socklen_t here_len = sizeof(here), there_len = sizeof(there);
	int ip_proto;
	socklen_t len = sizeof(ip_proto);
	struct end a, b;
	unsigned version, other;
	if (getsockname(fd, (struct sockaddr *)&here, &here_len) != 0 ||
	    (peer == NULL && getpeername(fd, (struct sockaddr *)&there, &there_len) != 0) ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &ip_proto, &len) != 0)
		return -errno;
	if (peer == NULL)
		peer = (struct sockaddr *)&there;
	if (!end_of_socket((struct sockaddr *)&here, &a, &version) ||
	    !end_of_socket(peer, &b, &other) || version != other)
		return ERR_NOTSUP;
	*ret_number = number_of(own, a, b, version, (unsigned)ip_proto);
	*ret_mark = own_mark_of((uint8_t)ip_proto, a.port, b.port);
	return 0;
}

/* ---- places -------------------------------------------------------------------------------- */

/* Room for one more: a place never used, else the one that ended first; -1 when all are live. */
static int find_place(const struct own *own)
{
	const unsigned used = atomic_load_explicit(&own->used, memory_order_relaxed);
	int best = -1;
	if (used < STREAMS)
		return (int)used;
	for (int i = 0; i < STREAMS; i++)
		if (!own->place[i].live &&
		    (best < 0 || own->place[i].ended < own->place[best].ended))
			best = i;
	return best;
}

/* Marks that no place has any more go; those that one has are there at every moment. */
static void write_marks(struct own *own)
{
	const unsigned used = atomic_load_explicit(&own->used, memory_order_relaxed);
	uint64_t word[OWN_MARK_BITS / 64] = {0};
	for (unsigned i = 0; i < used; i++)
		word[own->place[i].mark / 64] |= UINT64_C(1) << own->place[i].mark % 64;
	for (unsigned i = 0; i < OWN_MARK_BITS / 64; i++)
		atomic_store_explicit(&own->marks.word[i], word[i], memory_order_relaxed);
}

static int put(struct own *own, uint64_t number, unsigned mark)
{
	const int i = find_place(own);
	if (i < 0)
		return -1;
	own->place[i] = (struct place){.mark = mark, .live = true};
	atomic_store_explicit(&own->stream[i], number, memory_order_relaxed);
	if ((unsigned)i == atomic_load_explicit(&own->used, memory_order_relaxed))
		atomic_store_explicit(&own->used, (unsigned)i + 1, memory_order_relaxed);
	write_marks(own);
	return i;
}

int own_add(struct own *own, int fd, const struct sockaddr *peer)
{
	uint64_t number;
	unsigned mark;
	if (own == NULL || read_socket(own, fd, peer, &number, &mark) != 0)
		return -1;
	pthread_mutex_lock(&own->lock);
	const int i = put(own, number, mark);
	const bool say = i < 0 && !own->full_said;
	own->full_said |= say;
	pthread_mutex_unlock(&own->lock);
	if (say)
		log_warnx("output",
			  "more export streams than can be left out, some are metered "
			  "limit=%d",
			  STREAMS);
	return i;
}

void own_drop(struct own *own, int number)
{
	if (own == NULL || number < 0)
		return;
	pthread_mutex_lock(&own->lock);
	own->place[number].live = false;
	own->place[number].ended = ++own->endings;
	pthread_mutex_unlock(&own->lock);
}

/* ---- life ---------------------------------------------------------------------------------- */

int own_new(struct own **ret_own)
{
	struct own *own = calloc(1, sizeof(*own));
	if (own == NULL)
		return ERR_NOMEM;
	if (getrandom(own->secret, SECRET_BYTES, 0) != SECRET_BYTES) {
		free(own);
		return -errno;
	}
	pthread_mutex_init(&own->lock, NULL);
	*ret_own = own;
	return 0;
}

void own_free(struct own *own)
{
	if (own == NULL)
		return;
	pthread_mutex_destroy(&own->lock);
	free(own);
}

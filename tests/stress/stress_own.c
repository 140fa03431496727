/*
 * Streams come and go while workers ask about packets, under ThreadSanitizer: a stream that stays
 * is ours at every moment, a packet of none never is.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "own.h"

enum { READERS = 2, ROUNDS = 3000, COLLECTOR = 4739 };

static struct own *own;
static uint16_t staying;
static atomic_bool done;
static atomic_uint wrong;

static int stream(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(COLLECTOR),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		return -1;
	getsockname(fd, (struct sockaddr *)&a, &len);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void *ask(void *arg)
{
	static const uint8_t here[4] = {127, 0, 0, 1}, elsewhere[4] = {127, 0, 0, 9};
	struct packet ours = {.src = here, .dst = here, .sport = staying, .dport = COLLECTOR};
	(void)arg;
	ours.ip_version = 4;
	ours.ip_proto = 17;
	struct packet other = ours;
	other.src = elsewhere;
	while (!atomic_load(&done))
		if (!own_is(own, &ours) || own_is(own, &other))
			atomic_fetch_add(&wrong, 1);
	return NULL;
}

int main(void)
{
	pthread_t reader[READERS];
	uint16_t port;
	if (own_new(&own) != 0)
		return 1;
	int stays = stream(&staying);
	if (stays < 0 || own_add(own, stays, NULL) < 0)
		return 1;
	for (unsigned i = 0; i < READERS; i++)
		pthread_create(&reader[i], NULL, ask, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = stream(&port);
		own_drop(own, own_add(own, fd, NULL));
		close(fd);
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(reader[i], NULL);
	close(stays);
	own_free(own);
	printf("%u wrong answers\n", atomic_load(&wrong));
	return atomic_load(&wrong) != 0;
}

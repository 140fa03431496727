/*
 * The floor: the least a flow meter could cost. Mapped pcap, parse to the 5-tuple, add up packets
 * and bytes in both directions; no times, flags, expiry or export.
 *
 * It has to be honest, that is as fast as it can be made without doing less: batches of 32 whose
 * entries are fetched ahead, 64-byte entries (key and counters in one cache line) under open
 * addressing, transparent huge pages, a hash of a few multiplies. IPv4 and IPv6, 802.1Q. Both
 * directions share an entry, as they do in a biflow.
 *
 * Prints one JSON object: packets, octets, flows, other (packets it did not parse). -v also adds up
 * the entries and compares, which a timed run does not pay for.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BATCH = 32,
	RECORD_HEADER = 16,
	FILE_HEADER = 24,
	AHEAD = 1024,  /* bytes of the file to fetch ahead */
	PARSE_MIN = 58 /* tagged Ethernet and 40 bytes; frames have 60 */
};

/*
 * The two sides, the lesser first, so that both directions have one key.
 * IPv4: word 0 and 1 are a side each, address and port; word 4 protocol and version.
 * IPv6: words 0 and 1 are a side's address, 2 and 3 the other's; word 4 ports, protocol, version.
 */
struct key {
	uint64_t word[5];
};

struct entry {
	struct key key;
	uint32_t packets[2];
	uint64_t octets[2];
};
_Static_assert(sizeof(struct entry) == 64, "an entry is a cache line");

struct item {
	struct key key;
	uint64_t slot;
	uint32_t octets;
	uint32_t side;
};

struct floor {
	struct entry *table;
	uint64_t mask;
	unsigned shift;
	uint64_t packets, octets, flows, other;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint16_t be16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t raw32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t raw64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash4(const struct key *k)
{
	return fold(k->word[0] ^ 0x8cb92ba72f3d8dd7u, k->word[1] ^ k->word[4] ^ 0xa0761d6478bd642fu);
}

static inline uint64_t hash6(const struct key *k)
{
	return fold(k->word[0] ^ 0x8cb92ba72f3d8dd7u, k->word[1] ^ 0xa0761d6478bd642fu) ^
	       fold(k->word[2] ^ 0xe7037ed1a0b428dbu, k->word[3] ^ 0x589965cc75374cc3u) ^
	       fold(k->word[4] ^ 0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u);
}

static inline uint32_t ports_of(unsigned ip_proto, const uint8_t *l4, const uint8_t *end)
{
	if (__builtin_expect((ip_proto == 6) | (ip_proto == 17), 1) &&
	    __builtin_expect(l4 + 4 <= end, 1))
		return __builtin_bswap32(raw32(l4));
	return 0;
}

static inline uint64_t parse4(const uint8_t *ip, const uint8_t *end, struct item *it)
{
	const unsigned ip_proto = ip[9];
	const uint8_t *l4 = be16(ip + 6) & 0x1fff ? end : ip + 4 * (ip[0] & 15);
	const uint32_t ports = ports_of(ip_proto, l4, end);
	const uint64_t src = (uint64_t)raw32(ip + 12) << 16 | ports >> 16;
	const uint64_t dst = (uint64_t)raw32(ip + 16) << 16 | (ports & 0xffff);
	it->side = dst < src;
	it->key.word[0] = dst < src ? dst : src;
	it->key.word[1] = dst < src ? src : dst;
	it->key.word[2] = it->key.word[3] = 0;
	it->key.word[4] = ip_proto << 8 | 4;
	it->octets = be16(ip + 2);
	return hash4(&it->key);
}

static inline uint64_t parse6(const uint8_t *ip, const uint8_t *end, struct item *it)
{
	const unsigned ip_proto = ip[6];
	const uint32_t ports = ports_of(ip_proto, ip + 40, end);
	const uint64_t src[2] = {raw64(ip + 8), raw64(ip + 16)};
	const uint64_t dst[2] = {raw64(ip + 24), raw64(ip + 32)};
	const uint64_t same = (src[0] == dst[0]) & (src[1] == dst[1]);
	const uint64_t less = (uint64_t)(dst[0] < src[0]) | ((uint64_t)(dst[0] == src[0]) &
							    (uint64_t)(dst[1] < src[1]));
	const uint64_t swap = less | (same & (uint64_t)((ports & 0xffff) < ports >> 16));
	const uint64_t flip0 = (src[0] ^ dst[0]) & -swap, flip1 = (src[1] ^ dst[1]) & -swap;
	it->side = (uint32_t)swap;
	it->key.word[0] = src[0] ^ flip0;
	it->key.word[1] = src[1] ^ flip1;
	it->key.word[2] = dst[0] ^ flip0;
	it->key.word[3] = dst[1] ^ flip1;
	/* rotated by 16 when swapped */
	it->key.word[4] = (uint64_t)(ports << (16 * swap) | ports >> 16 >> (16 - 16 * swap)) << 16 |
			  ip_proto << 8 | 6;
	it->octets = 40u + be16(ip + 4);
	return hash6(&it->key);
}

/* `len` is at least PARSE_MIN, so the fixed header of IPv4, tagged or not, is inside. A tag costs no
 * branch: a wrong guess costs as much as all the rest. */
static inline bool parse(const uint8_t *p, uint32_t len, struct item *it, uint64_t *ret_hash)
{
	unsigned type = be16(p + 12);
	const uint64_t tagged = (type == 0x8100) | (type == 0x88a8);
	const uint8_t *ip = p + 14 + 4 * tagged;
	type = be16(ip - 2);
	if (type == 0x0800)
		*ret_hash = parse4(ip, p + len, it);
	else if (type == 0x86dd)
		*ret_hash = parse6(ip, p + len, it);
	else
		return false;
	return true;
}

static inline bool key_equal(const struct key *a, const struct key *b)
{
	const uint64_t *x = a->word, *y = b->word;
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

static inline void update(struct floor *f, const struct item *it)
{
	f->packets++;
	f->octets += it->octets;
	for (uint64_t s = it->slot;; s = (s + 1) & f->mask) {
		struct entry *e = &f->table[s];
		if (__builtin_expect(key_equal(&e->key, &it->key), 1)) {
			e->packets[it->side]++;
			e->octets[it->side] += it->octets;
			return;
		}
		if (e->key.word[4] != 0)
			continue;
		if (++f->flows > f->mask / 8 * 7) {
			fprintf(stderr, "floor: table full\n");
			exit(1);
		}
		e->key = it->key;
		e->packets[it->side] = 1;
		e->octets[it->side] = it->octets;
		return;
	}
}

static void meter(struct floor *f, const uint8_t *p, const uint8_t *end)
{
	struct item batch[BATCH];
	while (end - p >= RECORD_HEADER) {
		unsigned n = 0;
		while (n < BATCH && end - p >= RECORD_HEADER) {
			uint32_t len = raw32(p + 8);
			if (len > (size_t)(end - p) - RECORD_HEADER)
				break;
			__builtin_prefetch(p + AHEAD);
			__builtin_prefetch(p + AHEAD + 64);
			struct item *it = &batch[n];
			uint64_t hash;
			if (len >= PARSE_MIN && parse(p + RECORD_HEADER, len, it, &hash)) {
				it->slot = hash >> f->shift;
				__builtin_prefetch(&f->table[it->slot], 1);
				n++;
			} else {
				f->other++;
			}
			p += RECORD_HEADER + len;
		}
		if (n == 0)
			break;
		for (unsigned i = 0; i < n; i++)
			update(f, &batch[i]);
	}
}

/* Do the entries' counters give the totals? */
static bool verify(const struct floor *f)
{
	uint64_t packets = 0, octets = 0;
	for (uint64_t s = 0; s <= f->mask; s++) {
		const struct entry *e = &f->table[s];
		packets += (uint64_t)e->packets[0] + e->packets[1];
		octets += e->octets[0] + e->octets[1];
	}
	return packets == f->packets && octets == f->octets;
}

static const uint8_t *map_file(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	const uint8_t *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	madvise((void *)p, (size_t)st.st_size, MADV_SEQUENTIAL);
	*ret_size = (size_t)st.st_size;
	return p;
}

/* Twice as many slots as flows, at least. */
static void table_init(struct floor *f, uint64_t flows)
{
	unsigned bits = 10;
	while (UINT64_C(1) << bits < 2 * flows)
		bits++;
	size_t bytes = sizeof(struct entry) << bits, huge = (size_t)2 << 20;
	uint8_t *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("table");
	p += -(uintptr_t)p & (huge - 1);
	madvise(p, bytes, MADV_HUGEPAGE);
	f->table = (struct entry *)p;
	f->mask = (UINT64_C(1) << bits) - 1;
	f->shift = 64 - bits;
}

int main(int argc, char **argv)
{
	bool verifies = argc == 4 && strcmp(argv[1], "-v") == 0;
	if (argc != 3 && !verifies) {
		fprintf(stderr, "usage: floor [-v] FLOWS FILE\n");
		return 2;
	}
	const char *path = argv[argc - 1];
	struct floor f = {.flows = 0};
	table_init(&f, strtoull(argv[argc - 2], NULL, 10));
	size_t size;
	const uint8_t *file = map_file(path, &size);
	uint32_t magic = size >= FILE_HEADER ? raw32(file) : 0;
	if ((magic != 0xa1b2c3d4 && magic != 0xa1b23c4d) || raw32(file + 20) != 1) {
		fprintf(stderr, "floor: %s: not a little-endian Ethernet pcap\n", path);
		return 1;
	}
	meter(&f, file + FILE_HEADER, file + size);
	if (verifies && !verify(&f)) {
		fprintf(stderr, "floor: entries and totals differ\n");
		return 1;
	}
	printf("{\"packets\": %llu, \"octets\": %llu, \"flows\": %llu, \"other\": %llu}\n",
	       (unsigned long long)f.packets, (unsigned long long)f.octets,
	       (unsigned long long)f.flows, (unsigned long long)f.other);
	return 0;
}

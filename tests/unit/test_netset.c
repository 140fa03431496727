/* Networks as text, and which addresses are in them. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "netset.h"
#include "splitmix.h"

static bool has(const struct netset *set, const char *address)
{
	uint8_t addr[16];
	bool six = strchr(address, ':') != NULL;
	cr_assert_eq(inet_pton(six ? AF_INET6 : AF_INET, address, addr), 1);
	return netset_has(set, six ? 6 : 4, addr);
}

static struct netset *make(unsigned count, char *const *texts)
{
	struct netset *set = NULL;
	cr_assert_eq(netset_new(texts, count, &set), 0);
	return set;
}

Test(netset, text_is_taken_or_refused)
{
	static const struct {
		const char *text;
		const char *last; /* NULL: refused */
	} cases[] = {
		{"10.0.0.0/8", "10.255.255.255"},
		{"10.1.2.3", "10.1.2.3"},
		{"0.0.0.0/0", "255.255.255.255"},
		{"192.168.128.0/17", "192.168.255.255"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db8::8000/113", "2001:db8::ffff"},
		{"fe80::1", "fe80::1"},
		{"10.0.0.1/8", NULL},
		{"10.0.0.0/33", NULL},
		{"10.0.0.0/", NULL},
		{"10.0.0.0/-8", NULL},
		{"10.0.0.0/+8", NULL},
		{"10.0.0.0/ 8", NULL},
		{"10.0.0.0/8x", NULL},
		{"10.0.0.0/0008", NULL},
		{"10.0.0/8", NULL},
		{"/8", NULL},
		{"", NULL},
		{"2001:db8::/129", NULL},
		{"2001:db8::1/64", NULL},
		{"local", NULL},
		{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net net;
		uint8_t last[16] = {0};
		int err = net_parse(cases[i].text, strlen(cases[i].text), &net);
		if (cases[i].last == NULL) {
			cr_expect_eq(err, ERR_USAGE, "%s", cases[i].text);
			continue;
		}
		cr_assert_eq(err, 0, "%s", cases[i].text);
		inet_pton(net.version == 6 ? AF_INET6 : AF_INET, cases[i].last, last);
		cr_expect_arr_eq(net.last, last, 16, "%s", cases[i].text);
	}
}

Test(netset, families_are_apart)
{
	struct netset *set = make(2, (char *[]){"0.0.0.0/0", "2001:db8::/32"});
	cr_expect(has(set, "203.0.113.9"));
	cr_expect(has(set, "2001:db8::9"));
	cr_expect_not(has(set, "2001:db9::"));
	cr_expect_not(has(set, "::"), "0.0.0.0/0 is about IPv4");
	netset_free(set);
	set = make(0, NULL);
	cr_expect_not(has(set, "10.0.0.1"));
	netset_free(set);
}

/* Against a walk over all of them, bit by bit. */
Test(netset, overlapping_networks_hold_what_any_of_them_holds)
{
	enum { NETS = 300 };
	static char text[NETS][32];
	static char *texts[NETS];
	static uint32_t base[NETS], mask[NETS];
	uint64_t state = 3;
	for (unsigned i = 0; i < NETS; i++) {
		uint64_t r = splitmix64(&state);
		unsigned bits = 20 + r % 13;
		mask[i] = (uint32_t)(UINT64_C(0xffffffff) << (32 - bits));
		base[i] = ((uint32_t)(r >> 32) & 0x0a0fffff) & mask[i];
		struct in_addr a = {htonl(base[i])};
		snprintf(text[i], sizeof(text[i]), "%s/%u", inet_ntoa(a), bits);
		texts[i] = text[i];
	}
	struct netset *set = make(NETS, texts);
	unsigned in = 0;
	for (unsigned n = 0; n < 200000; n++) {
		uint32_t addr = (uint32_t)splitmix64(&state) & 0x0a0fffff;
		bool any = false;
		for (unsigned i = 0; i < NETS && !any; i++)
			any = (addr & mask[i]) == base[i];
		uint32_t wire = htonl(addr);
		in += any;
		cr_assert_eq(netset_has(set, 4, (uint8_t *)&wire), any, "%08x", addr);
	}
	cr_expect(in > 5000 && in < 195000, "%u", in);
	netset_free(set);
}

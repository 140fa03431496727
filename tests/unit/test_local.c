/* flowDirection, METERING.md §7. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "export.h"
#include "policy/local.h"

static struct netset *local;

static void setup(void)
{
	cr_assert_eq(netset_new((char *[]){"10.0.0.0/8", "2001:db8::/32"}, 2, &local), 0);
}

static void teardown(void)
{
	netset_free(local);
}

TestSuite(local, .init = setup, .fini = teardown);

static struct flow_record between(const uint8_t *src, const uint8_t *dst, unsigned version)
{
	struct flow_record r = record_udp4();
	r.ip_version = (uint8_t)version;
	memset(r.src, 0, 16);
	memset(r.dst, 0, 16);
	memcpy(r.src, src, version == 6 ? 16 : 4);
	memcpy(r.dst, dst, version == 6 ? 16 : 4);
	r.dir[FLOW_REVERSE] = r.dir[FLOW_FORWARD];
	return r;
}

static const uint8_t in4[4] = {10, 9, 8, 7}, out4[4] = {192, 0, 2, 1};
static const uint8_t in6[16] = {0x20, 1, 0x0d, 0xb8, 1}, out6[16] = {0x20, 1, 0x0d, 0xb9};

static void expect(struct flow_record r, bool known, unsigned forward)
{
	local_mark(local, &r);
	cr_expect_eq((flow_shape(&r) & NEEDS_LOCAL) != 0, known);
	if (!known)
		return;
	cr_expect_eq(r.dir[FLOW_FORWARD].direction, forward);
	cr_expect_eq(r.dir[FLOW_REVERSE].direction, !forward);
	/* the reverse half as a record of its own */
	struct direction_view view;
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_assert_eq(view.count, 2);
	cr_expect_eq(view.record[1]->dir[FLOW_FORWARD].direction, !forward);
	cr_expect(flow_shape(view.record[1]) & NEEDS_LOCAL);
}

/* RFC 5102 §5.10.9 / IANA: 0x00 ingress, 0x01 egress. */
Test(local, out_is_1_and_in_is_0)
{
	expect(between(in4, out4, 4), true, 1);
	expect(between(out4, in4, 4), true, 0);
	expect(between(in6, out6, 6), true, 1);
	expect(between(out6, in6, 6), true, 0);
}

Test(local, inside_and_past_have_no_direction)
{
	expect(between(in4, in4, 4), false, 0);
	expect(between(out4, out4, 4), false, 0);
	expect(between(out6, out6, 6), false, 0);
}

Test(local, a_mark_of_before_is_taken_back)
{
	struct flow_record r = between(in4, out4, 4);
	local_mark(local, &r);
	memcpy(r.src, out4, 4);
	expect(r, false, 0);
}

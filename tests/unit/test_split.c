/* Direction policies: METERING.md §7. */
#include "export.h"

static struct direction_view view;

Test(split, both_directions_make_two_records)
{
	struct flow_record r = record_udp4_answered();
	memcpy(r.src_mac, "\1\2\3\4\5\6", 6);
	memcpy(r.dst_mac, "\7\10\11\12\13\14", 6);
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_assert_eq(view.count, 2);
	cr_expect_eq(view.record[0], &r, "the forward half is not copied");
	const struct flow_record *h = view.record[1];
	cr_expect_arr_eq(h->src, r.dst, 16);
	cr_expect_arr_eq(h->dst, r.src, 16);
	cr_expect_eq(h->sport, 53);
	cr_expect_eq(h->dport, 1025);
	cr_expect_arr_eq(h->src_mac, r.dst_mac, 6);
	cr_expect_arr_eq(h->dst_mac, r.src_mac, 6);
	cr_expect_eq(h->dir[0].packets, 1);
	cr_expect_eq(h->dir[0].octets, 100);
	cr_expect_eq(h->dir[0].first_ns, r.dir[1].first_ns);
	cr_expect_eq(h->dir[0].ingress, 8);
	cr_expect_eq(h->flow_id, r.flow_id);
	cr_expect_eq(h->biflow_direction, 2);
	cr_expect_eq(r.biflow_direction, 1);
}

Test(split, direction_without_packets_makes_none)
{
	struct flow_record r = record_udp4();
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_assert_eq(view.count, 1);
	cr_expect_eq(view.record[0], &r);
	r = record_udp4_answered();
	r.dir[0] = (struct flow_dir){0};
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_assert_eq(view.count, 1);
	cr_expect_eq(view.record[0]->biflow_direction, 2);
	cr_expect_eq(view.record[0]->dir[0].packets, 1);
}

Test(split, reply_of_icmp_has_its_own_type_in_the_destination_port)
{
	struct flow_record r = record_ping();
	r.icmp[FLOW_REVERSE] = 14 * 256;
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_assert_eq(view.count, 2);
	cr_expect_eq(view.record[1]->sport, 0);
	cr_expect_eq(view.record[1]->dport, 14 * 256);
	cr_expect_eq(view.record[1]->icmp[FLOW_FORWARD], 14 * 256);
}

Test(split, icmp_of_unknown_type_keeps_its_ports_of_0)
{
	struct flow_record r = record_ping();
	r.icmp_known = false;
	r.dport = 0;
	r.icmp[0] = r.icmp[1] = 0;
	direction_apply(DIRECTION_SPLIT, &r, &view);
	cr_expect_eq(view.record[1]->sport, 0);
	cr_expect_eq(view.record[1]->dport, 0);
}

Test(split, both_passes_a_biflow_in_place)
{
	struct flow_record r = record_udp4_answered();
	direction_apply(DIRECTION_BOTH, &r, &view);
	cr_assert_eq(view.count, 1);
	cr_expect_eq(view.record[0], &r);
	direction_apply(DIRECTION_HEARD, &r, &view);
	cr_assert_eq(view.count, 1);
	cr_expect_eq(view.record[0], &r);
}

Test(split, both_lends_the_reverse_times_to_a_forward_that_was_not_heard)
{
	struct flow_record r = record_udp4_answered();
	r.dir[0] = (struct flow_dir){0};
	direction_apply(DIRECTION_BOTH, &r, &view);
	cr_assert_eq(view.count, 1);
	const struct flow_record *v = view.record[0];
	cr_expect_eq(v->dir[0].packets, 0);
	cr_expect_eq(v->dir[0].first_ns, r.dir[1].first_ns);
	cr_expect_eq(v->dir[0].last_ns, r.dir[1].last_ns);
	cr_expect_eq(v->sport, 1025, "not turned");
	cr_expect_eq(v->biflow_direction, 1);
}

Test(split, heard_turns_a_flow_whose_initiator_was_not)
{
	struct flow_record r = record_ping();
	r.dir[0] = (struct flow_dir){0};
	direction_apply(DIRECTION_HEARD, &r, &view);
	cr_assert_eq(view.count, 1);
	const struct flow_record *v = view.record[0];
	cr_expect_eq(v->biflow_direction, 2);
	cr_expect_arr_eq(v->src, r.dst, 16);
	cr_expect_eq(v->dir[0].packets, 1);
	cr_expect_eq(v->dir[1].packets, 0);
	cr_expect_eq(v->dport, 0, "an echo reply is type 0 code 0");
}

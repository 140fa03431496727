/* The element table, against numbers and types copied from the IANA IPFIX registry. */
#include <criterion/criterion.h>
#include <string.h>

#include "field.h"

/* name, IPFIX number, v9 number, bytes of the registry's type */
static const struct {
	const char *name;
	unsigned ipfix, v9, len;
} registry[] = {
	{"octetDeltaCount", 1, 1, 8},
	{"packetDeltaCount", 2, 2, 8},
	{"protocolIdentifier", 4, 4, 1},
	{"ipClassOfService", 5, 5, 1},
	{"tcpControlBits", 6, 6, 2},
	{"sourceTransportPort", 7, 7, 2},
	{"sourceIPv4Address", 8, 8, 4},
	{"ingressInterface", 10, 10, 4},
	{"egressInterface", 14, 14, 4},
	{"destinationTransportPort", 11, 11, 2},
	{"destinationIPv4Address", 12, 12, 4},
	{"flowEndSysUpTime", 0, 21, 4}, /* not in our IPFIX: it would need a boot time there */
	{"flowStartSysUpTime", 0, 22, 4},
	{"sourceIPv6Address", 27, 27, 16},
	{"destinationIPv6Address", 28, 28, 16},
	{"icmpTypeCodeIPv4", 32, 32, 2},
	{"minimumTTL", 52, 52, 1},
	{"maximumTTL", 53, 53, 1},
	{"sourceMacAddress", 56, 56, 6},
	{"vlanId", 58, 58, 2},
	{"ipVersion", 60, 60, 1},
	{"destinationMacAddress", 80, 80, 6},
	{"flowEndReason", 136, 136, 1},
	{"icmpTypeCodeIPv6", 139, 32, 2}, /* v9: collectors read ICMP_TYPE for both */
	{"flowId", 148, 148, 8},
	{"flowStartSeconds", 150, 150, 4},
	{"flowEndSeconds", 151, 151, 4},
	{"flowStartMilliseconds", 152, 152, 8},
	{"flowEndMilliseconds", 153, 153, 8},
	{"flowStartMicroseconds", 154, 154, 8},
	{"flowEndMicroseconds", 155, 155, 8},
	{"flowStartNanoseconds", 156, 156, 8},
	{"flowEndNanoseconds", 157, 157, 8},
	{"flowDurationMilliseconds", 161, 161, 4},
	{"flowDurationMicroseconds", 162, 162, 4},
	{"icmpTypeIPv4", 176, 176, 1},
	{"icmpCodeIPv4", 177, 177, 1},
	{"icmpTypeIPv6", 178, 178, 1},
	{"icmpCodeIPv6", 179, 179, 1},
	{"biflowDirection", 239, 239, 1},
	{"flowDirection", 61, 61, 1},
	{"dot1qVlanId", 243, 243, 2},
	{"dot1qCustomerVlanId", 245, 245, 2},
	{"selectorId", 302, 48, 8},
};

static bool find(const char *name, struct field_ref *ret_ref)
{
	return field_find(name, strlen(name), ret_ref);
}

Test(field, table_agrees_with_the_registry)
{
	for (size_t i = 0; i < sizeof(registry) / sizeof(registry[0]); i++) {
		struct field_ref ref;
		cr_assert(find(registry[i].name, &ref), "%s", registry[i].name);
		const struct field *f = field_get(ref.id);
		cr_expect_eq(f->ipfix_id, registry[i].ipfix, "%s", registry[i].name);
		cr_expect_eq(f->v9_id, registry[i].v9, "%s", registry[i].name);
		cr_expect_eq(f->len, registry[i].len, "%s", registry[i].name);
	}
	cr_assert_eq(FIELD_COUNT, sizeof(registry) / sizeof(registry[0]),
		     "every row is in this test");
}

Test(field, names_and_ipfix_numbers_are_unique)
{
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		for (unsigned k = 0; k < i; k++) {
			cr_expect_str_neq(field_get(i)->name, field_get(k)->name);
			if (field_get(i)->ipfix_id != 0)
				cr_expect_neq(field_get(i)->ipfix_id, field_get(k)->ipfix_id, "%s",
					      field_get(i)->name);
		}
	}
}

Test(field, reduced_widths_are_not_wider_than_the_type)
{
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		cr_expect_leq(field_get(i)->ipfix_len, field_get(i)->len);
		cr_expect_leq(field_get(i)->v9_len, field_get(i)->len);
	}
}

Test(field, reverse_name_raises_the_first_letter)
{
	struct field_ref ref;
	cr_assert(find("reversePacketDeltaCount", &ref));
	cr_expect_eq(ref.id, FIELD_PACKETS);
	cr_expect(ref.reverse);
	char name[FIELD_NAME_MAX];
	cr_expect_eq(field_name(ref, name), strlen("reversePacketDeltaCount"));
	cr_expect_str_eq(name, "reversePacketDeltaCount");
}

Test(field, keys_have_no_reverse)
{
	struct field_ref ref;
	cr_expect_not(find("reverseSourceIPv4Address", &ref));
	cr_expect_not(find("reverseFlowId", &ref));
	cr_expect_not(find("reverseVlanId", &ref));
}

Test(field, unknown_names_and_prefixes_are_not_found)
{
	struct field_ref ref;
	cr_expect_not(find("octetDelta", &ref));
	cr_expect_not(find("OctetDeltaCount", &ref));
	cr_expect_not(find("", &ref));
	cr_expect(field_find("flowIdentity", strlen("flowId"), &ref), "the length counts");
}

Test(field, reverse_members_lie_one_direction_further)
{
	cr_expect_eq(field_offset((struct field_ref){FIELD_OCTETS, false}),
		     offsetof(struct flow_record, dir[0].octets));
	cr_expect_eq(field_offset((struct field_ref){FIELD_OCTETS, true}),
		     offsetof(struct flow_record, dir[1].octets));
	cr_expect_eq(field_offset((struct field_ref){FIELD_ICMP4, true}),
		     offsetof(struct flow_record, icmp[1]));
}

Test(field, reverse_counters_are_always_known_and_other_reverses_are_not)
{
	cr_expect_eq(field_needs((struct field_ref){FIELD_PACKETS, true}), 0);
	cr_expect_eq(field_needs((struct field_ref){FIELD_OCTETS, true}), 0);
	cr_expect_eq(field_needs((struct field_ref){FIELD_TOS, true}), NEEDS_REVERSE);
	cr_expect_eq(field_needs((struct field_ref){FIELD_VLAN, false}), NEEDS_VLAN);
}

Test(field, shape_tells_what_a_record_has)
{
	struct flow_record r = {.ip_version = 4, .vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE};
	cr_expect_eq(flow_shape(&r), NEEDS_IP4);
	r.ip_version = 6;
	cr_expect_eq(flow_shape(&r), NEEDS_IP6);
	r.vlan = 0;
	cr_expect_eq(flow_shape(&r), NEEDS_IP6 | NEEDS_VLAN, "0 is a VLAN id (priority tag)");
	r.cvlan = 4094;
	r.dst_mac[5] = 1;
	r.dir[FLOW_REVERSE].packets = 1;
	cr_expect_eq(flow_shape(&r),
		     NEEDS_IP6 | NEEDS_VLAN | NEEDS_CVLAN | NEEDS_MAC | NEEDS_REVERSE);
}

Test(field, icmp_is_known_by_protocol)
{
	struct flow_record r = {.ip_version = 4,
				.ip_proto = 1,
				.icmp_known = true,
				.vlan = FLOW_VLAN_NONE,
				.cvlan = FLOW_VLAN_NONE};
	cr_expect_eq(flow_shape(&r), NEEDS_IP4 | NEEDS_ICMP4);
	r.ip_version = 6;
	r.ip_proto = 58;
	cr_expect_eq(flow_shape(&r), NEEDS_IP6 | NEEDS_ICMP6);
	r.icmp_known = false;
	cr_expect_eq(flow_shape(&r), NEEDS_IP6);
}

Test(field, option_elements_have_names_and_numbers)
{
	unsigned n = 0;
	for (const struct option_element *o = option_elements; o->name != NULL; o++, n++)
		cr_expect(o->id != 0 && o->len != 0 && o->doc[0] != '\0', "%s", o->name);
	cr_expect_gt(n, 15);
}

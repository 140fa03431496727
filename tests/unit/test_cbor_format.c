/* CBOR maps, against bytes laid out by hand from RFC 8949 §3. */
#include "export.h"

static struct sink *s;
static struct encoder *enc;

Test(cbor_format, integers_of_every_width_and_text)
{
	enc = sink_open(&s,
			"cbor:-?fields=protocolIdentifier,sourceTransportPort,octetDeltaCount,"
			"flowId,sourceIPv4Address",
			NULL);
	struct flow_record r = record_udp4();
	r.dir[FLOW_FORWARD].octets = 1000000;
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	expect_message(s, 0,
		       "a5" /* map of 5 */
		       "72 70726f746f636f6c4964656e746966696572 11"
		       "73 736f757263655472616e73706f7274506f7274 190401"
		       "6f 6f6374657444656c7461436f756e74 1a000f4240"
		       "66 666c6f774964 1b0102030405060708"
		       "71 736f757263654950763441646472657373 69 3139322e302e322e31");
	sink_close(s, enc);
}

Test(cbor_format, small_numbers_are_one_byte_and_absent_fields_are_not_counted)
{
	enc = sink_open(&s, "cbor:-?fields=vlanId,packetDeltaCount,ipClassOfService", NULL);
	struct flow_record r = record_udp4();
	r.dir[FLOW_FORWARD].tos = 24;
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	expect_message(s, 0,
		       "a2"
		       "70 7061636b657444656c7461436f756e74 03"
		       "70 6970436c6173734f6653657276696365 1818");
	sink_close(s, enc);
}

Test(cbor_format, more_than_23_pairs_and_long_keys)
{
	enc = sink_open(&s, "cbor:-", NULL);
	struct flow_record r = record_udp4_answered();
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	/* 17 forward and 9 reverse elements */
	expect_bytes(p, 2 + 21, "b8 1a 74 666c6f7753746172744e616e6f7365636f6e6473");
	expect_bytes(p + 23, 2 + 30,
		     "78 1e 323032332d31312d31345432323a31333a31382e3030313233343536375a");
	sink_close(s, enc);
}

Test(cbor_format, sequence_is_one_map_after_the_other)
{
	enc = sink_open(&s, "cbor:-?fields=protocolIdentifier", NULL);
	struct flow_record r = record_udp4();
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	cr_assert_eq(s->len, 2 * 21);
	cr_expect_arr_eq(s->out, s->out + 21, 21);
	sink_close(s, enc);
}

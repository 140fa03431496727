/* CSV lines and the table for people. */
#include "export.h"

static struct sink *s;
static struct encoder *enc;

static const char *text(void)
{
	s->out[s->len] = '\0';
	return (const char *)s->out;
}

Test(csv, header_and_rows_have_the_same_columns)
{
	enc = sink_open(&s,
			"csv:-?fields=sourceIPv4Address,sourceIPv6Address,vlanId,octetDeltaCount,"
			"reverseOctetDeltaCount,reverseMinimumTTL",
			NULL);
	struct flow_record a = record_udp4(), b = record_tcp6(), c = record_udp4_answered();
	b.vlan = 7;
	enc->ops->begin(enc, (struct pkt_time){T0});
	enc->ops->record(enc, &a, (struct pkt_time){T0});
	enc->ops->record(enc, &b, (struct pkt_time){T0});
	enc->ops->record(enc, &c, (struct pkt_time){T0});
	cr_expect_str_eq(text(), "sourceIPv4Address,sourceIPv6Address,vlanId,octetDeltaCount,"
				 "reverseOctetDeltaCount,reverseMinimumTTL\n"
				 "192.0.2.1,,,180,0,\n"
				 ",2001:db8::1,7,1280,0,\n"
				 "192.0.2.1,,,180,100,50\n");
	cr_expect_eq(s->message[0].records, 0, "the header is no record");
	cr_expect_eq(s->message[1].records, 1);
	sink_close(s, enc);
}

static unsigned columns(const char *line)
{
	unsigned n = 1;
	for (; *line != '\n'; line++)
		n += *line == ',';
	return n;
}

Test(csv, default_columns_are_complete_for_any_record)
{
	enc = sink_open(&s, "csv:-", NULL);
	enc->ops->begin(enc, (struct pkt_time){T0});
	unsigned want = columns(text());
	struct flow_record rows[] = {record_udp4(), record_udp4_answered(), record_tcp6(),
				     record_ping()};
	for (size_t i = 0; i < 4; i++) {
		size_t at = s->len;
		enc->ops->record(enc, &rows[i], (struct pkt_time){T0});
		text();
		cr_expect_eq(columns((const char *)s->out + at), want);
	}
	sink_close(s, enc);
}

Test(table, line_for_people)
{
	enc = sink_open(&s, "table:-", NULL);
	struct flow_record r = record_udp4_answered();
	r.dir[FLOW_FORWARD].tcp_flags = 0x1c2;
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	cr_expect_str_eq(text(),
			 "2023-11-14 22:13:18.001     0.998 udp                 192.0.2.1:1025 -> "
			 "198.51.100.2:53                 3         180         1         100 "
			 "NCE....S. ......... idle\n");
	sink_close(s, enc);
}

Test(table, columns_line_up_with_their_titles)
{
	enc = sink_open(&s, "table:-", NULL);
	struct flow_record a = record_tcp6(), b = record_ping();
	enc->ops->begin(enc, (struct pkt_time){T0});
	size_t first = s->len;
	enc->ops->record(enc, &a, (struct pkt_time){T0});
	size_t second = s->len;
	enc->ops->record(enc, &b, (struct pkt_time){T0});
	const char *t = text();
	size_t title = (size_t)(strstr(t, "Destination") - t);
	cr_expect_eq(strncmp(t + first + title, "[2001:db8::2]:443", 17), 0, "%s", t);
	cr_expect_eq(strncmp(t + second + title, "198.51.100.2:8.0 ", 17), 0, "%s", t);
	sink_close(s, enc);
}

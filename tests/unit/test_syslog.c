/* Syslog messages, against messages written by hand from RFC 5424 §6. */
#include <unistd.h>

#include "err.h"

#include "export.h"

#define BODY	       "{\"sourceIPv4Address\":\"192.0.2.1\",\"packetDeltaCount\":3}"
#define FIELDS_OF_BODY "fields=sourceIPv4Address,packetDeltaCount"

static struct sink *s;
static struct encoder *enc;

static void expect_text(const struct flow_record *r, const char *want)
{
	s->len = 0;
	s->count = 0;
	enc->ops->record(enc, r, (struct pkt_time){T0});
	s->out[s->len] = '\0';
	cr_assert_eq(s->count, 1);
	cr_assert_eq(s->message[0].records, 1);
	cr_expect_str_eq((const char *)s->out, want);
	cr_expect_eq(s->len, strlen(want));
}

Test(syslog_format, message_is_written_as_the_rfc_has_it)
{
	enc = sink_open(&s, "syslog://h?hostname=probe.example&" FIELDS_OF_BODY, NULL);
	struct flow_record r = record_udp4();
	r.clock.ns = T0 + 123456789; /* 22:13:20.123456789: cut, not rounded */
	expect_text(&r, "<134>1 2023-11-14T22:13:20.123456Z probe.example weir - flow - " BODY);
	sink_close(s, enc);
}

/* §6.2.1: the product of facility and 8, plus severity; local4.notice is 165 there. */
Test(syslog_format, pri_has_no_leading_zeros)
{
	static const struct {
		const char *facility, *severity, *pri;
	} rows[] = {
		{"kern", "emerg", "<0>"},	{"kern", "debug", "<7>"},
		{"user", "emerg", "<8>"},	{"mail", "crit", "<18>"},
		{"daemon", "info", "<30>"},	{"auth", "alert", "<33>"},
		{"ntp", "debug", "<103>"},	{"clock", "err", "<123>"},
		{"local0", "info", "<134>"},	{"local4", "notice", "<165>"},
		{"local7", "warning", "<188>"}, {"local7", "debug", "<191>"},
	};
	struct flow_record r = record_udp4();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char url[256], want[256];
		snprintf(url, sizeof(url),
			 "syslog://h?facility=%s&severity=%s&hostname=h&" FIELDS_OF_BODY,
			 rows[i].facility, rows[i].severity);
		snprintf(want, sizeof(want),
			 "%s1 2023-11-14T22:13:20.000000Z h weir - flow - " BODY, rows[i].pri);
		enc = sink_open(&s, url, NULL);
		expect_text(&r, want);
		sink_close(s, enc);
	}
}

Test(syslog_format, live_messages_name_the_process)
{
	const struct exporter_conf live = {.replay = false, .sampling_n = 1};
	enc = sink_open(&s, "syslog://h?hostname=h&" FIELDS_OF_BODY, &live);
	struct flow_record r = record_udp4();
	char want[256];
	snprintf(want, sizeof(want), "<134>1 2023-11-14T22:13:20.000000Z h weir %d flow - " BODY,
		 (int)getpid());
	expect_text(&r, want);
	sink_close(s, enc);
}

Test(syslog_format, hostname_is_the_machines)
{
	char name[256] = "", want[512];
	gethostname(name, sizeof(name) - 1);
	enc = sink_open(&s, "syslog://h?" FIELDS_OF_BODY, NULL);
	struct flow_record r = record_udp4();
	snprintf(want, sizeof(want), "<134>1 2023-11-14T22:13:20.000000Z %s weir - flow - " BODY,
		 name);
	expect_text(&r, want);
	sink_close(s, enc);
}

Test(syslog_format, byte_order_mark_only_where_asked_for)
{
	enc = sink_open(&s, "syslog://h?bom=yes&hostname=h&" FIELDS_OF_BODY, NULL);
	struct flow_record r = record_udp4();
	expect_text(&r, "<134>1 2023-11-14T22:13:20.000000Z h weir - flow - \xef\xbb\xbf" BODY);
	sink_close(s, enc);
}

/* RFC 6587 §3.4.1: MSG-LEN SP SYSLOG-MSG. */
Test(syslog_format, on_a_stream_each_has_its_length_before_it)
{
	enc = sink_open(&s, "syslog+tcp://h?hostname=h&" FIELDS_OF_BODY, NULL);
	struct flow_record r = record_udp4();
	/* 7 + 27 + 18, and 54 of JSON */
	expect_text(&r, "105 <134>1 2023-11-14T22:13:20.000000Z h weir - flow - " BODY);
	sink_close(s, enc);
}

Test(syslog_format, length_may_have_two_to_four_digits)
{
	struct flow_record r = record_udp4_answered();
	enc = sink_open(&s, "syslog+tcp://h?hostname=h&fields=vlanId", NULL);
	expect_text(&r, "53 <134>1 2023-11-14T22:13:20.000000Z h weir - flow - {}");
	sink_close(s, enc);

	char host[256], url[512], want[1024];
	memset(host, 'x', 255);
	host[255] = '\0';
	snprintf(url, sizeof(url), "syslog+tcp://h?hostname=%s&bom=yes&" FIELDS_OF_BODY, host);
	snprintf(want, sizeof(want),
		 "362 <134>1 2023-11-14T22:13:20.000000Z %s weir - flow - \xef\xbb\xbf" BODY, host);
	enc = sink_open(&s, url, NULL);
	expect_text(&r, want);
	sink_close(s, enc);

	/* All default fields and a long name: the length is what follows it, whatever that is. */
	snprintf(url, sizeof(url), "syslog+tcp://h?hostname=%s", host);
	enc = sink_open(&s, url, NULL);
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	unsigned len = 0;
	int digits = 0;
	s->out[s->len] = '\0';
	cr_assert_eq(sscanf((const char *)s->out, "%u %n<134>1 ", &len, &digits), 1);
	cr_expect_eq(digits, 5);
	cr_expect_geq(len, 1000);
	cr_expect_eq(len + 5, s->len);
	sink_close(s, enc);
}

Test(syslog_format, datagram_that_would_not_fit_is_counted)
{
	/* 208 - 28 bytes for a message */
	enc = sink_open(&s, "syslog://h?hostname=h&mtu=208", NULL);
	struct flow_record r = record_udp4();
	enc->ops->record(enc, &r, (struct pkt_time){T0});
	cr_expect_eq(s->count, 0);
	cr_expect_eq(stat_get(&s->counters.dropped[DROP_TOO_BIG]), 1);
	sink_close(s, enc);

	enc = sink_open(&s, "syslog://h?hostname=h&mtu=208&" FIELDS_OF_BODY, NULL);
	expect_text(&r, "<134>1 2023-11-14T22:13:20.000000Z h weir - flow - " BODY);
	cr_expect_eq(stat_get(&s->counters.dropped[DROP_TOO_BIG]), 0);
	sink_close(s, enc);
}

static void expect_refused(const char *url, const char *why)
{
	char text[512] = "";
	struct errtext e = {.buf = text, .size = sizeof(text)};
	struct url_spec spec;
	const struct exporter_conf run = {.replay = true, .sampling_n = 1};
	int err = url_parse(url, &e, &spec);
	struct encoder *none = NULL;
	const struct encoder_conf conf = {.run = &run, .spec = &spec, .max_message = 1400};
	if (err == 0)
		err = spec.scheme->format->open(&conf, &e, &none);
	cr_expect_eq(err, ERR_USAGE, "%s", url);
	cr_expect_not_null(strstr(text, why), "%s: %s", url, text);
	url_spec_fini(&spec);
}

Test(syslog_format, options_that_make_no_message_are_refused)
{
	char longest[300] = "syslog://h?hostname=";
	memset(longest + strlen(longest), 'x', 256);
	expect_refused("syslog://h?facility=local8", "local0 to local7");
	expect_refused("syslog://h?severity=6", "warning, notice, info or debug");
	expect_refused("syslog://h?hostname=two words", "without spaces");
	expect_refused("syslog://h?hostname=\xc3\xa9", "printable ASCII");
	expect_refused(longest, "at most 255");
	expect_refused("syslog://h?bom=maybe", "yes or no");
	expect_refused("json:-?facility=user", "json has no option \"facility\"");
}

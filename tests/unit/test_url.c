/* Output URLs: what is understood, and what is refused with which words. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../exporter/fail.h"
#include "../../exporter/url.h"
#include "err.h"
#include "exporter.h"

static struct url_spec spec;
static char text[512];

static int parse(const char *url)
{
	struct errtext e = {.buf = text, .size = sizeof(text)};
	text[0] = '\0';
	int err = url_parse(url, &e, &spec);
	if (err != 0)
		url_spec_fini(&spec);
	return err;
}

Test(url, hosts_and_ports)
{
	static const struct {
		const char *url, *scheme, *host, *port;
	} rows[] = {
		{"ipfix://collector", "ipfix", "collector", "4739"},
		{"netflow5://192.0.2.1", "netflow5", "192.0.2.1", "2055"},
		{"netflow9://192.0.2.1:9995", "netflow9", "192.0.2.1", "9995"},
		{"ipfix://[2001:db8::1]", "ipfix", "2001:db8::1", "4739"},
		{"ipfix://[::1]:65535?rate=0", "ipfix", "::1", "65535"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i].url), 0, "%s: %s", rows[i].url, text);
		cr_expect_str_eq(spec.scheme->name, rows[i].scheme);
		cr_expect_str_eq(spec.host, rows[i].host);
		cr_expect_str_eq(spec.port, rows[i].port);
		url_spec_fini(&spec);
	}
}

Test(url, paths_keep_percent_signs)
{
	cr_assert_eq(parse("json:flows/%Y/%m-%d.json?rotate=300"), 0);
	cr_expect_str_eq(spec.path, "flows/%Y/%m-%d.json");
	cr_expect_eq(spec.rotate_s, 300);
	cr_expect_eq(spec.rotate_bytes, 0);
	url_spec_fini(&spec);
}

Test(url, sizes_have_binary_units)
{
	static const struct {
		const char *url;
		uint64_t bytes;
	} rows[] = {
		{"json:x?rotate=4096B", 4096},
		{"json:x?rotate=64KiB", 65536},
		{"json:x?rotate=64MiB", 64 << 20},
		{"json:x?rotate=3GiB", UINT64_C(3) << 30},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i].url), 0, "%s: %s", rows[i].url, text);
		cr_expect_eq(spec.rotate_bytes, rows[i].bytes);
		cr_expect_eq(spec.rotate_s, 0);
		url_spec_fini(&spec);
	}
}

Test(url, options_reach_their_members)
{
	cr_assert_eq(parse("ipfix://h?biflow=yes&fields=flowId&template-refresh=5&mtu=9000&rate=7"
			   "&domain=4294967295"),
		     0, "%s", text);
	cr_expect(spec.biflow);
	cr_expect_str_eq(spec.fields, "flowId");
	cr_expect_eq(spec.template_refresh_s, 5);
	cr_expect_eq(spec.mtu, 9000);
	cr_expect_eq(spec.rate, 7);
	cr_expect_eq(spec.domain, UINT32_MAX);
	url_spec_fini(&spec);
	cr_assert_eq(parse("json:-?names=ecs&biflow=no"), 0, "%s", text);
	cr_expect_eq(spec.names, NAMES_ECS);
	cr_expect_not(spec.biflow);
	url_spec_fini(&spec);
}

/* An & beside a blank belongs to the value; %XX is decoded, + is not. */
Test(url, kafka_properties_keep_their_order_and_are_quoted)
{
	cr_assert_eq(parse("kafka://a:1,[::1]:2,c/t.x?kafka.b.c=1%26%25=2&kafka.a=x&acks=0"), 0,
		     "%s", text);
	cr_expect_str_eq(spec.host, "a:1,[::1]:2,c");
	cr_expect_str_eq(spec.topic, "t.x");
	cr_expect_str_eq(spec.acks, "0");
	cr_assert_eq(spec.properties_count, 2);
	cr_expect_str_eq(spec.properties[0].name, "b.c");
	cr_expect_str_eq(spec.properties[0].value, "1&%=2");
	cr_expect_str_eq(spec.properties[1].name, "a");
	url_spec_fini(&spec);
}

Test(url, filters_are_quoted)
{
	static const struct {
		const char *url, *filter;
	} rows[] = {
		{"json:-?filter=ipVersion == 4", "ipVersion == 4"},
		{"json:-?filter=ipVersion%20%3d%3D%204&biflow=no", "ipVersion == 4"},
		{"json:-?filter=tcpControlBits%260x02&biflow=no", "tcpControlBits&0x02"},
		{"json:-?filter=tcpControlBits & 0x02&biflow=no", "tcpControlBits & 0x02"},
		{"json:-?filter=tcpControlBits& 0x02&biflow=no", "tcpControlBits& 0x02"},
		{"json:-?filter=tcpControlBits &0x02&biflow=no", "tcpControlBits &0x02"},
		{"json:-?filter=a && b&biflow=no", "a && b"},
		{"json:%25?filter=a+b%2b%25&biflow=no", "a+b+%"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i].url), 0, "%s: %s", rows[i].url, text);
		cr_expect_str_eq(spec.filter, rows[i].filter);
		cr_expect_eq(spec.biflow, i == 0);
		url_spec_fini(&spec);
	}
	cr_assert_eq(parse("json:%25"), 0);
	cr_expect_str_eq(spec.path, "%25", "a path is not");
	cr_expect_null(spec.filter);
	cr_expect_eq(spec.sample, 1);
	url_spec_fini(&spec);
}

Test(url, biflow_defaults)
{
	static const struct {
		const char *url;
		bool biflow;
	} rows[] = {
		{"netflow5://h", false}, {"netflow9://h", false}, {"ipfix://h", false},
		{"ipfix-file:x", true},	 {"json:-", true},	  {"csv:-", true},
		{"cbor:-", true},	 {"table:-", true},	  {"null:", true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i].url), 0);
		cr_expect_eq(spec.biflow, rows[i].biflow, "%s", rows[i].url);
		url_spec_fini(&spec);
	}
}

/* The URL, and words that must be in the one line it is refused with. */
static const struct {
	const char *url, *says;
} refused[] = {
	{"json", "no scheme"},
	{"xml:-", "no output \"xml\""},
	{"kafka://b:9092", "kafka wants kafka://host:port,host:port/topic"},
	{"kafka://b:9092,/t", "write host:port with commas between"},
	{"kafka://::1/t", "IPv6 addresses in brackets"},
	{"kafka://b/a/b", "topic \"a/b\" is wrong"},
	{"kafka://b/t?acks=2", "acks wants all, 1 or 0"},
	{"kafka://b/t?kafka.a=1&kafka.a=2", "kafka.a is given twice"},
	{"kafka://b/t?kafka.a=", "kafka.a wants a value"},
	{"kafka://b/t?kafka.a=1%", "%25 for %"},
	{"json:", "json:PATH"},
	{"null:x", "takes no address"},
	{"ipfix:h", "ipfix://host:port"},
	{"ipfix://", "no host"},
	{"ipfix://:4739", "no host"},
	{"ipfix://::1", "ipfix://[::1]"},
	{"ipfix://::1:2055", "ipfix://[::1]:2055"},
	{"netflow9://2001:db8::1:9995", "netflow9://[2001:db8::1]:9995"},
	{"ipfix://2001:db8::beef", "ipfix://[2001:db8::beef]"},
	{"json://collector:2055", "json: writes a file; a host is for netflow5, netflow9, ipfix"},
	{"csv:///var/flows", "write csv:/var/flows"},
	{"ipfix://[::1", "bracket"},
	{"ipfix://[::1]x", ":port"},
	{"ipfix://h:", "port"},
	{"ipfix://h:0", "1 to 65535"},
	{"ipfix://h:65536", "1 to 65535"},
	{"ipfix://h:12x", "1 to 65535"},
	{"json:-?colour=red",
	 "no option \"colour\", it takes biflow, filter, sample, fields, names, rotate"},
	{"ipfix://h?anonymise=addresses", "\"anonymise\" is not supported"},
	{"json:-?biflow", "name=value"},
	{"json:-?biflow=maybe", "yes or no"},
	{"json:-?biflow=yes&biflow=yes", "given twice"},
	{"json:x?rotate=0", "rotate=300"},
	{"json:x?rotate=5MB", "rotate=64MiB"},
	{"json:x?rotate=99999999999999999999", "rotate"},
	{"json:x?rotate=99999999999GiB", "rotate"},
	{"json:-?rotate=5", "standard output"},
	{"json:x?names=elastic", "iana or ecs"},
	{"json:x?fields=", "element names"},
	{"json:x?mtu=1000", "no option \"mtu\""},
	{"netflow5://h?fields=flowId", "no option \"fields\""},
	{"json:-?filter=a%2", "with %25 for %"},
	{"json:-?filter=%zz", "with %25 for %"},
	{"json:-?filter=a%00b", "with %25 for %"},
	{"json:-?filter=", "filter wants an expression"},
	{"json:-?sample=0", "one flow in N"},
	{"json:-?sample=1:2", "one flow in N"},
	{"ipfix://h?mtu=100", "128 to 65535"},
	{"ipfix://h?rate=-1", "0 for no limit"},
	{"ipfix://h?template-refresh=0", "1 to 86400"},
	{"ipfix://h?domain=4294967296", "4294967295"},
};

Test(url, wrong_ones_are_refused_with_the_cure)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		cr_expect_eq(parse(refused[i].url), ERR_USAGE, "%s", refused[i].url);
		cr_expect(strstr(text, refused[i].says) != NULL, "%s: %s", refused[i].url, text);
		cr_expect_null(strchr(text, '\n'));
	}
}

/* Each fault of a URL, all in the one line. */
static const struct {
	const char *url;
	const char *says[4];
} many[] = {
	{"csv:-?fields=foo,bar&zork=1&rotate=x",
	 {"no option \"zork\"", "rotate=x is wrong", "no element \"foo\"", "no element \"bar\""}},
	{"ipfix://h:0?mtu=1&rate=x", {"port \"0\" is wrong", "mtu=1 is wrong", "rate=x is wrong"}},
	{"json://h?biflow=maybe&names=x", {"writes a file", "biflow=maybe", "names=x"}},
	{"netflow5://?domain=256", {"no host", "0 to 255"}},
	{"json:-?rotate=5&biflow", {"name=value", "standard output cannot rotate"}},
};

Test(url, all_faults_are_told_at_once)
{
	const struct exporter_conf conf = {.replay = true, .sampling_n = 1};
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		cr_expect_eq(exporter_check_output(&conf, many[i].url, text, sizeof(text)),
			     ERR_USAGE);
		for (unsigned k = 0; k < 4 && many[i].says[k] != NULL; k++)
			cr_expect(strstr(text, many[i].says[k]) != NULL, "%s: %s", many[i].url,
				  text);
		cr_expect(strstr(text, "; ") != NULL, "%s", text);
	}
}

Test(url, outputs_are_checked_together)
{
	static const char *const urls[] = {"json:-", "csv:x?rotate=5", "csv:-",
					   "null:", "json:./x"};
	static const int results[] = {0, 0, ERR_USAGE, 0, ERR_USAGE};
	const struct exporter_conf conf = {.outputs = urls, .outputs_count = 5, .sampling_n = 1};
	for (unsigned i = 0; i < 5; i++)
		cr_expect_eq(exporter_check_together(&conf, i, text, sizeof(text)), results[i],
			     "%s: %s", urls[i], text);
}

/* The same for what only the whole output can tell. */
static const struct {
	const char *url;
	uint32_t n;
	const char *says;
} unfit[] = {
	{"netflow9://h?biflow=yes", 1, "NetFlow has no reverse elements"},
	{"netflow5://h", 16384, "1/16383"},
	{"netflow5://h?sample=17", 1000, "not 1/17000"},
	{"ipfix://h?sample=4294968", 1000, "sample=4294968"},
	{"ipfix://h?filter=reverseFlowId == 1", 1, "unknown element 'reverseFlowId'"},
	{"ipfix://h?filter=reversePacketDeltaCount == 1", 1, "biflow=yes"},
	{"json:-?filter=sourceIP in 10.0.0.0/8", 1,
	 "filter: unknown element 'sourceIP' (did you mean sourceIPv4Address?)\n"
	 "    sourceIP in 10.0.0.0/8\n"
	 "    ^"},
	{"netflow5://h?domain=256", 1, "0 to 255"},
	{"ipfix://h?fields=flowIdentity", 1, "no element \"flowIdentity\""},
	{"ipfix://h?fields=flowId,,vlanId", 1, "no element \"\""},
	{"ipfix://h?fields=flowStartSysUpTime", 1, "flowStartMilliseconds"},
	{"json:-?fields=flowStartSysUpTime", 1, "flowStartNanoseconds"},
	{"ipfix://h?fields=reverseOctetDeltaCount", 1, "biflow=yes"},
	{"ipfix://h?mtu=128", 1, "larger mtu="},
};

Test(url, options_that_do_not_go_together_are_refused)
{
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		const struct exporter_conf conf = {
			.replay = true, .sampling = SAMPLING_SYSTEMATIC, .sampling_n = unfit[i].n};
		int err = exporter_check_output(&conf, unfit[i].url, text, sizeof(text));
		cr_expect_eq(err, ERR_USAGE, "%s", unfit[i].url);
		cr_expect(strstr(text, unfit[i].says) != NULL, "%s: %s", unfit[i].url, text);
		cr_expect(strncmp(text, "output \"", 8) == 0, "%s", text);
	}
}

Test(url, right_ones_pass_the_check_without_opening_anything)
{
	static const char *const urls[] = {
		"netflow5://no.such.host.invalid",
		"json:/no/such/directory/x",
		"ipfix://h?fields=default,sourceMacAddress",
		"netflow9://h?fields=flowStartMilliseconds",
		"csv:x?rotate=1MiB",
	};
	const struct exporter_conf conf = {.replay = true, .sampling_n = 1};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		cr_expect_eq(exporter_check_output(&conf, urls[i], text, sizeof(text)), 0, "%s",
			     text);
}

Test(url, a_short_buffer_is_not_overrun)
{
	char small[24];
	memset(small, 'x', sizeof(small));
	const struct exporter_conf conf = {.replay = true, .sampling_n = 1};
	cr_expect_eq(exporter_check_output(&conf, "json:-?colour=red", small, 16), ERR_USAGE);
	cr_expect_eq(small[15], '\0');
	cr_expect_eq(small[16], 'x');
}

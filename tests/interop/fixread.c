/*
 * Reads an IPFIX file with libfixbuf and prints every data record as one JSON line, in the words of libfixbuf's own
 * information model, so that weir's files are judged by a reader that shares no line with weir.
 *
 *   fixread FILE      {"template": 256, "domain": 1, "scope": 0, "fields": {"octetDeltaCount": 60, ...}}
 *   fixread --listen PORT   the same from the first session on this TCP port of loopback, until it ends
 *   fixread --model   number, name and data type of every IANA element libfixbuf knows
 *
 * The external template serves as the internal one too, so records arrive packed, in host byte order, with the lengths of
 * the wire. Times are printed as raw integers (milliseconds, or the 64-bit NTP value). Exit 0, or 1 with a line on stderr.
 */
#include <arpa/inet.h>
#include <fixbuf/public.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MAX 65536

static uint64_t host_uint(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < len; i++)
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
		v |= (uint64_t)p[i] << (8 * i);
#else
		v = v << 8 | p[i];
#endif
	return v;
}

static void print_text(const uint8_t *p, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len && p[i]; i++) {
		if (p[i] < 0x20 || p[i] == '"' || p[i] == '\\')
			printf("\\u%04x", p[i]);
		else
			putchar(p[i]);
	}
	putchar('"');
}

static void print_hex(const uint8_t *p, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
	putchar('"');
}

static void print_value(const fbInfoElement_t *ie, const uint8_t *p, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	switch (ie->ref.canon->type) {
	case FB_IP4_ADDR: {
		struct in_addr a = {htonl((uint32_t)host_uint(p, 4))};
		printf("\"%s\"", inet_ntop(AF_INET, &a, text, sizeof text));
		break;
	}
	case FB_IP6_ADDR:
		printf("\"%s\"", inet_ntop(AF_INET6, p, text, sizeof text));
		break;
	case FB_MAC_ADDR:
		printf("\"%02x:%02x:%02x:%02x:%02x:%02x\"", p[0], p[1], p[2], p[3], p[4], p[5]);
		break;
	case FB_STRING:
		print_text(p, len);
		break;
	case FB_FLOAT_64: {
		double d = 0;
		memcpy(&d, p, len == sizeof d ? sizeof d : 0);
		printf("%.17g", d);
		break;
	}
	case FB_OCTET_ARRAY:
		print_hex(p, len);
		break;
	default:
		printf("%" PRIu64, host_uint(p, (unsigned)len));
	}
}

static void print_record(fbTemplate_t *tmpl, uint16_t tid, uint32_t domain, const uint8_t *rec)
{
	printf("{\"template\": %u, \"domain\": %" PRIu32 ", \"scope\": %" PRIu32 ", \"fields\": {", tid, domain,
	       fbTemplateGetOptionsScope(tmpl));
	for (uint32_t i = 0; i < fbTemplateCountElements(tmpl); i++) {
		const fbInfoElement_t *ie = fbTemplateGetIndexedIE(tmpl, i);
		printf("%s\"%s\": ", i ? ", " : "", ie->ref.canon->ref.name);
		if (ie->len == FB_IE_VARLEN) {
			fbVarfield_t var;
			memcpy(&var, rec, sizeof var);
			print_value(ie, var.buf, var.len);
			rec += sizeof var;
		} else {
			print_value(ie, rec, ie->len);
			rec += ie->len;
		}
	}
	puts("}}");
}

static int fail(const char *what, GError *err)
{
	fprintf(stderr, "fixread: %s: %s\n", what, err ? err->message : "unknown");
	return 1;
}

/* Until the end of the file or session. */
static int read_records(fBuf_t *buf, const char *path)
{
	GError *err = NULL;
	fbSession_t *session = fBufGetSession(buf);
	static uint8_t rec[RECORD_MAX];
	for (;;) {
		uint16_t tid;
		fbTemplate_t *tmpl = fBufNextCollectionTemplate(buf, &tid, &err);
		if (!tmpl)
			break;
		if (!fbSessionAddTemplate(session, TRUE, tid, tmpl, &err) ||
		    !fBufSetInternalTemplate(buf, tid, &err))
			return fail("template", err);
		size_t len = sizeof rec;
		if (!fBufNext(buf, rec, &len, &err))
			break;
		print_record(tmpl, tid, fbSessionGetDomain(session), rec);
	}
	if (!g_error_matches(err, FB_ERROR_DOMAIN, FB_ERROR_EOF))
		return fail(path, err);
	return 0;
}

static int read_file(fbInfoModel_t *model, const char *path)
{
	GError *err = NULL;
	fbCollector_t *collector = fbCollectorAllocFile(NULL, path, &err);
	if (!collector)
		return fail(path, err);
	return read_records(fBufAllocForCollection(fbSessionAlloc(model), collector), path);
}

static int read_session(fbInfoModel_t *model, char *port)
{
	GError *err = NULL;
	char host[] = "127.0.0.1";
	fbConnSpec_t spec = {.transport = FB_TCP, .host = host, .svc = port};
	fbListener_t *listener = fbListenerAlloc(&spec, fbSessionAlloc(model), NULL, NULL, &err);
	fBuf_t *buf = listener ? fbListenerWait(listener, &err) : NULL;
	if (!buf)
		return fail(port, err);
	int status = read_records(buf, port);
	fBufFree(buf);
	fflush(stdout);
	return status;
}

static int print_model(fbInfoModel_t *model)
{
	fbInfoModelIter_t iter;
	const fbInfoElement_t *ie;
	fbInfoModelIterInit(&iter, model);
	while ((ie = fbInfoModelIterNext(&iter)))
		if (ie->ent == 0)
			printf("%u %s %u\n", ie->num, ie->ref.name, ie->type);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2 && (argc != 3 || strcmp(argv[1], "--listen"))) {
		fprintf(stderr, "usage: fixread FILE | --listen PORT | --model\n");
		return 2;
	}
	fbInfoModel_t *model = fbInfoModelAlloc();
	if (argc == 3)
		return read_session(model, argv[2]);
	return strcmp(argv[1], "--model") ? read_file(model, argv[1]) : print_model(model);
}

/*
 * TLS outputs against OpenSSL servers in this process, with throw-away certificates that the
 * openssl tool makes when the suite starts. What is right and wrong is RFC 7011 §11 and RFC 6125.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "export.h"
#include "log.h"

static char dir[] = "/tmp/weir-test-XXXXXX";
static struct exporter *x;
static char errbuf[1024];

/* An authority, a server and a client that it signed, and a stranger. */
static const char make_certificates[] =
	"exec >/dev/null 2>&1; set -e\n"
	"for ca in ca other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $ca.key -out "
	"$ca.pem"
	" -days 2 -subj /CN=$ca; done\n"
	"for who in server client; do\n"
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $who.key -out $who.csr -subj /CN=localhost\n"
	"echo subjectAltName=DNS:collector.test,IP:127.0.0.1 > ext\n"
	"openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "
	"ext"
	" -out $who.pem; chmod 600 $who.key; done\n"
	"cp client.key open.key; chmod 640 open.key\n"
	"openssl ec -aes128 -passout pass:secret -in client.key -out locked.key; chmod 600 "
	"locked.key\n";

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(system(make_certificates), 0);
}

static void leave(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(command), 0);
}

TestSuite(tls, .init = enter, .fini = leave, .timeout = 60);

/* ---- a collector ---- */

struct server {
	pthread_t thread;
	SSL_CTX *context;
	int listener;
	unsigned port;
	unsigned served;  /* connections whose handshake went well ... */
	unsigned refused; /* ... and those that did not */
	unsigned cut;	  /* so many of the first are cut after the first read */
	char version[16]; /* of the last */
	char client[64];  /* subject of the client's certificate */
	size_t len;
	char bytes[1 << 22]; /* of the last session */
};

static void serve(struct server *s, int fd)
{
	SSL *ssl = SSL_new(s->context);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1) {
		s->refused++;
		SSL_free(ssl);
		close(fd);
		return;
	}
	snprintf(s->version, sizeof(s->version), "%s", SSL_get_version(ssl));
	X509 *peer = SSL_get1_peer_certificate(ssl);
	if (peer != NULL)
		X509_NAME_oneline(X509_get_subject_name(peer), s->client, sizeof(s->client));
	X509_free(peer);
	s->len = 0;
	for (int n; (n = SSL_read(ssl, s->bytes + s->len, (int)(sizeof(s->bytes) - s->len))) > 0;) {
		s->len += (size_t)n;
		if (s->served < s->cut)
			break;
	}
	if (s->served++ < s->cut)
		SSL_set_quiet_shutdown(ssl, 1);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

/* Until nobody has come for a second after the exporter is done: the listener is shut down. */
static void *server_thread(void *arg)
{
	struct server *s = arg;
	for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;)
		serve(s, fd);
	return NULL;
}

static void server_start(struct server *s, bool wants_client, int version)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->context = SSL_CTX_new(TLS_server_method());
	cr_assert_eq(SSL_CTX_use_certificate_chain_file(s->context, "server.pem"), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey_file(s->context, "server.key", SSL_FILETYPE_PEM), 1);
	cr_assert_eq(SSL_CTX_load_verify_locations(s->context, "ca.pem", NULL), 1);
	if (wants_client)
		SSL_CTX_set_verify(s->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
				   NULL);
	if (version != 0) {
		SSL_CTX_set_max_proto_version(s->context, version);
		SSL_CTX_set_security_level(s->context, 0);
	}
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(s->listener, 8), 0);
	cr_assert_eq(getsockname(s->listener, (struct sockaddr *)&sa, &len), 0);
	s->port = ntohs(sa.sin_port);
	cr_assert_eq(pthread_create(&s->thread, NULL, server_thread, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	SSL_CTX_free(s->context);
}

/* ---- the exporter ---- */

static int try_to_open(const char *fmt, unsigned port)
{
	char url[256];
	const char *urls[] = {url};
	const struct exporter_conf conf = {
		.outputs = urls,
		.outputs_count = 1,
		.workers = 1,
		.replay = true,
		.sampling_n = 1,
	};
	snprintf(url, sizeof(url), fmt, port);
	return exporter_new(&conf, errbuf, sizeof(errbuf), &x);
}

/* Sends `n` records; what exporter_stop says. */
static int send_records(const char *fmt, unsigned port, unsigned n)
{
	cr_assert_eq(try_to_open(fmt, port), 0, "%s", errbuf);
	cr_assert_eq(exporter_start(x), 0);
	struct export_queue *q = exporter_queue(x, 0);
	for (unsigned i = 0; i < n; i++) {
		union export_item *item = export_queue_reserve(q);
		item->record = record_udp4();
		item->record.clock.ns = T0 + i;
		export_queue_commit(q);
	}
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	int err = exporter_stop(x);
	struct output_stats s;
	exporter_output_stats(x, 0, &s);
	cr_expect_eq(s.records + s.records_dropped, n);
	exporter_free(x);
	return err;
}

static unsigned lines(const struct server *s)
{
	unsigned n = 0;
	for (size_t i = 0; i < s->len; i++)
		n += s->bytes[i] == '\n';
	return n;
}

static struct server s;

/* ---- what is right ---- */

Test(tls, both_sides_show_certificates_and_everything_arrives)
{
	server_start(&s, true, 0);
	cr_expect_eq(
		send_records("json+tls://127.0.0.1:%u?ca=ca.pem&cert=client.pem&key=client.key",
			     s.port, 5000),
		0);
	server_stop(&s);
	cr_expect_eq(lines(&s), 5000);
	cr_expect_str_eq(s.version, "TLSv1.3");
	cr_expect_str_eq(s.client, "/CN=localhost");
}

Test(tls, version_1_2_is_spoken_too)
{
	server_start(&s, true, TLS1_2_VERSION);
	cr_expect_eq(
		send_records("json+tls://127.0.0.1:%u?ca=ca.pem&cert=client.pem&key=client.key",
			     s.port, 100),
		0);
	server_stop(&s);
	cr_expect_eq(lines(&s), 100);
	cr_expect_str_eq(s.version, "TLSv1.2");
}

Test(tls, ipfix_goes_over_it)
{
	server_start(&s, false, 0);
	cr_expect_eq(send_records("ipfix+tls://127.0.0.1:%u?ca=ca.pem", s.port, 10), 0);
	server_stop(&s);
	cr_assert_gt(s.len, 20);
	cr_expect_arr_eq(s.bytes, "\0\012", 2);	     /* version 10 */
	cr_expect_arr_eq(s.bytes + 16, "\0\002", 2); /* a template set */
}

Test(tls, peer_name_says_whom_to_expect)
{
	server_start(&s, false, 0);
	cr_expect_eq(send_records("json+tls://localhost:%u?ca=ca.pem&peer-name=collector.test",
				  s.port, 10),
		     0);
	server_stop(&s);
	cr_expect_eq(lines(&s), 10);
}

Test(tls, a_session_that_is_cut_is_sent_again)
{
	s.cut = 2;
	server_start(&s, false, 0);
	cr_expect_eq(send_records("json+tls://127.0.0.1:%u?ca=ca.pem", s.port, 3000), 0);
	server_stop(&s);
	cr_expect_eq(s.served, 3);
	cr_expect_eq(lines(&s), 3000);
}

Test(tls, verify_no_takes_anybody)
{
	server_start(&s, false, 0);
	cr_expect_eq(send_records("json+tls://localhost:%u?verify=no", s.port, 10), 0);
	server_stop(&s);
	cr_expect_eq(lines(&s), 10);
}

/* ---- what is wrong ---- */

/* URLs that must not get a record through, and how the server is set up. */
static const struct {
	const char *url;
	bool wants_client;
	int version;
} refused[] = {
	/* the common name is localhost, but names are looked for in subjectAltName */
	{"json+tls://localhost:%u?connect-wait=0&ca=ca.pem", false, 0},
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=ca.pem&peer-name=127.0.0.2", false, 0},
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=ca.pem&peer-name=other.test", false, 0},
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=other.pem", false, 0},
	{"json+tls://127.0.0.1:%u?connect-wait=0", false, 0}, /* nobody the system trusts */
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=ca.pem", true, 0},
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=ca.pem&min-version=1.3", false, TLS1_2_VERSION},
	{"json+tls://127.0.0.1:%u?connect-wait=0&ca=ca.pem", false, TLS1_1_VERSION},
};

Test(tls, nothing_is_sent_to_a_peer_that_is_not_right)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		memset(&s, 0, sizeof(s));
		server_start(&s, refused[i].wants_client, refused[i].version);
		cr_expect_eq(send_records(refused[i].url, s.port, 10), ERR_NOTREADY, "row %zu", i);
		server_stop(&s);
		cr_expect_eq(s.len, 0, "row %zu: %zu bytes", i, s.len);
	}
}

/* Options that are wrong before anybody is called, and what the line must say. */
static const struct {
	const char *url, *says;
} wrong[] = {
	{"json+tls://h:%u?cert=client.pem&key=open.key", "chmod 600"},
	{"json+tls://h:%u?cert=client.pem&key=locked.key", "passphrase"},
	{"json+tls://h:%u?cert=client.pem&key=server.key", "no key that fits"},
	{"json+tls://h:%u?key=client.key", "wants cert="},
	{"json+tls://h:%u?cert=client.pem&key=server.key", "give the key that cert= was made with"},
	{"json+tls://h:%u?cert=missing.pem&key=client.key",
	 "cert=missing.pem: there is no such file; put it there, or correct the path"},
	{"json+tls://h:%u?cert=client.pem&key=missing.key", "key=missing.key: there is no such file; "},
	{"json+tls://h:%u?ca=missing.pem", "ca=missing.pem: there is no such file; "},
	{"json+tls://h:%u?ca=ca.pem/ca.pem", "ca=ca.pem/ca.pem: there is no such file; "},
	{"json+tls://h:%u?ca=.", "ca=.: that is a directory; name the file in it"},
	{"json+tls://h:%u?cert=.", "cert=.: that is a directory; "},
	{"json+tls://h:%u?cert=client.pem&key=.", "key=.: that is a directory; "},
	{"json+tls://h:%u?ca=client.key", "ca=client.key: no certificates in PEM: "},
	{"json+tls://h:%u?ca=client.key", "openssl x509 makes PEM"},
	{"json+tls://h:%u?cert=client.key", "cert=client.key: no certificate in PEM: "},
	{"ipfix+dtls://h:%u?ca=missing.pem", "ca=missing.pem: there is no such file; "},
	{"syslog+tls://h:%u?ca=missing.pem&cert=missing.pem", "; cert=missing.pem: there is no such file"},
#ifdef WITH_KAFKA
	{"kafka://h:%u/t?kafka.security.protocol=ssl&kafka.ssl.ca.location=missing.pem",
	 "kafka.ssl.ca.location=missing.pem: there is no such file; "},
	{"kafka://h:%u/t?kafka.ssl.key.location=.", "kafka.ssl.key.location=.: that is a directory; "},
#endif
	{"json+tls://h:%u?verify=no&ca=ca.pem", "nothing for ca="},
	{"json+tls://h:%u?min-version=1.1", "1.2 or 1.3"},
	{"json+tls://h:%u?verify=maybe", "yes or no"},
};

Test(tls, wrong_options_are_told_at_the_start)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_expect_eq(try_to_open(wrong[i].url, 4740), ERR_USAGE, "%s", wrong[i].url);
		cr_expect_not_null(strstr(errbuf, wrong[i].says), "%s", errbuf);
	}
}

/* As a user who may look into the directory, but not at these files; root may read all. */
Test(tls, files_that_may_not_be_read_are_told_with_the_cure)
{
	static const struct {
		const char *url, *says;
	} rows[] = {
		{"ipfix+tls://h:%u?ca=ca.pem", "ca=ca.pem: weir may not read it; give it, "},
		{"ipfix+tls://h:%u?cert=server.pem", "cert=server.pem: weir may not read it; give it, "},
		{"ipfix+tls://h:%u?cert=client.pem&key=client.key",
		 "key=client.key: weir may not read it; give it, "},
	};
	const bool root = geteuid() == 0;
	cr_assert_eq(system("chmod 755 . && chmod 644 client.pem && chmod 000 ca.pem server.pem client.key"),
		     0);
	cr_assert_eq(root ? seteuid(65534) : 0, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(try_to_open(rows[i].url, 4740), ERR_USAGE);
		cr_expect_not_null(strstr(errbuf, rows[i].says), "%s", errbuf);
	}
	cr_assert_eq(root ? seteuid(0) : 0, 0);
}

/* Version, and what is built in. */
#include "version.h"

#include <cbor.h>
#include <confuse.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* declares what Linux's own header does */
#include <pcap/pcap.h>
#include <zlib.h>
#include <zstd.h>

#include "capture.h"

#ifdef WITH_XDP
#include <bpf/libbpf.h>
#endif
#ifdef WITH_KAFKA
#include <librdkafka/rdkafka.h>
#endif

void version_print(FILE *out)
{
	fprintf(out, "weir %s\n", WEIR_VERSION);
	fprintf(out, "inputs:");
	for (unsigned i = 0; capture_backends[i] != NULL; i++)
		fprintf(out, " %s", capture_backends[i]->name);
	fprintf(out,
		"\nlibraries: %s, libevent %s, zlib %s, zstd %s, libcbor %d.%d.%d, %s, OpenSSL %s",
		pcap_lib_version(), event_get_version(), zlibVersion(), ZSTD_versionString(),
		CBOR_MAJOR_VERSION, CBOR_MINOR_VERSION, CBOR_PATCH_VERSION, confuse_version,
		OpenSSL_version(OPENSSL_VERSION_STRING));
#ifdef WITH_XDP
	fprintf(out, ", libbpf %s", libbpf_version_string());
#endif
#ifdef WITH_KAFKA
	fprintf(out, ", librdkafka %s\n", rd_kafka_version_str());
#else
	fprintf(out, "\nwithout: librdkafka (kafka://)\n");
#endif
}

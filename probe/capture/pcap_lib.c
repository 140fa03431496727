/*
 * Capture files that the mapped readers do not know, read by libpcap: modified pcap (magic
 * a1b2cd34 and its kin) and pcap of old versions.
 *
 * libpcap reads through a FILE of ours (fopencookie) over the source, so packed files and pipes
 * work as they do for the others. A packet of libpcap's lives
 * until the next one only, so file.c copies each.
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "err.h"
#include "file.h"
#include "linktype.h"

struct lib_file {
	pcap_t *pcap;
	struct raw_packet blank; /* what all packets have in common */
};

static bool lib_match(struct rd head)
{
	(void)head;
	return true;
}

/* ---- the FILE ------------------------------------------------------------------------------ */

static ssize_t cookie_read(void *cookie, char *buf, size_t size)
{
	struct source *src = cookie;
	(void)source_need(src, 1);
	size_t n = rd_left(&src->at) < size ? rd_left(&src->at) : size;
	if (n > 0)
		memcpy(buf, rd_take(&src->at, n), n);
	/* Nobody points into the source here. */
	if (!source_is_mapped(src))
		source_release(src);
	return (ssize_t)n;
}

static FILE *source_file(struct source *src)
{
	FILE *stream = fopencookie(src, "r", (cookie_io_functions_t){.read = cookie_read});
	if (stream != NULL)
		setvbuf(stream, NULL, _IONBF, 0);
	return stream;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Formats people try that neither we nor libpcap read: what to do about it. */
static const struct foreign {
	uint32_t magic; /* first bytes, big endian, under the mask */
	uint32_t mask;
	const char *what;
	const char *cure;
} foreign[] = {
	{0xfd377a58, 0xffffffff, "xz data", "unpack it: xz -dc FILE | weir -r -"},
	{0x425a6800, 0xffffff00, "bzip2 data", "unpack it: bzip2 -dc FILE | weir -r -"},
	{0x04224d18, 0xffffffff, "lz4 data", "unpack it: lz4 -dc FILE | weir -r -"},
	{0x736e6f6f, 0xffffffff, "a snoop capture", "convert it: editcap -F pcapng FILE OUT"},
	{0x5452534e, 0xffffffff, "a Sniffer capture", "convert it: editcap -F pcapng FILE OUT"},
	{0x58435000, 0xffffffff, "a Sniffer capture", "convert it: editcap -F pcapng FILE OUT"},
	{0x52545353, 0xffffffff, "a Network Monitor capture",
	 "convert it: editcap -F pcapng FILE OUT"},
	{0x474d4255, 0xffffffff, "a Network Monitor capture",
	 "convert it: editcap -F pcapng FILE OUT"},
};

static const struct foreign *find_foreign(struct rd head)
{
	uint32_t magic = rd_u32(&head);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if ((magic & foreign[i].mask) == foreign[i].magic)
			return &foreign[i];
	return NULL;
}

/* What libpcap need not be asked about. Returns 0 or ERR_FORMAT with a line in errbuf. */
static int refuse_known(const struct source *src, char *errbuf, unsigned errsize)
{
	const struct foreign *known = find_foreign(src->at);
	if (known != NULL)
		snprintf(errbuf, errsize, "%s: not a pcap or pcapng capture but %s; %s", src->name,
			 known->what, known->cure);
	else if (rd_left(&src->at) == 0 && source_error(src) != 0)
		snprintf(errbuf, errsize, "%s: not a capture: %s", src->name,
			 source_complaint(src));
	else if (rd_left(&src->at) == 0)
		snprintf(errbuf, errsize, "%s: not a capture: it is empty", src->name);
	else
		return 0;
	return ERR_FORMAT;
}

/* libpcap's handle on what lies in the source; NULL with a message of PCAP_ERRBUF_SIZE. */
static pcap_t *open_source(struct source *src, char *message)
{
	FILE *stream = source_file(src);
	if (stream == NULL) {
		snprintf(message, PCAP_ERRBUF_SIZE, "%s", err_str(ERR_NOMEM));
		return NULL;
	}
	pcap_t *pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO,
								message);
	if (pcap == NULL)
		fclose(stream);
	return pcap;
}

static struct raw_packet blank_packet(const struct capture_file *file, pcap_t *pcap)
{
	int dlt = pcap_datalink(pcap);
	return (struct raw_packet){
		.ingress = 1,
		.linktype = linktype_from_dlt(dlt),
		/* libpcap turns NFLOG's headers round itself. */
		.swapped = pcap_is_swapped(pcap) && dlt != DLT_NFLOG,
		.iface = file->iface,
	};
}

static int lib_init(struct capture_file *file, char *errbuf, unsigned errsize)
{
	int rc = refuse_known(&file->src, errbuf, errsize);
	if (rc < 0)
		return rc;
	char message[PCAP_ERRBUF_SIZE];
	struct lib_file *lib = calloc(1, sizeof(*lib));
	if (lib == NULL) {
		snprintf(errbuf, errsize, "%s: %s", file->src.name, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	file->state = lib;
	lib->pcap = open_source(&file->src, message);
	if (lib->pcap == NULL) {
		snprintf(errbuf, errsize,
			 "%s: not a capture (pcap or pcapng, plain, gzip or zstd): %s",
			 file->src.name, message);
		return ERR_FORMAT;
	}
	lib->blank = blank_packet(file, lib->pcap);
	if (file->filter != NULL)
		return filter_check(file->filter, lib->blank.linktype, lib->blank.swapped, errbuf,
				    errsize);
	return 0;
}

static void lib_fini(struct capture_file *file)
{
	struct lib_file *lib = file->state;
	if (lib != NULL && lib->pcap != NULL)
		pcap_close(lib->pcap);
	free(lib);
	file->state = NULL;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* libpcap tells a cut record from a damaged one by its words alone. */
static void set_end(struct capture_file *file, uint64_t offset, const char *message)
{
	if (source_error(&file->src) != 0 || strncmp(message, "truncated", 9) == 0)
		file_set_end(file, offset, true);
	else
		file_set_corrupt(file, offset, message);
}

/* With the precision we asked for, tv_usec holds nanoseconds. Both fields were signed 32 bits on
 * their way through libpcap. */
static struct pkt_time header_time(const struct pcap_pkthdr *header)
{
	int64_t ns = (int64_t)(uint32_t)header->ts.tv_sec * NS_PER_S + header->ts.tv_usec;
	return (struct pkt_time){.ns = ns > 0 ? ns : 0};
}

static unsigned lib_take(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	struct lib_file *lib = file->state;
	uint64_t offset = source_offset(&file->src);
	struct pcap_pkthdr *header;
	const u_char *data;
	(void)max; /* one at a time: this reader is fleeting */
	int status = pcap_next_ex(lib->pcap, &header, &data);
	if (status == PCAP_ERROR_BREAK) {
		file_set_end(file, offset, false);
		return 0;
	}
	if (status != 1) {
		set_end(file, offset, pcap_geterr(lib->pcap));
		return 0;
	}
	pkts[0] = lib->blank;
	pkts[0].data = data;
	pkts[0].time = header_time(header);
	file_set_lengths(&pkts[0], header->caplen, header->len);
	return 1;
}

const struct file_reader libpcap_reader = {
	.name = "libpcap",
	.fleeting = true,
	.match = lib_match,
	.open = lib_init,
	.take = lib_take,
	.close = lib_fini,
};

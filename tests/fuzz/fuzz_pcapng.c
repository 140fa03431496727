/*
 * Fuzz target: pcapng files. The input is taken as what follows a section header of either byte
 * order, so that no effort is spent on finding one; and as a whole file when it begins with one.
 */
#include "fuzz_capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A section header and an Ethernet interface, little endian. */
static const uint8_t beginning[] = {
	/* section: type, length, byte order, version, section length unknown, length */
	0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
	/* interface: type, length, link type, snapshot length, length */
	1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0,
};

static int after_beginning(const uint8_t *data, size_t size)
{
	if (size > FUZZ_MAX_INPUT - sizeof(beginning))
		return 0;
	uint8_t *file = malloc(sizeof(beginning) + size);
	require(file != NULL, "out of memory");
	memcpy(file, beginning, sizeof(beginning));
	memcpy(file + sizeof(beginning), data, size);
	int rc = fuzz_capture(file, sizeof(beginning) + size);
	free(file);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 4 && memcmp(data, beginning, 4) == 0)
		return fuzz_capture(data, size);
	return size > 0 ? after_beginning(data, size) : 0;
}

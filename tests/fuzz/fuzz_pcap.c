/* Fuzz target: pcap files, and what libpcap takes over. See fuzz_capture.h for what is checked. */
#include "fuzz_capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_capture(data, size);
}

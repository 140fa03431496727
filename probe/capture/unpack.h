/*
 * From a file descriptor to unpacked bytes: gzip, zstd, or as they are. Recognised by the first
 * bytes, never by a name, so it works on standard input too. One thread.
 */
#ifndef WEIR_CAPTURE_UNPACK_H
#define WEIR_CAPTURE_UNPACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct unpack;

/* Whether data that begins so has to be unpacked. */
bool unpack_is_packed(struct rd head);

/* Reads the first bytes. `fd` stays the caller's and open. Fails with -errno. */
int unpack_new(int fd, const atomic_bool *stop, struct unpack **ret_unpack);
void unpack_free(struct unpack *unpack);

/* Writes up to `size` bytes to `out` and their number to *ret_n, which is set in every case: bytes
 * may come together with an end. Returns 0; ERR_EOF at a sound end; ERR_TRUNCATED when packed data
 * stops in the middle; ERR_CORRUPT; -errno. 0 bytes only with an end. */
int unpack_read(struct unpack *unpack, uint8_t *out, size_t size, size_t *ret_n);

/* "gzip", "zstd", or NULL for bytes as they are. */
const char *unpack_name(const struct unpack *unpack);

/* What the last failure was about, in the library's words; never NULL. */
const char *unpack_complaint(const struct unpack *unpack);

/* Bytes consumed of the file descriptor's. */
uint64_t unpack_bytes_read(const struct unpack *unpack);

#endif

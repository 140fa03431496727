/* Output URLs as they may be shown: in the log, in errors, in --stats. Any thread. */
#ifndef WEIR_SECRET_H
#define WEIR_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Is the value of this option of a URL (`n` bytes of name) nobody else's business? Told by the
 * name: passwords, passphrases, secrets, private keys in the URL itself. */
bool secret_option(const char *name, size_t n);

/* A copy of the URL, malloced, with *** in place of each value that is secret; NULL: no memory. */
char *secret_hide(const char *url);

/* The same for a URL that may be wrong: a secret may be cut at an & that was not written as %26, or
 * its name be misspelt. *** stands for the value of the first property of a library, and for all
 * that follows it. */
char *secret_cut(const char *url);

#endif

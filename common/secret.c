/* What is secret is told by its name, so that properties of a library need no list here. */
#include "secret.h"

#include <stdlib.h>
#include <string.h>

static const char hidden[] = "***";

bool secret_option(const char *name, size_t n)
{
	static const char *const parts[] = {
		"password", "passphrase", "secret", "key.pem", "oauthbearer.config", "jaas.config",
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (memmem(name, n, parts[i], strlen(parts[i])) != NULL)
			return true;
	return false;
}

/* The end of a "name=value": an & with a blank beside it belongs to the value. */
static const char *end_of_pair(const char *pair)
{
	const char *end = pair;
	while ((end = strchr(end, '&')) != NULL &&
	       (end[1] == ' ' || (end != pair && end[-1] == ' ')))
		end++;
	return end != NULL ? end : pair + strlen(pair);
}

static char *append(char *to, const char *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}

static bool is_property(const char *name, size_t n)
{
	static const char prefix[] = "kafka.";
	return n > strlen(prefix) && memcmp(name, prefix, strlen(prefix)) == 0;
}

/* `cut`: as secret_cut. */
static char *hide(const char *url, bool cut)
{
	/* "n=" at least comes before what is hidden: it cannot get longer than twice */
	char *copy = malloc(2 * strlen(url) + sizeof(hidden));
	if (copy == NULL)
		return NULL;
	size_t n = strcspn(url, "?");
	char *to = append(copy, url, n + (url[n] != '\0'));
	for (const char *pair = url + n + (url[n] != '\0'), *end; *pair != '\0'; pair = end) {
		end = end_of_pair(pair);
		const size_t name = strcspn(pair, "=");
		const size_t len = (size_t)(end - pair);
		if (name < len && (secret_option(pair, name) || (cut && is_property(pair, name)))) {
			to = append(to, pair, name + 1);
			to = append(to, hidden, strlen(hidden));
			if (cut)
				break;
		} else {
			to = append(to, pair, len);
		}
		if (*end == '&')
			*to++ = *end++;
	}
	*to = '\0';
	return copy;
}

char *secret_hide(const char *url)
{
	return hide(url, false);
}

char *secret_cut(const char *url)
{
	return hide(url, true);
}

/*
 * The log. One write(2) a line, so that lines of several threads do not mix. The level and the
 * progress text are the only globals of the program besides the signal flag.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char progress[160];

static const char *const level_name[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
	max_level = level;
}

static void write_all(const char *buf, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, buf, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		buf += done;
		n -= (size_t)done;
	}
}

/* Wipes the progress line (carriage return, erase to end of line). */
#define WIPE "\r\033[K"

static void put_line(enum log_level level, const char *sys, int err, const char *fmt, va_list ap)
{
	char buf[1024];
	size_t max = sizeof(buf) - 2;
	int n = snprintf(buf, max, "weir: %s %s: ", level_name[level], sys);
	size_t len = n < 0 ? 0 : (size_t)n;
	n = vsnprintf(buf + len, max - len, fmt, ap);
	len += n < 0 ? 0 : (size_t)n;
	if (err != 0 && len < max) {
		n = snprintf(buf + len, max - len, ": %s", err_str(-err));
		len += n < 0 ? 0 : (size_t)n;
	}
	if (len > max)
		len = max;
	buf[len++] = '\n';
	pthread_mutex_lock(&lock);
	if (progress[0] != '\0')
		write_all(WIPE, strlen(WIPE));
	write_all(buf, len);
	if (progress[0] != '\0')
		write_all(progress, strlen(progress));
	pthread_mutex_unlock(&lock);
}

void log_progress(const char *text)
{
	pthread_mutex_lock(&lock);
	bool had = progress[0] != '\0';
	snprintf(progress, sizeof(progress), "%s", text != NULL ? text : "");
	if (had || progress[0] != '\0')
		write_all(WIPE, strlen(WIPE));
	write_all(progress, strlen(progress));
	pthread_mutex_unlock(&lock);
}

#define LOG_BODY(level, with_errno)                                                                \
	do {                                                                                       \
		int saved = errno;                                                                 \
		if ((level) <= max_level) {                                                        \
			va_list ap;                                                                \
			va_start(ap, fmt);                                                         \
			put_line((level), sys, (with_errno) ? saved : 0, fmt, ap);                 \
			va_end(ap);                                                                \
		}                                                                                  \
		errno = saved;                                                                     \
	} while (0)

void log_error(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, true);
}

void log_errorx(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, false);
}

void log_warn(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, true);
}

void log_warnx(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, false);
}

void log_info(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_INFO, false);
}

void log_debug(const char *sys, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG, false);
}

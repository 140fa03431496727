/*
 * The log: one line a fact, "level subsystem: text key=value", to standard error. The only global
 * state besides the signal flag. Never called on the packet path, which counts instead.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT
};

/* Lines above this level are not written. Before any thread is started. */
void log_set_level(enum log_level level);

/* `log_warn` and `log_error` append errno's text; the ...x variants do not. All keep errno, add
 * the newline, and write the line in one piece. `sys` is a short subsystem name. Any thread. */
void log_error(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_errorx(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warnx(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *sys, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A text that is not shown before the next log line or call: the progress line. NULL takes it
 * away. Only when standard error is a terminal. Any thread. */
void log_progress(const char *text);

#endif

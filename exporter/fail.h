/* One line that says why a start-up step failed, and its error code, in one call. */
#ifndef WEIR_EXPORTER_FAIL_H
#define WEIR_EXPORTER_FAIL_H

/* Where the line goes; what is there already (`output "URL": `) stays in front. */
struct errtext {
	char *buf;
	unsigned size;
	unsigned len;
	unsigned faults; /* reasons it holds */
};

/* Begins the line anew with what the reasons are about. */
void errtext_begin(struct errtext *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends text; cut when there is no room. */
void errtext_add(struct errtext *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends a reason, after "; " when it is not the first, and returns `err`. */
int fail(struct errtext *e, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

/* weir, the probe: what is asked for, done. Only this file ends the process. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conf.h"
#include "doctor.h"
#include "err.h"
#include "field.h"
#include "probe.h"
#include "version.h"

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2
};

static int status_of(int err)
{
	switch (err) {
	case 0:
		return EXIT_DONE;
	case ERR_USAGE:
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}

static int run(const struct conf *conf)
{
	log_set_level(conf->log_level);
	return status_of(probe_run(conf));
}

static int act(const struct conf *conf)
{
	switch (conf->action) {
	case CONF_RUN:
		return run(conf);
	case CONF_CHECK:
		printf("%s: configuration is valid\n",
		       conf->file != NULL ? conf->file : "command line");
		return EXIT_DONE;
	case CONF_PRINT:
		conf_print(conf, stdout);
		return EXIT_DONE;
	case CONF_DOCTOR:
		return status_of(doctor_run(conf, stdout));
	case CONF_HELP:
		conf_help(stdout);
		return EXIT_DONE;
	case CONF_VERSION:
		version_print(stdout);
		return EXIT_DONE;
	case CONF_LIST_FIELDS:
		field_list(stdout);
		return EXIT_DONE;
	}
	return EXIT_FAILED;
}

/* A descriptor that a careless parent closed must not become one of ours, which would then be
 * written to as standard output or error. */
static void keep_standard_fds(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	keep_standard_fds();
	struct conf conf;
	conf_init(&conf);
	int err = conf_from_args(&conf, argc, argv, stderr);
	int status = err == 0 ? act(&conf) : err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
	if (status == EXIT_DONE && fflush(stdout) != 0)
		status = EXIT_FAILED;
	conf_fini(&conf);
	return status;
}

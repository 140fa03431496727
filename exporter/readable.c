/* It is opened, not only looked at: access rights are more than the mode shows (ACLs, folders
 * above, mounts). */
#include "readable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* What is done about it; a reason without a row is told by the system's text alone. */
static const struct {
	int error;
	const char *reason, *cure;
} cures[] = {
	{ENOENT, "there is no such file", "put it there, or correct the path"},
	{ENOTDIR, "there is no such file", "put it there, or correct the path"},
	{EISDIR, "that is a directory", "name the file in it"},
	{EACCES, "weir may not read it",
	 "give it, and the directories above, to the user that weir runs as (chown)"},
};

static int look(const char *path, bool dir_too)
{
	struct stat st;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno;
	int error = fstat(fd, &st) == 0 ? 0 : errno;
	if (error == 0 && S_ISDIR(st.st_mode) && !dir_too)
		error = EISDIR;
	close(fd);
	return error;
}

int readable_check(const char *option, const char *path, bool dir_too, struct errtext *e)
{
	const int error = look(path, dir_too);
	if (error == 0)
		return 0;
	for (size_t i = 0; i < sizeof(cures) / sizeof(cures[0]); i++)
		if (cures[i].error == error)
			return fail(e, ERR_USAGE, "%s=%s: %s; %s", option, path, cures[i].reason,
				    cures[i].cure);
	return fail(e, ERR_USAGE, "%s=%s: %s", option, path, err_str(-error));
}

/*
 * Two ways to be one file: what exists has the same device and inode, or the names are the same
 * once directories, links and dots are resolved as far as they exist.
 */
#include "path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool append(char *to, const char *name)
{
	if (*name == '\0' || strcmp(name, ".") == 0)
		return true;
	const size_t len = strlen(to);
	const char *slash = len > 0 && to[len - 1] == '/' ? "" : "/";
	return (size_t)snprintf(to + len, PATH_MAX - len, "%s%s", slash, name) < PATH_MAX - len;
}

/* `path` is cut on the way and whole again afterwards. */
static bool resolve(char *path, char ret_resolved[PATH_MAX])
{
	if (realpath(path, ret_resolved) != NULL)
		return true;
	char *slash = strrchr(path, '/');
	if (slash == NULL)
		return realpath(".", ret_resolved) != NULL && append(ret_resolved, path);
	if (slash == path)
		return strcpy(ret_resolved, "/") && append(ret_resolved, path + 1);
	*slash = '\0';
	const bool done = resolve(path, ret_resolved) && append(ret_resolved, slash + 1);
	*slash = '/';
	return done;
}

static bool same_name(const char *a, const char *b)
{
	char copy[2][PATH_MAX], resolved[2][PATH_MAX];
	if (strlen(a) >= PATH_MAX || strlen(b) >= PATH_MAX)
		return strcmp(a, b) == 0;
	return resolve(strcpy(copy[0], a), resolved[0]) &&
	       resolve(strcpy(copy[1], b), resolved[1]) && strcmp(resolved[0], resolved[1]) == 0;
}

static bool is_stdout(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* Two writers of a device do each other no harm that its name does not show: /dev/null. */
static bool identify(const char *path, struct stat *ret_st)
{
	if ((is_stdout(path) ? fstat(STDOUT_FILENO, ret_st) : stat(path, ret_st)) != 0)
		return false;
	return !S_ISCHR(ret_st->st_mode) && !S_ISBLK(ret_st->st_mode);
}

bool path_same(const char *a, const char *b)
{
	struct stat sa, sb;
	if (identify(a, &sa) && identify(b, &sb) && sa.st_dev == sb.st_dev &&
	    sa.st_ino == sb.st_ino)
		return true;
	if (is_stdout(a) || is_stdout(b))
		return is_stdout(a) && is_stdout(b);
	return same_name(a, b);
}

/*
 * A plain main for a fuzz target: runs it once over each file named, and over each file of each
 * directory named. So corpora and old crashers are part of `make check` without a fuzzing compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long n_files;

static int replay_bytes(FILE *file, size_t size)
{
	/* Exactly as large as the input, so that a sanitizer sees a read past its end. */
	uint8_t *data = malloc(size > 0 ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != size) {
		free(data);
		return 1;
	}
	int rc = LLVMFuzzerTestOneInput(data, size);
	free(data);
	n_files++;
	return rc;
}

static int replay_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	int rc = replay_bytes(file, size);
	if (rc != 0)
		fprintf(stderr, "%s: failed\n", path);
	fclose(file);
	return rc;
}

static int replay_path(const char *path);

static int replay_directory(const char *path)
{
	DIR *directory = opendir(path);
	if (directory == NULL) {
		perror(path);
		return 1;
	}
	int failed = 0;
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		char inner[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		failed |= replay_path(inner);
	}
	closedir(directory);
	return failed;
}

static int replay_path(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0) {
		perror(path);
		return 1;
	}
	return S_ISDIR(st.st_mode) ? replay_directory(path) : replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++)
		failed |= replay_path(argv[i]);
	printf("%s: %lu inputs replayed\n", argv[0], n_files);
	return failed != 0;
}

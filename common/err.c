/* Texts of error codes: errors.def for our own, strerror for the rest. */
#include "err.h"

#include <string.h>

const char *err_str(int err)
{
	switch (err) {
	case ERR_OK:
		return "no error";
#define E(name, value, text)                                                                       \
	case ERR_##name:                                                                           \
		return text;
#include "errors.def"
#undef E
	default:
		return strerror(err < 0 ? -err : err);
	}
}

/* What every input's handle begins with, so that capture.c can find its operations. */
#ifndef WEIR_CAPTURE_BACKEND_H
#define WEIR_CAPTURE_BACKEND_H

#include "capture.h"

struct capture {
	const struct capture_ops *ops;
};

/* Is it an interface that ring: can read? */
bool ring_suits(const char *name);

extern const struct capture_ops capture_file_ops;
extern const struct capture_ops capture_joined_ops;
extern const struct capture_ops capture_ring_ops;
extern const struct capture_ops capture_pcap_live_ops;

/* Each where its libraries were there when weir was built. */
extern const struct capture_ops capture_xdp_ops;     /* WITH_XDP */
extern const struct capture_ops capture_nfqueue_ops; /* WITH_NFQUEUE */
extern const struct capture_ops capture_nflog_ops;   /* WITH_NFLOG */

#endif

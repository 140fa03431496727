/* LINKTYPE_ numbers of the tcpdump.org registry from what files and libpcap call them. */
#ifndef WEIR_CAPTURE_LINKTYPE_H
#define WEIR_CAPTURE_LINKTYPE_H

#include <stdint.h>

/* From a file's link type field: its upper bits (length of an FCS) are cut off, numbers that old
 * systems wrote are put right. */
uint16_t linktype_from_file(uint32_t network);

/* From libpcap's DLT_ number on this system. */
uint16_t linktype_from_dlt(int dlt);

#endif

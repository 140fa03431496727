/*
 * `weir --doctor PORT`: looks at ports and machine as a sensor needs them, changes nothing, and
 * prints a line for each finding with the command that mends it.
 */
#ifndef WEIR_DOCTOR_H
#define WEIR_DOCTOR_H

#include <stdio.h>

struct conf;

/* Examines the ports of conf->doctor, then the machine. 0: nothing would falsify what is counted;
 * ERR_IO: something would; ERR_USAGE: a port is no name of one, said on standard error. Main
 * thread. */
int doctor_run(const struct conf *conf, FILE *out);

#endif

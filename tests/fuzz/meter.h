/* SPDX-License-Identifier: ISC */
/*
 * meter.h - how much memory the program holds
 *
 * The linker sends the program's calls for memory through meter.c (--wrap), with and without a
 * sanitizer. Memory that libraries take themselves is not seen.
 */
#ifndef TESTS_FUZZ_METER_H
#define TESTS_FUZZ_METER_H

/* Octets held now. */
long long meter_held(void);

/* Begins to look for the peak; gives what is held now. meter_peak: the most since then. */
long long meter_start(void);
long long meter_peak(void);

#endif

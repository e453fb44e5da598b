/* SPDX-License-Identifier: ISC */
/*
 * file_fault.h - an errno as a fault, inside os/
 */
#ifndef OS_FILE_FAULT_H
#define OS_FILE_FAULT_H

#include "base/fault.h"

/* 452 4.3.1 for ENOSPC and EDQUOT, else 451 4.3.0; the text is "doing path: what the system says".
 */
struct fault file_fault(const char *doing, const char *path, int error);

#endif

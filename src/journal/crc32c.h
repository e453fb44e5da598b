/* SPDX-License-Identifier: ISC */
/*
 * crc32c.h - the checksum of the journal: CRC-32C
 */
#ifndef JOURNAL_CRC32C_H
#define JOURNAL_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The CRC of the bytes so far (0 for none) extended by these. */
uint32_t crc32c(uint32_t crc, const void *memory, size_t size_bytes);

/* The two ways behind crc32c; the second only where the processor has the instruction. */
uint32_t crc32c_by_table(uint32_t crc, const void *memory, size_t size_bytes);
uint32_t crc32c_by_instruction(uint32_t crc, const void *memory, size_t size_bytes);
bool crc32c_has_instruction(void);

#endif

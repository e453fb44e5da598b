/* SPDX-License-Identifier: ISC */
/*
 * random.c - random bytes from the system
 */
#include "os/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *memory, size_t size_bytes)
{
    char *at = memory;
    while (size_bytes > 0) {
        ssize_t n = getrandom(at, size_bytes, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        at += n;
        size_bytes -= (size_t)n;
    }
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return value;
}

uint64_t random_below(uint64_t limit)
{
    /* Numbers under this bound are refused, so that a multiple of limit is left. */
    uint64_t refused = -limit % limit;
    uint64_t value;
    do {
        value = random_u64();
    } while (value < refused);
    return value % limit;
}

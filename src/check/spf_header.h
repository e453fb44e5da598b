/* SPDX-License-Identifier: ISC */
/*
 * spf_header.h - the Received-SPF field (RFC 7208 section 9.1)
 */
#ifndef CHECK_SPF_HEADER_H
#define CHECK_SPF_HEADER_H

#include "base/buf.h"
#include "check/spf.h"

enum { SPF_HEADER_MAX = 4096 };

/*
 * Appends the whole field with CRLF, folded. What strangers chose is cut and quoted; octets that are not printable
 * ASCII become '?'. False, out unchanged, when out is full; SPF_HEADER_MAX octets are enough.
 */
bool spf_header_append(struct buf *out, const struct spf_question *q, const struct spf_verdict *v);

#endif

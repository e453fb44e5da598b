/* SPDX-License-Identifier: ISC */
/*
 * dkim_signature.h - the fields that hold signatures: DKIM-Signature (RFC 6376 3.5), ARC-Message-Signature and
 * ARC-Seal (RFC 8617 4.1), and how one is compared with its key
 */
#ifndef CHECK_DKIM_SIGNATURE_H
#define CHECK_DKIM_SIGNATURE_H

#include "check/ask.h"
#include "check/dkim_body.h"
#include "check/dkim_fields.h"
#include "check/dkim_key.h"

enum dkim_form { DKIM_SIGNATURE, DKIM_ARC_MESSAGE, DKIM_ARC_SEAL };

enum {
    DKIM_FIELD_MAX = 32 * 1024,      /* octets of such a field */
    DKIM_NAMES_MAX = 500,            /* names in h= */
    DKIM_SIGNATURE_ROOM = 16 * 1024, /* what one takes of an arena, with its keys */
    DKIM_IDENTITY_MAX = 1024,
    DKIM_SKEW_S = 300 /* how far t= may be ahead of our clock; x= is exact */
};

struct dkim_signature {
    const char *algorithm; /* as a= names it; NULL: an unknown one */
    enum dkim_key_kind kind;
    enum dkim_canon header_canon, body_canon;
    struct str domain, selector;   /* lower-case A-labels; empty: there is none, or no valid one */
    struct str identity;           /* i= without white space, as it is written; empty in ARC */
    struct str identity_domain;    /* lower-case A-labels */
    struct str names;              /* h= */
    struct str body_hash;          /* bh=, decoded */
    struct str signature;          /* b=, decoded */
    struct str text;               /* b=, as it is written, without white space */
    uint64_t length;               /* l=; DKIM_BODY_WHOLE when there is none */
    int64_t signed_at, expires_at; /* -1: not said */
    struct str field, left_out;    /* of the section: the field, and the value of b= in it */
};

/*
 * Reads such a field; text goes into the arena (at most DKIM_SIGNATURE_ROOM). A finding that is not NONE says what is
 * wrong; *out then has what could be read. Instance and chain tags of ARC are the caller's.
 */
struct dkim_finding dkim_signature_read(const struct header_field *field, enum dkim_form form,
                                        struct arena *arena, struct dkim_signature *out);

/* Whether it is too early or too late for it (t=, x=), by the time now. */
struct dkim_finding dkim_signature_check_time(const struct dkim_signature *s, int64_t now_s);

enum { DKIM_KEYS_MAX = 2 };

/* The keys at its selector. Several records are an error of the domain's (3.6.2.2); two that fit are tried. */
struct dkim_keys {
    struct dkim_finding finding; /* NONE: there is a key */
    bool is_secure;              /* proven by DNSSEC */
    size_t count;
    struct dkim_key key[DKIM_KEYS_MAX];
};

/* Asks the DNS for them; data goes into the arena. */
void dkim_signature_fetch(const struct dkim_signature *s, bool is_tls_report, struct asker *asker,
                          struct arena *arena, struct dkim_keys *out);

/*
 * Compares the signature with the hash of what was signed, key by key; *bits is the size of the key last tried. Keys are
 * made usable by the opener, or by dkim_key_open when it is NULL.
 */
struct dkim_finding dkim_signature_verify(const struct dkim_signature *s,
                                          const struct dkim_keys *keys,
                                          const struct dkim_key_opener *opener,
                                          const unsigned char hash[DKIM_HASH_SIZE], unsigned *bits);

#endif

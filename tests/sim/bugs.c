/* SPDX-License-Identifier: ISC */
/*
 * bugs.c - planted defects
 */
#include "bugs.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "check/dmarc.h"
#include "journal/journal.h"
#include "mail/dotline.h"
#include "net/conn.h"
#include "net/inquiry.h"
#include "os/file.h"
#include "queue/queue.h"
#include "send/dane.h"
#include "send/sts.h"
#include "send/sts_shelf.h"
#include "serve/inspection.h"
#include "store/maildrop.h"
#include "world.h"

enum bug {
    BUG_NONE,
    BUG_NO_FSYNC,
    BUG_SYNC_ERROR_IGNORED,
    BUG_NO_DIRECTORY_SYNC,
    BUG_MARKER_BEFORE_DATA,
    BUG_TRIM_TOO_EARLY,
    BUG_NO_CHECKSUM,
    BUG_WRONG_OFFSET,
    BUG_ACK_WITHOUT_ACCEPT,
    BUG_ACCEPT_AND_REFUSE,
    BUG_LOST_RECIPIENT,
    BUG_LOST_RETRY,
    BUG_CLAIMED_TWICE,
    BUG_RESULT_FORGOTTEN,
    BUG_SENDER_OF_NOTICES,
    BUG_NO_DOTS,
    BUG_REMOVAL_FORGOTTEN,
    BUG_DESCRIPTOR_LEAK,
    BUG_MEMORY_LEAK,
    BUG_LIMIT,
    BUG_EXPIRY,
    BUG_TEMPERROR_PASSES,
    BUG_TEMPERROR_FAILS,
    BUG_REJECT_IGNORED,
    BUG_QUESTIONS,
    BUG_CLAIMS_KEPT,
    BUG_TLSA_FAILURE,
    BUG_CERTIFICATE,
    BUG_POLICY_FORGOTTEN,
    BUG_POLICY_UNSAVED,
    BUG_POLICY_ANYWHERE,
    BUGS
};

static const struct {
    const char *name, *description;
} bugs[BUGS] = {
    [BUG_NO_FSYNC] = {"no-fsync", "file_sync does nothing"},
    [BUG_SYNC_ERROR_IGNORED] = {"sync-error-ignored", "file_sync says fine when it failed"},
    [BUG_NO_DIRECTORY_SYNC] = {"no-directory-sync", "file_sync_directory does nothing"},
    [BUG_MARKER_BEFORE_DATA] = {"marker-before-data",
                                "a checkpoint does not sync bodies before the rows about them"},
    [BUG_TRIM_TOO_EARLY] = {"trim-too-early", "journal_trim lets more go than was said"},
    [BUG_NO_CHECKSUM] = {"no-checksum", "records of the journal are believed unseen"},
    [BUG_WRONG_OFFSET] = {"wrong-offset", "journal_read gives other bytes than asked for"},
    [BUG_ACK_WITHOUT_ACCEPT] = {"ack-without-accept",
                                "one message in 40 gets its 250 and is dropped"},
    [BUG_ACCEPT_AND_REFUSE] = {"accept-and-refuse", "one accepted message in 40 gets a 451"},
    [BUG_LOST_RECIPIENT] = {"lost-recipient", "of four recipients or more one is forgotten"},
    [BUG_LOST_RETRY] = {"lost-retry", "one result in 40 ends the recipients that are left"},
    [BUG_CLAIMED_TWICE] = {"claimed-twice",
                           "one result in 40 leaves the delivery to be done again"},
    [BUG_RESULT_FORGOTTEN] = {"result-forgotten", "results do not reach the journal"},
    [BUG_SENDER_OF_NOTICES] = {"sender-of-notices", "notices have a sender, so that they bounce"},
    [BUG_NO_DOTS] = {"no-dots", "dots at the beginning of lines are not doubled"},
    [BUG_REMOVAL_FORGOTTEN] = {"removal-forgotten", "maildrop_remove says fine and does nothing"},
    [BUG_DESCRIPTOR_LEAK] = {"descriptor-leak", "one file in 200 is not closed"},
    [BUG_MEMORY_LEAK] = {"memory-leak", "one buffer in 10 is not freed"},
    [BUG_LIMIT] = {"limit", "more connections to a site than are allowed"},
    [BUG_EXPIRY] = {"expiry", "mail is given up later than it should be"},
    [BUG_TEMPERROR_PASSES] = {"temperror-passes", "DMARC passes when the DNS has failed"},
    [BUG_TEMPERROR_FAILS] = {"temperror-fails", "DMARC fails when the DNS has failed"},
    [BUG_REJECT_IGNORED] = {"reject-ignored", "nobody asks for mail to be rejected"},
    [BUG_QUESTIONS] = {"questions", "a message may make any number of questions to the DNS"},
    [BUG_CLAIMS_KEPT] = {"claims-kept", "Authentication-Results in our name are believed"},
    [BUG_TLSA_FAILURE] = {"tlsa-failure", "TLSA records that cannot be had are taken for none"},
    [BUG_CERTIFICATE] = {"certificate", "every certificate is the right one"},
    [BUG_POLICY_FORGOTTEN] = {"policy-forgotten",
                              "a policy of MTA-STS whose fetch fails is no policy"},
    [BUG_POLICY_UNSAVED] = {"policy-unsaved", "sts_shelf_put says fine and does nothing"},
    [BUG_POLICY_ANYWHERE] = {"policy-anywhere", "policies are fetched from private addresses, too"},
};

static enum bug planted;
static uint64_t chances; /* of its own: a defect must not change what else happens by chance */

static bool strikes(enum bug bug, uint64_t one_in)
{
    return planted == bug && ++chances % one_in == 0;
}

const char *bug_name(size_t number)
{
    return number + 1 < BUGS ? bugs[number + 1].name : NULL;
}

const char *bug_description(size_t number)
{
    return bugs[number + 1].description;
}

bool bug_plant(const char *name)
{
    for (size_t i = 1; i < BUGS; i++)
        if (strcmp(bugs[i].name, name) == 0)
            planted = (enum bug)i;
    return planted != BUG_NONE;
}

bool bug_is_limit_wrong(void)
{
    return planted == BUG_LIMIT;
}

bool bug_is_expiry_wrong(void)
{
    return planted == BUG_EXPIRY;
}

struct fault __real_file_sync(struct file *f);
struct fault __wrap_file_sync(struct file *f)
{
    if (planted == BUG_NO_FSYNC)
        return FINE;
    struct fault fault = __real_file_sync(f);
    return planted == BUG_SYNC_ERROR_IGNORED ? FINE : fault;
}

struct fault __real_file_sync_directory(const char *path);
struct fault __wrap_file_sync_directory(const char *path)
{
    return planted == BUG_NO_DIRECTORY_SYNC ? FINE : __real_file_sync_directory(path);
}

struct fault __real_file_sync_system(struct file *f);
struct fault __wrap_file_sync_system(struct file *f)
{
    return planted == BUG_MARKER_BEFORE_DATA ? FINE : __real_file_sync_system(f);
}

void __real_file_close(struct file *f);
void __wrap_file_close(struct file *f)
{
    if (!f || !strikes(BUG_DESCRIPTOR_LEAK, 200))
        __real_file_close(f);
}

void __real_journal_trim(struct journal *j, uint64_t position);
void __wrap_journal_trim(struct journal *j, uint64_t position)
{
    enum { TOO_FAR = 1 << 17 };
    __real_journal_trim(j, planted == BUG_TRIM_TOO_EARLY ? position + TOO_FAR : position);
}

uint32_t __real_crc32c(uint32_t crc, const void *memory, size_t size_bytes);
uint32_t __wrap_crc32c(uint32_t crc, const void *memory, size_t size_bytes)
{
    return planted == BUG_NO_CHECKSUM ? 0 : __real_crc32c(crc, memory, size_bytes);
}

struct fault __real_journal_read(struct journal *j, uint64_t position, size_t offset, size_t length,
                                 struct buf *out);
struct fault __wrap_journal_read(struct journal *j, uint64_t position, size_t offset, size_t length,
                                 struct buf *out)
{
    bool is_wrong = planted == BUG_WRONG_OFFSET && offset > 0;
    return __real_journal_read(j, position, is_wrong ? offset - 1 : offset, length, out);
}

struct fault __real_queue_accept(struct queue *q, uint64_t id, const struct queue_envelope *e,
                                 struct buf *body, uint64_t body_size);
struct fault __wrap_queue_accept(struct queue *q, uint64_t id, const struct queue_envelope *e,
                                 struct buf *body, uint64_t body_size)
{
    struct queue_envelope changed = *e;
    if (strikes(BUG_ACK_WITHOUT_ACCEPT, 40)) {
        if (body)
            buf_free(body);
        return FINE;
    }
    if (planted == BUG_LOST_RECIPIENT && e->rcpt_count >= 4)
        changed.rcpt_count--;
    if (planted == BUG_SENDER_OF_NOTICES && e->sender.n == 0)
        changed.sender = STR("x@back.test");
    struct fault f = __real_queue_accept(q, id, &changed, body, body_size);
    return strikes(BUG_ACCEPT_AND_REFUSE, 40)
               ? fault_make(451, FAULT_STATUS(4, 3, 0), "a planted defect")
               : f;
}

void __real_queue_finish(struct queue *q, struct queue_delivery *d,
                         const struct queue_outcome *outcome);
void __wrap_queue_finish(struct queue *q, struct queue_delivery *d,
                         const struct queue_outcome *outcome)
{
    struct queue_outcome changed = *outcome;
    if (outcome->left_count > 0 && strikes(BUG_LOST_RETRY, 40))
        changed.left_count = 0;
    if (outcome->left_count == 0 && strikes(BUG_CLAIMED_TWICE, 40)) {
        changed.left = d->rcpt;
        changed.left_count = d->rcpt_count;
    }
    __real_queue_finish(q, d, &changed);
}

void __real_journal_submit(struct journal *j, struct journal_append *append);
void __wrap_journal_submit(struct journal *j, struct journal_append *append)
{
    enum { RECORD_OF_A_DELIVERY = 2 };
    if (planted == BUG_RESULT_FORGOTTEN && append->type == RECORD_OF_A_DELIVERY)
        append->type = 99; /* of a type that the replay passes over */
    __real_journal_submit(j, append);
}

bool __real_dotline_stuff(struct dotline_stuffer *s, struct str *content, struct str *out);
bool __wrap_dotline_stuff(struct dotline_stuffer *s, struct str *content, struct str *out)
{
    if (planted != BUG_NO_DOTS)
        return __real_dotline_stuff(s, content, out);
    *out = *content;
    *content = STR_NONE;
    return out->n > 0;
}

struct fault __real_maildrop_remove(struct maildrop *m, const size_t *places, size_t count);
struct fault __wrap_maildrop_remove(struct maildrop *m, const size_t *places, size_t count)
{
    return planted == BUG_REMOVAL_FORGOTTEN ? FINE : __real_maildrop_remove(m, places, count);
}

void __real_buf_free(struct buf *b);
void __wrap_buf_free(struct buf *b)
{
    if (b->data && strikes(BUG_MEMORY_LEAK, 10))
        *b = (struct buf){0};
    else
        __real_buf_free(b);
}

void __real_dmarc_finish(struct dmarc_inquest *d, const struct dmarc_question *q,
                         struct dmarc_verdict *out);
void __wrap_dmarc_finish(struct dmarc_inquest *d, const struct dmarc_question *q,
                         struct dmarc_verdict *out)
{
    __real_dmarc_finish(d, q, out);
    if (out->result == DMARC_TEMPERROR && planted == BUG_TEMPERROR_PASSES)
        out->result = DMARC_PASS;
    if (out->result == DMARC_TEMPERROR && planted == BUG_TEMPERROR_FAILS)
        out->result = DMARC_FAIL;
    if (planted == BUG_REJECT_IGNORED)
        out->policy = DMARC_ASKS_NONE;
}

struct asker __real_inquiry_asker(struct inquiry *i, struct arena *arena, unsigned questions);
struct asker __wrap_inquiry_asker(struct inquiry *i, struct arena *arena, unsigned questions)
{
    return __real_inquiry_asker(i, arena, planted == BUG_QUESTIONS ? UINT32_MAX : questions);
}

bool __real_inspection_is_forged(struct str name, struct str value, struct str hostname);
bool __wrap_inspection_is_forged(struct str name, struct str value, struct str hostname)
{
    return planted != BUG_CLAIMS_KEPT && __real_inspection_is_forged(name, value, hostname);
}

void __real_dane_find(struct resolver *resolver, struct arena *arena, struct str host,
                      uint16_t port, int64_t deadline_ms, struct dane *out);
void __wrap_dane_find(struct resolver *resolver, struct arena *arena, struct str host,
                      uint16_t port, int64_t deadline_ms, struct dane *out)
{
    __real_dane_find(resolver, arena, host, port, deadline_ms, out);
    if (planted == BUG_TLSA_FAILURE && out->state == DANE_FAILED)
        out->state = DANE_ABSENT;
}

enum tls_trust __real_conn_tls_trust(const struct conn *c, const struct tls_peer *peer,
                                     const char **reason);
enum tls_trust __wrap_conn_tls_trust(const struct conn *c, const struct tls_peer *peer,
                                     const char **reason)
{
    return planted == BUG_CERTIFICATE ? TLS_TRUSTED : __real_conn_tls_trust(c, peer, reason);
}

void __real_sts_find(struct sts *s, struct str domain, int64_t deadline_ms, struct arena *arena,
                     struct sts_answer *out);
void __wrap_sts_find(struct sts *s, struct str domain, int64_t deadline_ms, struct arena *arena,
                     struct sts_answer *out)
{
    __real_sts_find(s, domain, deadline_ms, arena, out);
    if (planted == BUG_POLICY_FORGOTTEN && out->trouble.n > 0)
        out->state = STS_UNFETCHED;
}

struct fault __real_sts_shelf_put(const char *folder, struct str domain,
                                  const struct sts_stored *s);
struct fault __wrap_sts_shelf_put(const char *folder, struct str domain, const struct sts_stored *s)
{
    return planted == BUG_POLICY_UNSAVED ? FINE : __real_sts_shelf_put(folder, domain, s);
}

bool __real_fetch_is_public(const struct ip_address *ip);
bool __wrap_fetch_is_public(const struct ip_address *ip)
{
    return planted == BUG_POLICY_ANYWHERE || __real_fetch_is_public(ip);
}

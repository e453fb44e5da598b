/* SPDX-License-Identifier: ISC */
/*
 * fuzz_journal.c - a damaged segment never crashes the replay and never yields a changed record
 *
 * A journal with records of known content is made once. The input is a list of changes to its two
 * segments' files: each is an octet that says what and where (four octets), and a length with bytes.
 * Some changes mend the checksums behind them, so that the fields they protect are reached as well.
 * Records that no change has touched come back, as long as nothing that orders them was touched.
 */
#include "journal/journal.h"

#include "fuzz_room.h"
#include "journal/crc32c.h"
#include "journal/format.h"

enum { SEGMENT = 16384, RECORDS = 14, SEGMENTS_MOST = 8, RECORD_LENGTH = 1500 };

enum change { CHANGE_BYTES, CHANGE_CUT, CHANGE_RECORD, CHANGE_SEGMENT, CHANGE_KINDS };

static struct segment_file {
    char path[104];
    struct buf content;
} files[SEGMENTS_MOST];
static size_t file_count;
static char directory[80];

struct seen {
    size_t count;
    bool is_forged;
};

static void fill(char *to, size_t number)
{
    memset(to, (int)('A' + number), RECORD_LENGTH);
}

static void on_record(void *arg, const struct journal_record *record)
{
    struct seen *seen = arg;
    char expected[RECORD_LENGTH];
    must(record->end > record->position);
    seen->count++;
    if (seen->is_forged)
        return;
    must(record->payload.n == RECORD_LENGTH && record->type < RECORDS);
    fill(expected, record->type);
    must(memcmp(record->payload.p, expected, RECORD_LENGTH) == 0);
}

static struct fault open_journal(struct seen *seen, struct journal **out)
{
    struct journal_options options = {
        .directory = directory, .segment_bytes = SEGMENT, .spare_segments = 1, .is_sync_off = true};
    struct journal_replay replay = {on_record, NULL, seen};
    return journal_open(&options, &replay, out);
}

static void keep_file(const char *name, void *arg)
{
    (void)arg;
    if (!str_starts(str_from(name), STR("segment-")))
        return;
    must(file_count < SEGMENTS_MOST);
    struct segment_file *f = &files[file_count++];
    snprintf(f->path, sizeof f->path, "%s/%.20s", directory, name);
    f->content = buf_make(SEGMENT);
    struct file *file;
    must(!file_open(f->path, FILE_READ, &file).kind && buf_reserve(&f->content, SEGMENT));
    must(!file_read_at(file, f->content.data, SEGMENT, 0, &f->content.used).kind);
    file_close(file);
}

static void make_journal(void)
{
    struct seen seen = {0};
    struct journal *j;
    snprintf(directory, sizeof directory, "%s/journal", enter_room());
    must(!open_journal(&seen, &j).kind);
    for (uint16_t i = 0; i < RECORDS; i++) {
        static char bytes[RECORD_LENGTH];
        struct iovec part = {bytes, sizeof bytes};
        uint64_t position;
        fill(bytes, i);
        must(!journal_wait(j, i, &part, 1, &position).kind);
    }
    journal_close(j);
    must(!file_list(directory, keep_file, NULL).kind && file_count >= 2);
}

static uint32_t take_number(struct str *in)
{
    uint32_t number = take_octet(in);
    for (int i = 0; i < 3; i++)
        number = number << 8 | take_octet(in);
    return number;
}

static void overwrite(struct buf *content, size_t at, struct str bytes)
{
    for (size_t i = 0; i < bytes.n && at + i < content->used; i++)
        content->data[at + i] ^= bytes.p[i];
}

/* Changes fields of the record at or behind that place, with good checksums. */
static void forge_record(struct buf *content, size_t at, struct str bytes)
{
    struct format_segment s;
    struct format_record r;
    at += str_find(str_skip(buf_str(content), at), STR(FORMAT_RECORD_MAGIC));
    if (at + FORMAT_RECORD_HEADER > content->used ||
        !format_get_segment((unsigned char *)content->data, &s))
        return;
    unsigned char *header = (unsigned char *)content->data + at;
    if (!format_get_record(&s, header, &r))
        return;
    switch (take_octet(&bytes) % 6) {
    case 0:
        r.type = take_octet(&bytes) & 1 ? FORMAT_VOID : r.type;
        break;
    case 1:
        r.flags = take_octet(&bytes);
        break;
    case 2:
        r.open_batches = take_octet(&bytes);
        break;
    case 3:
        r.sequence += (uint64_t)take_number(&bytes) << (take_octet(&bytes) & 63);
        break;
    case 4:
        r.batch += (uint64_t)take_number(&bytes) << (take_octet(&bytes) & 63);
        break;
    default:
        r.length = take_number(&bytes) >> (take_octet(&bytes) & 31);
    }
    size_t left = content->used - at - FORMAT_RECORD_HEADER;
    if (r.length <= left)
        r.payload_crc = crc32c(0, header + FORMAT_RECORD_HEADER, r.length);
    format_put_record(&s, &r, header);
}

static void forge_segment(struct buf *content, struct str bytes)
{
    struct format_segment s;
    if (!format_get_segment((unsigned char *)content->data, &s))
        return;
    uint8_t what = take_octet(&bytes);
    uint64_t number = (uint64_t)take_number(&bytes) << (take_octet(&bytes) & 63);
    if (what % 3 == 0)
        s.base ^= number;
    else if (what % 3 == 1)
        s.size ^= number;
    else
        s.generation ^= (uint32_t)number;
    format_put_segment(&s, (unsigned char *)content->data);
}

static void change(struct str *in, struct seen *expected)
{
    uint8_t what = take_octet(in);
    struct buf *content = &files[(what >> 4) % file_count].content;
    size_t at = take_number(in) % SEGMENT;
    struct str bytes = str_head(*in, take_octet(in));
    *in = str_skip(*in, bytes.n);
    if (content->used < FORMAT_PAGE)
        return;
    switch ((enum change)((what & 15) % CHANGE_KINDS)) {
    case CHANGE_BYTES:
        overwrite(content, at, bytes);
        break;
    case CHANGE_CUT:
        content->used = at < content->used ? at : content->used;
        break;
    case CHANGE_RECORD:
        expected->is_forged = true;
        forge_record(content, at < content->used ? at : 0, bytes);
        break;
    case CHANGE_SEGMENT:
        expected->is_forged = true;
        forge_segment(content, bytes);
        break;
    case CHANGE_KINDS:
        break;
    }
}

static void write_file(const struct segment_file *f)
{
    struct file *file;
    struct iovec part = {f->content.data, f->content.used};
    must(!file_open(f->path, FILE_CREATE, &file).kind);
    must(!file_write_at(file, &part, 1, 0).kind);
    file_close(file);
}

/* What was good stays readable: records are taken and the next start finds them. */
static void use(struct journal *j)
{
    static char bytes[RECORD_LENGTH];
    struct iovec part = {bytes, sizeof bytes};
    uint64_t position;
    fill(bytes, 3);
    must(!journal_wait(j, 3, &part, 1, &position).kind);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 33554432, .keeps = true};

void fuzz_one(struct str in)
{
    struct seen first = {0}, second;
    static struct buf saved[SEGMENTS_MOST];
    struct journal *j;
    if (!file_count)
        make_journal();
    must(!file_remove_tree(directory).kind && !file_make_directory(directory).kind);
    for (size_t i = 0; i < file_count; i++) {
        saved[i] = buf_make(SEGMENT);
        must(buf_append(&saved[i], buf_str(&files[i].content)));
    }
    bool is_changed = in.n > 0;
    while (in.n > 0)
        change(&in, &first);
    for (size_t i = 0; i < file_count; i++) {
        write_file(&files[i]);
        buf_free(&files[i].content);
        files[i].content = saved[i];
    }
    second = (struct seen){0, first.is_forged};
    if (!open_journal(&first, &j).kind) {
        must(is_changed || first.count == RECORDS);
        must(first.is_forged || first.count <= RECORDS);
        if (!first.is_forged)
            use(j);
        journal_close(j);
        must(!open_journal(&second, &j).kind);
        must(first.is_forged || second.count == first.count + 1);
        journal_close(j);
    }
}

/* SPDX-License-Identifier: ISC */
/*
 * test_journal.c - the journal on a disk that works: format, roll, replay, torn tails and damage
 */
#include "journal/crc32c.h"
#include "journal_room.h"
#include "net/loop.h"
#include "net/task.h"
#include "os/clock.h"

enum { SMALL = 16384 };

static void test_crc_ways_agree(void **state)
{
    (void)state;
    unsigned char bytes[300] = {0};
    assert_int_equal(crc32c_by_table(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c_by_table(0, bytes, 32), 0x8A9136AA);
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
    if (!crc32c_has_instruction())
        return;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t from = 0; from < 9; from++)
        for (size_t n = 0; n < 256; n++)
            assert_int_equal(crc32c_by_table(5, bytes + from, n),
                             crc32c_by_instruction(5, bytes + from, n));
}

static void test_records_come_back_in_order(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_order");
    room_open(&r, 65536);
    uint64_t position[100];
    for (int i = 0; i < 100; i++) {
        char text[40];
        snprintf(text, sizeof text, "%d", i);
        struct iovec parts[] = {{text, strlen(text)}, {text, 0}, {text, strlen(text)}};
        assert_fine(journal_wait(r.journal, (uint16_t)i, parts, 3, &position[i]));
    }
    struct journal_statistics st = room_statistics(&r);
    assert_int_equal(st.records, 100);
    assert_int_equal(st.failures, 0);
    assert_true(st.bytes_written >= st.bytes_acknowledged);
    assert_true(st.free_bytes > 0);
    room_close(&r);
    room_open(&r, 65536);
    assert_int_equal(r.count, 100);
    assert_int_equal(r.damage_count, 0);
    for (int i = 0; i < 100; i++) {
        char text[40];
        snprintf(text, sizeof text, "%d%d", i, i);
        assert_int_equal(r.record[i].type, i);
        assert_int_equal(r.record[i].position, position[i]);
        assert_string_equal(r.record[i].payload, text);
    }
    room_free(&r);
}

static void test_read_whole_part_and_none(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_read");
    room_open(&r, SMALL);
    uint64_t at = room_put(&r, "hello, world", 12);
    uint64_t empty = room_put(&r, "", 0);
    struct buf out = buf_make(100);
    assert_fine(journal_read(r.journal, at, 0, SIZE_MAX, &out));
    assert_fine(journal_read(r.journal, at, 7, 3, &out));
    assert_fine(journal_read(r.journal, at, 11, 5, &out));
    assert_fine(journal_read(r.journal, at, 50, 5, &out));
    assert_fine(journal_read(r.journal, empty, 0, SIZE_MAX, &out));
    assert_int_equal(out.used, 16);
    assert_memory_equal(out.data, "hello, worldword", 16);
    assert_int_equal(journal_read(r.journal, at + 1, 0, 1, &out).reply, 451);
    assert_int_equal(journal_read(r.journal, empty + 4096, 0, 1, &out).reply, 451);
    buf_free(&out);
    out = buf_make(5);
    assert_int_equal(journal_read(r.journal, at, 0, SIZE_MAX, &out).reply, 451);
    assert_int_equal(out.used, 0);
    buf_free(&out);
    room_free(&r);
}

static void test_record_of_the_greatest_size(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_great");
    room_open(&r, SMALL);
    size_t most = journal_payload_max(r.journal);
    uint64_t position;
    struct fault fault = room_try_put(&r, "too much", most + 1, &position);
    assert_int_equal(fault.reply, 552);
    for (int i = 0; i < 3; i++)
        room_put(&r, "most", most);
    room_close(&r);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.record[2].length, most);
    room_free(&r);
}

static void count_done(struct loop_message *message)
{
    struct journal_append *a = (struct journal_append *)(void *)message;
    assert_true(a->result.kind == FAULT_FINE);
}

/* Records that together leave exactly that many bytes of the first segment, then some more. */
static void roll_with_remaining(size_t remaining)
{
    enum { COUNT = 12, EACH = 300, ROOM = SMALL - 2 * FORMAT_PAGE };
    struct room r;
    room_make(&r, "journal_roll");
    room_open(&r, SMALL);
    static char bytes[ROOM];
    static struct journal_append append[COUNT + 3];
    static struct iovec part[COUNT + 3];
    size_t left = ROOM;
    for (size_t i = 0; i < COUNT + 3; i++) {
        size_t n = EACH;
        if (i == COUNT)
            n = left - remaining - FORMAT_RECORD_HEADER;
        if (i < COUNT)
            left -= n + FORMAT_RECORD_HEADER;
        part[i] = (struct iovec){bytes, n};
        append[i] = (struct journal_append){
            .message.run = count_done, .parts = &part[i], .part_count = 1, .type = (uint16_t)i};
    }
    for (size_t i = 0; i < COUNT + 3; i++)
        journal_submit(r.journal, &append[i]);
    room_close(&r);
    room_open(&r, SMALL);
    assert_int_equal(r.count, COUNT + 3);
    assert_int_equal(r.damage_count, 0);
    for (size_t i = 0; i < COUNT + 3; i++) {
        assert_int_equal(r.record[i].type, i);
        assert_int_equal(r.record[i].position, append[i].position);
        assert_int_equal(r.record[i].length, part[i].iov_len);
    }
    room_free(&r);
}

static void test_every_remaining_size_at_the_roll(void **state)
{
    (void)state;
    for (size_t remaining = 0; remaining <= FORMAT_RECORD_HEADER + 1; remaining++)
        roll_with_remaining(remaining);
}

/* A segment made by hand. */
struct image {
    struct format_segment format;
    unsigned char bytes[SMALL];
    size_t used;
    uint16_t type; /* of the records that are added; 0: any */
};

static void image_make(struct image *m, uint32_t generation)
{
    memset(m, 0, sizeof *m);
    m->format = (struct format_segment){generation, (uint64_t)(generation - 1) * SMALL, SMALL,
                                        UINT64_C(0x1234567890) * generation};
    format_put_segment(&m->format, m->bytes);
    m->used = FORMAT_PAGE;
}

/* Adds a record; gives its offset. A batch that begins does so at a page. */
static size_t image_add(struct image *m, uint64_t sequence, uint64_t batch, int flags,
                        int open_batches, const char *text)
{
    if (flags & FORMAT_IS_FIRST)
        m->used = (size_t)format_page_up(m->used);
    struct format_record header = {
        .sequence = sequence,
        .batch = batch,
        .length = (uint32_t)strlen(text),
        .payload_crc = crc32c(0, text, strlen(text)),
        .type = m->type ? m->type : 7,
        .flags = (uint8_t)flags,
        .open_batches = (uint8_t)open_batches,
    };
    size_t offset = m->used;
    format_put_record(&m->format, &header, m->bytes + offset);
    memcpy(m->bytes + offset + FORMAT_RECORD_HEADER, text, strlen(text));
    m->used += FORMAT_RECORD_HEADER + strlen(text);
    return offset;
}

static void image_save(const struct room *r, const struct image *m, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/segment-%08u", r->directory, m->format.generation);
    assert_fine(file_save(path, str_make((const char *)m->bytes, size), 0600));
}

static void empty_room(struct room *r)
{
    room_close(r);
    assert_fine(file_remove_tree(r->directory));
    assert_fine(file_make_directory(r->directory));
}

/* Three records of an acknowledged batch; sequences 1, 2, 3. Gives the offset behind them. */
static size_t add_acknowledged(struct image *m)
{
    image_add(m, 1, 10, FORMAT_IS_FIRST, 0, "one");
    image_add(m, 2, 10, 0, 0, "two");
    image_add(m, 3, 10, FORMAT_IS_LAST, 0, "three");
    return m->used;
}

static void test_tail_cut_at_every_byte(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_tail");
    static struct image whole, cut;
    image_make(&whole, 1);
    add_acknowledged(&whole);
    size_t begin = image_add(&whole, 4, 11, FORMAT_IS_FIRST, 0, "four");
    size_t end[3];
    end[0] = whole.used;
    image_add(&whole, 5, 11, 0, 0, "five, which is longer");
    end[1] = whole.used;
    image_add(&whole, 6, 11, FORMAT_IS_LAST, 0, "six");
    end[2] = whole.used;
    for (size_t at = begin; at <= end[2]; at++) {
        size_t expected = 3;
        for (int i = 0; i < 3; i++)
            expected += at >= end[i];
        for (int way = 0; way < 3; way++) {
            cut = whole;
            memset(cut.bytes + at, way == 1 ? 0xA5 : 0, SMALL - at);
            image_save(&r, &cut, way == 2 ? at : SMALL);
            room_open(&r, SMALL);
            assert_int_equal(r.count, expected);
            assert_int_equal(r.damage_count, 0);
            room_put(&r, "next", 4);
            room_close(&r);
            room_open(&r, SMALL); /* and the same again, with the new record behind the cut */
            assert_int_equal(r.count, expected + 1);
            assert_int_equal(r.damage_count, 0);
            assert_string_equal(r.record[expected].payload, "next");
            empty_room(&r);
        }
    }
    room_free(&r);
}

static void test_batch_behind_a_torn_one_was_never_promised(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_torn");
    static struct image m;
    image_make(&m, 1);
    add_acknowledged(&m);
    size_t torn = image_add(&m, 4, 11, FORMAT_IS_FIRST | FORMAT_IS_LAST, 0, "torn");
    image_add(&m, 5, 12, FORMAT_IS_FIRST | FORMAT_IS_LAST, 1, "in flight with it");
    m.bytes[torn + 41] ^= 1;
    image_save(&r, &m, SMALL);
    for (int i = 0; i < 3; i++) {
        room_open(&r, SMALL);
        assert_int_equal(r.count, 3 + i);
        assert_int_equal(r.damage_count, 0);
        assert_string_equal(r.record[2].payload, "three");
        room_put(&r, "after", 5);
        room_close(&r);
    }
    room_open(&r, SMALL);
    assert_string_equal(r.record[3].payload, "after");
    room_free(&r);
}

static void test_torn_batch_before_the_roll(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_torn_roll");
    static struct image first, second;
    image_make(&first, 1);
    add_acknowledged(&first);
    size_t torn = image_add(&first, 4, 11, FORMAT_IS_FIRST | FORMAT_IS_LAST, 0, "torn");
    first.bytes[torn] ^= 1;
    image_make(&second, 2);
    image_add(&second, 5, 12, FORMAT_IS_FIRST | FORMAT_IS_LAST, 1, "in flight with it");
    image_save(&r, &first, SMALL);
    image_save(&r, &second, SMALL);
    for (int i = 0; i < 2; i++) {
        room_open(&r, SMALL);
        assert_int_equal(r.count, 3);
        assert_int_equal(r.damage_count, 0);
        room_close(&r);
    }
    /* The same with a later batch that knows of the acknowledgement. */
    assert_fine(file_remove_tree(r.directory));
    assert_fine(file_make_directory(r.directory));
    image_add(&second, 6, 13, FORMAT_IS_FIRST | FORMAT_IS_LAST, 1, "later");
    image_save(&r, &first, SMALL);
    image_save(&r, &second, SMALL);
    for (int i = 0; i < 2; i++) {
        room_open(&r, SMALL);
        assert_int_equal(r.count, 5);
        assert_string_equal(r.record[4].payload, "later");
        assert_int_equal(r.damage_count, 1);
        assert_int_equal(r.alarms, 1);
        assert_int_equal(r.damage[0].end, SMALL + FORMAT_PAGE);
        room_close(&r);
    }
    room_free(&r);
}

static void test_every_flipped_bit_is_damage_when_acknowledged(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_flip");
    static struct image whole, m;
    image_make(&whole, 1);
    size_t end = add_acknowledged(&whole);
    size_t later = image_add(&whole, 4, 11, FORMAT_IS_FIRST | FORMAT_IS_LAST, 0, "four");
    size_t starts[] = {FORMAT_PAGE, FORMAT_PAGE + 43, FORMAT_PAGE + 86, later};
    for (size_t at = FORMAT_PAGE; at < end; at++) {
        m = whole;
        m.bytes[at] ^= (unsigned char)(1 << (at % 8));
        image_save(&r, &m, SMALL);
        room_open(&r, SMALL);
        size_t hit = at < starts[1] ? 0 : at < starts[2] ? 1 : 2;
        assert_int_equal(r.count, 3);
        assert_int_equal(r.damage_count, 1);
        assert_int_equal(r.damage[0].position, starts[hit]);
        assert_int_equal(r.damage[0].end, starts[hit + 1]);
        assert_string_equal(r.record[2].payload, "four");
        empty_room(&r);
    }
    room_free(&r);
}

static void test_damage_before_a_void_is_found(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_void_damage");
    static struct image m;
    image_make(&m, 1);
    size_t end = add_acknowledged(&m);
    image_save(&r, &m, SMALL);
    room_open(&r, SMALL); /* writes a void that says where the log ended */
    assert_int_equal(r.count, 3);
    room_close(&r);
    m.bytes[end - 1] ^= 1; /* the last record: nothing good behind it in its segment */
    image_save(&r, &m, SMALL);
    for (size_t i = 0; i < 2; i++) {
        room_open(&r, SMALL);
        assert_int_equal(r.count, 2 + i);
        assert_int_equal(r.damage_count, 1);
        assert_int_equal(r.damage[0].position, FORMAT_PAGE + 86);
        assert_int_equal(r.damage[0].end, end);
        room_put(&r, "next", 4);
        room_close(&r);
    }
    room_free(&r);
}

/* No void of ours is that short; its position would be read from what lies behind it. */
static void test_a_short_void_says_nothing(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_short_void");
    static struct image m;
    image_make(&m, 1);
    add_acknowledged(&m);
    m.type = FORMAT_VOID;
    image_add(&m, 4, 11, FORMAT_IS_FIRST | FORMAT_IS_LAST, 0, "xy");
    image_save(&r, &m, SMALL);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.damage_count, 0);
    room_free(&r);
}

static void test_recycled_segment_forgets_its_past(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_past");
    static struct image old;
    image_make(&old, 1);
    size_t second = 0;
    for (uint64_t i = 1; i <= 60; i++) {
        size_t at = image_add(&old, i, 9 + i, FORMAT_IS_FIRST * (i == 1), 0, "the past, long over");
        second = i == 2 ? at : second;
    }
    /* The same file with a new header and one new record, which the old second one follows. */
    static struct image fresh;
    fresh = old;
    fresh.format.generation = 2;
    fresh.format.salt++;
    format_put_segment(&fresh.format, fresh.bytes);
    fresh.used = FORMAT_PAGE;
    image_add(&fresh, 1, 10, FORMAT_IS_FIRST, 0, "the new, of one length");
    assert_true(fresh.used > second);
    image_save(&r, &fresh, SMALL);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.damage_count, 0);
    assert_string_equal(r.record[0].payload, "the new, of one length");
    /* The salt alone is enough. */
    empty_room(&r);
    old.format.salt++;
    format_put_segment(&old.format, old.bytes);
    image_save(&r, &old, SMALL);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 0);
    room_free(&r);
}

static void test_record_inside_a_message_is_not_taken(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_inside");
    static struct image m, forged;
    image_make(&m, 1);
    forged = m;
    forged.format.salt = 0;
    image_add(&forged, 2, 10, FORMAT_IS_LAST, 0, "forged");
    struct str inner = str_make((char *)forged.bytes + FORMAT_PAGE, forged.used - FORMAT_PAGE);
    /* No NUL may be in the text of image_add, so the bytes are put in afterwards, CRC and all. */
    size_t at = m.used;
    struct format_record header = {.sequence = 1,
                                   .batch = 10,
                                   .length = (uint32_t)inner.n,
                                   .payload_crc = crc32c(1, inner.p, inner.n), /* a bad one */
                                   .type = 7,
                                   .flags = FORMAT_IS_FIRST};
    format_put_record(&m.format, &header, m.bytes + at);
    memcpy(m.bytes + at + FORMAT_RECORD_HEADER, inner.p, inner.n);
    image_save(&r, &m, SMALL);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 0);
    room_free(&r);
}

static void test_trim_and_recycling_bound_the_files(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_trim");
    room_open(&r, SMALL);
    uint64_t first = room_put(&r, "first", 3000), last = 0;
    for (int i = 0; i < 300; i++) {
        last = room_put(&r, "x", 3000);
        journal_trim(r.journal, last);
        struct journal_statistics st = room_statistics(&r);
        /* The one written to and perhaps the one before it, not recycled yet. */
        assert_true(st.segments <= 3);
        assert_true(st.spares <= 2);
        /* Records that come faster than segments are recycled are right to make more of them. */
        while (st.segments > 1 || st.spares < 1)
            st = room_statistics(&r);
    }
    assert_true(room_statistics(&r).segments_made <= 5);
    struct buf out = buf_make(SMALL);
    assert_int_equal(journal_read(r.journal, first, 0, SIZE_MAX, &out).reply, 451);
    assert_fine(journal_read(r.journal, last, 0, SIZE_MAX, &out));
    buf_free(&out);
    /* Starts take a segment each, but do not keep those without records. */
    room_close(&r);
    for (int i = 0; i < 20; i++) {
        room_open(&r, SMALL);
        assert_true(r.count >= 1 && r.count <= 2);
        assert_int_equal(r.record[r.count - 1].position, last);
        struct journal_statistics st = room_statistics(&r);
        assert_true(st.segments + st.spares <= 6);
        assert_true(i == 0 || st.segments_made <= 1);
        room_close(&r);
    }
    room_free(&r);
}

static void test_segment_size_may_change(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_resize");
    size_t expected = 0;
    for (int i = 0; i < 6; i++) {
        room_open(&r, i % 2 ? 65536 : SMALL);
        assert_int_equal(r.count, expected);
        assert_int_equal(r.damage_count, 0);
        for (int k = 0; k < 10; k++, expected++)
            room_put(&r, "record", 3000);
        room_close(&r);
    }
    room_open(&r, SMALL);
    for (size_t i = 1; i < expected; i++)
        assert_true(r.record[i].position > r.record[i - 1].position);
    room_free(&r);
}

static void test_second_opener_is_told_who_has_it(void **state)
{
    (void)state;
    struct room r, other;
    room_make(&r, "journal_lock");
    room_open(&r, SMALL);
    other = (struct room){.alarms = 0};
    memcpy(other.directory, r.directory, sizeof r.directory);
    struct fault fault = room_try_open(&other, SMALL, 1);
    assert_int_equal(fault.reply, 451);
    assert_null(other.journal);
    char expected[200];
    snprintf(expected, sizeof expected, "the journal %s is in use by process %ld", r.directory,
             (long)getpid());
    assert_string_equal(fault.text, expected);
    room_free(&r);
}

static void test_file_without_a_header_is_left_alone(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_header");
    char path[128];
    snprintf(path, sizeof path, "%s/segment-00000009", r.directory);
    assert_fine(file_save(path, STR("not a segment"), 0600));
    char partial[128];
    snprintf(partial, sizeof partial, "%s/segment-00000010.new", r.directory);
    assert_fine(file_save(partial, STR("half"), 0600));
    room_open(&r, SMALL);
    assert_int_equal(r.alarms, 1);
    assert_non_null(strstr(r.first_alarm.text, "segment-00000009 has no good header"));
    room_put(&r, "fine", 4);
    assert_true(file_exists(path));
    assert_false(file_exists(partial));
    room_free(&r);
}

struct task_load {
    struct room *room;
    int id;
    int records;
    int acknowledged;
};

enum { TASKS = 50, EACH_TASK = 20, TURN_TASKS = 20, TIME_TO_WRITE_US = 50000 };

static void append_from_task(void *arg)
{
    struct task_load *load = arg;
    uint64_t before = 0;
    for (int i = 0; i < load->records; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d %d", load->id, i);
        struct iovec part = {text, strlen(text)};
        uint64_t position;
        assert_fine(journal_wait(load->room->journal, 7, &part, 1, &position));
        assert_true(position > before);
        before = position;
        load->acknowledged++;
    }
}

struct crowd {
    int tasks;
    void (*work)(void *load);
    struct task_load load[TASKS];
};

static void start_tasks(void *arg)
{
    struct crowd *c = arg;
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < c->tasks; i++)
        assert_non_null(task_start(&scope, "append", c->work, &c->load[i]));
    scope_join(&scope);
    loop_stop(loop_current());
}

static void run_crowd(struct room *r, struct crowd *c, int records)
{
    for (int i = 0; i < c->tasks; i++)
        c->load[i] = (struct task_load){r, i, records, 0};
    struct loop *loop = loop_make();
    struct scope scope;
    scope_init(&scope);
    assert_non_null(task_start(&scope, "all", start_tasks, c));
    loop_run(loop);
    loop_free(loop);
    for (int i = 0; i < c->tasks; i++)
        assert_int_equal(c->load[i].acknowledged, records);
}

static void test_tasks_wait_for_their_records(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_tasks");
    room_open(&r, 65536);
    struct crowd c = {.tasks = TASKS, .work = append_from_task};
    run_crowd(&r, &c, EACH_TASK);
    struct journal_statistics st = room_statistics(&r);
    assert_int_equal(st.records, TASKS * EACH_TASK);
    assert_true(st.batches < TASKS * EACH_TASK / 2);
    room_close(&r);
    room_open(&r, 65536);
    assert_int_equal(r.count, TASKS * EACH_TASK);
    room_free(&r);
}

/* The tasks of a turn run one after the other: what the first submits is not written before the last has. */
static void submit_or_look(void *arg)
{
    struct task_load *load = arg;
    if (load->id < TURN_TASKS - 1) {
        append_from_task(load);
        return;
    }
    clock_sleep_us(TIME_TO_WRITE_US);
    struct journal_statistics st = room_statistics(load->room);
    assert_int_equal(st.records, 0);
    append_from_task(load);
}

static void test_records_of_one_turn_go_together(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_turn");
    room_open(&r, 65536);
    struct crowd c = {.tasks = TURN_TASKS, .work = submit_or_look};
    run_crowd(&r, &c, 1);
    struct journal_statistics st = room_statistics(&r);
    assert_int_equal(st.records, TURN_TASKS);
    assert_int_equal(st.batches, 1);
    room_free(&r);
}

struct parting {
    struct journal_append append;
    struct journal *journal;
};

static void note(struct loop_message *message)
{
    (void)message;
}

static void submit_and_close(void *arg)
{
    struct parting *p = arg;
    journal_submit(p->journal, &p->append);
    journal_close(p->journal);
    loop_stop(loop_current());
}

static void test_close_takes_what_the_turn_has_submitted(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_parting");
    room_open(&r, 65536);
    struct iovec part = {"last words", 10};
    struct parting p = {
        .journal = r.journal,
        .append = {.message.run = note, .parts = &part, .part_count = 1, .type = 7}};
    struct loop *loop = loop_make();
    struct scope scope;
    scope_init(&scope);
    assert_non_null(task_start(&scope, "parting", submit_and_close, &p));
    loop_run(loop);
    loop_free(loop);
    assert_fine(p.append.result);
    r.journal = NULL;
    room_open(&r, 65536);
    assert_int_equal(r.count, 1);
    room_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_ways_agree),
        cmocka_unit_test(test_records_come_back_in_order),
        cmocka_unit_test(test_read_whole_part_and_none),
        cmocka_unit_test(test_record_of_the_greatest_size),
        cmocka_unit_test(test_every_remaining_size_at_the_roll),
        cmocka_unit_test(test_tail_cut_at_every_byte),
        cmocka_unit_test(test_batch_behind_a_torn_one_was_never_promised),
        cmocka_unit_test(test_torn_batch_before_the_roll),
        cmocka_unit_test(test_every_flipped_bit_is_damage_when_acknowledged),
        cmocka_unit_test(test_damage_before_a_void_is_found),
        cmocka_unit_test(test_a_short_void_says_nothing),
        cmocka_unit_test(test_recycled_segment_forgets_its_past),
        cmocka_unit_test(test_record_inside_a_message_is_not_taken),
        cmocka_unit_test(test_trim_and_recycling_bound_the_files),
        cmocka_unit_test(test_segment_size_may_change),
        cmocka_unit_test(test_second_opener_is_told_who_has_it),
        cmocka_unit_test(test_file_without_a_header_is_left_alone),
        cmocka_unit_test(test_tasks_wait_for_their_records),
        cmocka_unit_test(test_records_of_one_turn_go_together),
        cmocka_unit_test(test_close_takes_what_the_turn_has_submitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

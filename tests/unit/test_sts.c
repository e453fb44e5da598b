/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS policies over days (send/sts.h), with a DNS, a web and a clock of the test's own: what the hourly look keeps alive.
 * And what is gathered about TLS while the DNS does not answer (report/tls_gather.h).
 */
#include "send/sts.h"

#include "mail_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/fetch.h"
#include "net/offload.h"
#include "os/file.h"
#include "report/tls_gather.h"
#include "send/sts_shelf.h"
#include "task_test.h"

enum { DAY_S = 86400, START_S = 1700000000 };

#define POLICY(mx, age) "version: STSv1\r\nmode: enforce\r\nmx: " mx "\r\nmax_age: " age "\r\n"

static struct {
    int64_t now_s;
    const char *id;     /* of the record; NULL: the DNS does not answer */
    const char *policy; /* NULL: the web does not answer */
    unsigned fetched;
    unsigned folder_syncs;
    char last[300]; /* host that was asked */
} world;

static char folder[] = "/tmp/eb-sts-XXXXXX";
static struct live_holder live;

int64_t __wrap_loop_real_ms(struct loop *l);
struct fault __wrap_resolver_lookup(struct resolver *r, struct arena *arena, const char *name,
                                    uint16_t type, int64_t deadline_ms,
                                    struct resolver_answer *out);
struct fault __wrap_fetch_text(struct fetch *f, struct buf *out);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int64_t __wrap_loop_real_ms(struct loop *l)
{
    (void)l;
    return world.now_s * 1000;
}

struct fault __wrap_resolver_lookup(struct resolver *r, struct arena *arena, const char *name,
                                    uint16_t type, int64_t deadline_ms, struct resolver_answer *out)
{
    (void)r;
    (void)deadline_ms;
    *out = (struct resolver_answer){.status = RESOLVER_NO_DATA};
    if (strncmp(name, "_smtp._tls.", 11) == 0 || !world.id)
        return fault_make(451, FAULT_STATUS(4, 4, 3), "no answer");
    if (type == RESOLVER_TXT) {
        struct str text = arena_printf(arena, "_v=STSv1; id=%s;", world.id);
        text.p = arena_copy(arena, text).p;
        ((char *)(uintptr_t)text.p)[0] = (char)(text.n - 1);
        out->data = arena_alloc(arena, sizeof *out->data);
        out->data[0] = text;
        out->count = 1;
        out->status = RESOLVER_FOUND;
    }
    return FINE;
}

struct fault __wrap_fetch_text(struct fetch *f, struct buf *out)
{
    world.fetched++;
    snprintf(world.last, sizeof world.last, "%s", f->host);
    if (!world.policy)
        return fault_make(451, FAULT_STATUS(4, 4, 0), "nobody there");
    assert_true(buf_append(out, str_from(world.policy)));
    return FINE;
}

int __wrap_fsync(int fd)
{
    struct stat synced, wanted;
    if (fstat(fd, &synced) == 0 && stat(folder, &wanted) == 0 && synced.st_ino == wanted.st_ino)
        world.folder_syncs++;
    return __real_fsync(fd);
}

static struct sts *start(void)
{
    const struct sts_options options = {.folder = folder, .live = &live};
    world.fetched = 0;
    return sts_make(&options);
}

/* The host that the policy names; empty: there is none. */
static void expect_mx(struct sts *s, const char *mx)
{
    struct arena a = arena_make(1 << 20);
    struct sts_answer answer;
    sts_find(s, STR("far.test"), loop_now_ms(loop_current()) + 1000, &a, &answer);
    assert_int_equal(answer.state, *mx ? STS_FOUND : STS_ABSENT);
    if (*mx)
        assert_true(mta_sts_policy_has(&answer.policy, str_from(mx)));
    arena_free(&a);
}

static bool is_kept(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return file_exists(path);
}

/* Nobody sends anything to the domain: its policy is fetched anew each day and does not run out. */
static void refresh_keeps_alive(void *arg)
{
    (void)arg;
    struct sts *s = start();
    expect_mx(s, "mx.far.test");
    assert_int_equal(world.fetched, 1);
    for (int hour = 1; hour <= 10 * 24; hour++) {
        world.now_s = START_S + hour * 3600;
        sts_refresh(s);
        if (hour == 23)
            assert_int_equal(world.fetched, 1);
    }
    assert_true(world.fetched >= 10 && world.fetched <= 11);
    assert_string_equal(world.last, "mta-sts.far.test");
    sts_free(s);
    /* It was a policy for four days, and after a restart it is there without the web or the DNS. */
    world.policy = world.id = NULL;
    s = start();
    expect_mx(s, "mx.far.test");
    sts_free(s);
    loop_stop(loop_current());
}

/* No policy, and mail in the clear, is what an attacker would like of a disk that fails once. */
static void unreadable_is_not_absent(void *arg)
{
    (void)arg;
    char path[400];
    struct arena a = arena_make(1 << 20);
    struct sts_answer answer;
    struct sts *s;
    snprintf(path, sizeof path, "%s/far.test", folder);
    assert_int_equal(symlink("nowhere/to/be/found", path), 0);
    world.policy = NULL;
    for (int i = 0; i < 2; i++) {
        world.id = i == 0 ? "1" : NULL;
        s = start();
        for (int k = 0; k < 2; k++) {
            sts_find(s, STR("far.test"), loop_now_ms(loop_current()) + 1000, &a, &answer);
            assert_true(answer.state == STS_ABSENT && answer.is_unreadable);
        }
        sts_free(s);
    }
    world.id = "1";
    world.policy = POLICY("mx.far.test", "345600");
    s = start();
    sts_find(s, STR("far.test"), loop_now_ms(loop_current()) + 1000, &a, &answer);
    assert_true(answer.state == STS_FOUND && !answer.is_unreadable);
    sts_free(s);
    arena_free(&a);
    loop_stop(loop_current());
}

/* Who saved it was killed, maybe before the name was on the disk: a power cut would take back what mail was kept for. */
static void found_is_durable(void *arg)
{
    (void)arg;
    struct sts *s = start();
    expect_mx(s, "mx.far.test");
    sts_free(s);
    world.policy = NULL;
    world.folder_syncs = 0;
    s = start();
    expect_mx(s, "mx.far.test");
    assert_int_equal(world.folder_syncs, 1);
    expect_mx(s, "mx.far.test");
    assert_int_equal(world.folder_syncs, 1);
    sts_free(s);
    loop_stop(loop_current());
}

/* A fetch that fails costs nothing but the renewal, is not tried again at once, and the time of the policy ends it. */
static void refresh_that_fails(void *arg)
{
    (void)arg;
    struct sts *s = start();
    expect_mx(s, "mx.far.test");
    world.policy = NULL;
    world.now_s = START_S + DAY_S + 1;
    sts_refresh(s);
    sts_refresh(s);
    assert_int_equal(world.fetched, 2);
    expect_mx(s, "mx.far.test");
    world.policy = "no policy";
    sts_free(s);
    s = start();
    sts_refresh(s);
    assert_int_equal(world.fetched, 1);
    expect_mx(s, "mx.far.test");
    world.now_s = START_S + 4 * DAY_S + 1;
    sts_refresh(s);
    assert_false(is_kept("far.test"));
    world.id = NULL;
    expect_mx(s, "");
    sts_free(s);
    loop_stop(loop_current());
}

/* The look finds another policy, and it counts from then on, although nobody has asked. */
static void refresh_brings_news(void *arg)
{
    (void)arg;
    struct sts *s = start();
    expect_mx(s, "mx.far.test");
    world.policy = POLICY("other.far.test", "345600");
    world.now_s = START_S + DAY_S + 1;
    sts_refresh(s);
    assert_int_equal(world.fetched, 2);
    expect_mx(s, "other.far.test");
    assert_int_equal(world.fetched, 2);
    sts_free(s);
    loop_stop(loop_current());
}

/* What cannot be read now may be read later: only what has been read and holds no more is removed. */
static void refresh_removes_what_is_over(void *arg)
{
    (void)arg;
    char path[400];
    struct sts *s = start();
    expect_mx(s, "mx.far.test");
    snprintf(path, sizeof path, "%s/locked.test", folder);
    assert_int_equal(symlink("nowhere/to/be/found", path), 0);
    snprintf(path, sizeof path, "%s/damaged.test", folder);
    assert_false(file_save(path, STR("rubbish\n"), 0600).kind);
    sts_refresh(s);
    assert_true(is_kept("far.test"));
    assert_false(is_kept("damaged.test"));
    snprintf(path, sizeof path, "%s/locked.test", folder);
    assert_int_equal(unlink(path), 0); /* it was left alone */
    sts_free(s);
    loop_stop(loop_current());
}

static void test_a_policy_that_nobody_uses_is_kept_alive(void **state)
{
    (void)state;
    run_as_task(refresh_keeps_alive);
}

static void test_a_renewal_that_fails_takes_nothing_away(void **state)
{
    (void)state;
    run_as_task(refresh_that_fails);
}

static void test_a_renewal_brings_the_new_policy(void **state)
{
    (void)state;
    run_as_task(refresh_brings_news);
}

static void test_files_that_cannot_be_read_stay(void **state)
{
    (void)state;
    run_as_task(refresh_removes_what_is_over);
}

/* Events report.uncounted with such a reason. */
static unsigned losses(struct event_log *log, const char *path, const char *reason)
{
    struct buf text = buf_make(1 << 20);
    struct str line;
    unsigned count = 0;
    assert_false(event_flush(log).kind);
    if (file_exists(path))
        assert_false(file_load(path, &text).kind);
    for (struct str rest = buf_str(&text); str_cut(rest, '\n', &line, &rest);)
        count += str_find(line, STR("report.uncounted")) < line.n &&
                 str_find(line, str_from(reason)) < line.n;
    buf_free(&text);
    return count;
}

static struct report_store *store;
static struct event_log *events;
static struct tls_gather *g;

/* Sessions of one domain and of many are held up to the bound; the loss is told once, and once more when it was over. */
static void gather_all(void *arg)
{
    (void)arg;
    char path[400], name[40];
    snprintf(path, sizeof path, "%s/reports.db", folder);
    assert_false(report_store_open(path, &store).kind);
    snprintf(path, sizeof path, "%s/events", folder);
    assert_false(event_log_open(path, 1 << 20, 1, false, &events).kind);
    g = tls_gather_make(store, NULL, events);
    struct report_tls t = {.policy_type = "no-policy-found", .time_s = START_S};
    for (unsigned i = 0; i < TLS_GATHER_HELD_MAX + 100; i++) {
        snprintf(name, sizeof name, "d%u.test", i % 2 ? i : 0);
        t.domain = str_from(name);
        tls_gather_tell(g, &t);
        if (i == TLS_GATHER_HELD_MAX - 1)
            assert_int_equal(losses(events, path, ""), 0);
    }
    assert_int_equal(losses(events, path, "too many sessions wait"), 1);
    /* The DNS says nothing about any domain: each is told of, and there is room again for what comes then. */
    struct scope scope;
    scope_init(&scope);
    assert_true(tls_gather_start(g, &scope));
    do {
        assert_false(task_sleep(10).kind);
    } while (losses(events, path, "the DNS does not say") < TLS_GATHER_HELD_MAX / 2 + 1);
    tls_gather_tell(g, &t);
    assert_int_equal(losses(events, path, "too many sessions wait"), 1);
    scope_cancel(&scope);
    scope_join(&scope);
    loop_stop(loop_current());
}

static void test_what_waits_for_the_dns_is_bounded(void **state)
{
    (void)state;
    run_as_task(gather_all);
    tls_gather_free(g);
    event_log_close(events);
    report_store_close(store);
}

static void test_a_policy_that_is_found_is_durable(void **state)
{
    (void)state;
    run_as_task(found_is_durable);
}

static void test_a_policy_that_cannot_be_read_is_not_absent(void **state)
{
    (void)state;
    run_as_task(unreadable_is_not_absent);
}

static int begin(void **state)
{
    (void)state;
    world.now_s = START_S;
    world.id = "1";
    world.policy = POLICY("mx.far.test", "345600");
    snprintf(folder, sizeof folder, "/tmp/eb-sts-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind ? 1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_policy_that_nobody_uses_is_kept_alive, begin, end),
        cmocka_unit_test_setup_teardown(test_a_policy_that_is_found_is_durable, begin, end),
        cmocka_unit_test_setup_teardown(test_a_policy_that_cannot_be_read_is_not_absent, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_a_renewal_that_fails_takes_nothing_away, begin, end),
        cmocka_unit_test_setup_teardown(test_a_renewal_brings_the_new_policy, begin, end),
        cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read_stay, begin, end),
        cmocka_unit_test_setup_teardown(test_what_waits_for_the_dns_is_bounded, begin, end),
    };
    struct conf *conf;
    if (conf_parse("/tmp/eb.conf", STR("hostname = mx.example.test\n\0"), &conf).kind)
        return 1;
    live_start_keyless(&live, conf);
    offload_start(1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    offload_stop();
    live_stop(&live);
    return failed;
}

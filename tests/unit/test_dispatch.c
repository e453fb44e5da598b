/* SPDX-License-Identifier: ISC */
/*
 * test_dispatch.c - which delivery goes over which connection, with a queue, sockets and servers
 *
 * The servers are tasks on the sender's loop, each with a port of the loopback address and a domain
 * of its own. They do what the test says: keep silent, or take only so many messages over each
 * connection.
 */
#include "queue_room.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "conf/live.h"
#include "directory/cache.h"
#include "event/log.h"
#include "mail/dsn.h"
#include "net/listen.h"
#include "send/sender.h"

enum { SERVERS = 3, SENDERS_NOTED = 4096, UNLIMITED = 1 << 30, LINE_MOST = 1024 };

struct server {
    struct listener listener;
    const char *domain;
    bool is_silent;
    int turns;          /* messages that it takes over each connection, for now */
    int sent;           /* to it, by the test */
    int done, accepted; /* messages, connections */
    char from[SENDERS_NOTED];
};

static struct room {
    struct world world;
    struct live_holder live;
    struct directory *directory;
    struct directory_cache *cache;
    struct event_log *log;
    struct sender *sender;
    struct sender_loop loop;
    struct scope work, serving;
    struct acceptor *acceptor;
    struct server server[SERVERS];
    void (*act)(void);
} room;

static struct server *const one = &room.server[0], *const two = &room.server[1];

static int64_t far(void)
{
    return loop_now_ms(loop_current()) + PATIENCE_MS;
}

static void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
}

/* Waits for a condition. */
#define UNTIL(what)                                                                                \
    do {                                                                                           \
        for (int64_t end_ms = far(); !(what) && loop_now_ms(loop_current()) < end_ms;)             \
            task_sleep(2);                                                                         \
        assert_true(what);                                                                         \
    } while (0)

/* The servers. */
static void say(struct conn *c, const char *text)
{
    struct str line = str_from(text);
    conn_write(c, &line, 1, far());
}

struct talk {
    struct server *server;
    struct conn *conn;
    bool is_data, is_over;
    int taken;
    char line[LINE_MOST];
    size_t used;
};

static void take_message(struct talk *t)
{
    while (t->taken >= t->server->turns && !task_is_cancelled())
        task_sleep(2);
    t->taken++;
    t->server->done++;
}

static void take_line(struct talk *t)
{
    struct str line = str_make(t->line, t->used);
    struct server *s = t->server;
    t->used = 0;
    if (t->is_data && !str_equal(line, STR(".\r\n")))
        return;
    if (t->is_data) {
        take_message(t);
        t->is_data = false;
    } else if (str_starts(line, STR("DATA"))) {
        t->is_data = true;
        say(t->conn, "354 go on\r\n");
        return;
    } else if (str_starts(line, STR("MAIL FROM:<")) && s->done < SENDERS_NOTED) {
        s->from[s->done] = line.p[11];
    }
    t->is_over = str_starts(line, STR("QUIT"));
    say(t->conn, "250 fine\r\n");
}

static void serve(struct conn *c, void *arg)
{
    struct talk t = {.server = arg, .conn = c};
    struct str in;
    t.server->accepted++;
    while (t.server->is_silent && !task_is_cancelled())
        task_sleep(2);
    say(c, "220 server\r\n");
    while (!t.is_over && !conn_read(c, INT64_MAX, &in).kind && in.n > 0) {
        char byte = in.p[0];
        conn_consume(c, 1);
        assert_in_range(t.used, 0, LINE_MOST - 1);
        t.line[t.used++] = byte;
        if (byte == '\n')
            take_line(&t);
    }
    conn_close(c);
}

/* A port of its own, on which nobody listens yet. */
static unsigned make_server(struct server *s, const char *domain)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int socket_made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(socket_made, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(socket_made, (struct sockaddr *)&at, &size), 0);
    *s = (struct server){.domain = domain, .turns = UNLIMITED};
    s->listener.descriptor = socket_made;
    s->listener.task_name = "server";
    s->listener.serve = serve;
    s->listener.arg = s;
    return ntohs(at.sin_port);
}

static void open_server(struct server *s)
{
    assert_int_equal(listen(s->listener.descriptor, 100), 0);
    assert_fine(acceptor_add(room.acceptor, &s->listener));
}

/* The room. */
static void ready(void *arg, struct queue_delivery *d)
{
    (void)arg;
    sender_ready(room.sender, d);
}

static void relieve(void *arg)
{
    (void)arg;
    sender_relieve(room.sender);
}

static void make_sender(void)
{
    scope_init(&room.work);
    scope_init(&room.serving);
    room.acceptor = acceptor_start(&room.serving, &room.acceptor, 1);
    room.loop = (struct sender_loop){loop_current(), &room.work};
    struct sender_options o = {.live = &room.live,
                               .directory = room.cache,
                               .log = room.log,
                               .loops = &room.loop,
                               .loop_count = 1,
                               .scope = &room.work};
    room.sender = sender_make(&o);
    sender_set_queue(room.sender, room.world.queue);
}

static void act_in_room(struct world *w)
{
    (void)w;
    make_sender();
    room.act();
    sender_stop(room.sender);
    scope_cancel(&room.work);
    scope_join(&room.work);
    UNTIL(sender_is_idle(room.sender));
    acceptor_stop(room.acceptor);
    scope_cancel(&room.serving);
    scope_join(&room.serving);
    acceptor_free(room.acceptor);
}

static unsigned port_of(const struct server *s)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    assert_int_equal(getsockname(s->listener.descriptor, (struct sockaddr *)&at, &size), 0);
    return ntohs(at.sin_port);
}

/* From now on the domain of one server is at home with the other. */
static void move_domain(const struct server *from, const struct server *to)
{
    char text[512];
    struct live *fresh;
    int n = snprintf(text, sizeof text,
                     "hostname = mx.example.test\ntransport \"%s\" {\n host = \"127.0.0.1\"\n "
                     "port = %u\n}\n",
                     from->domain, port_of(to));
    assert_fine(live_load(&room.live, str_make(text, (size_t)n + 1), &fresh));
    live_drop(&room.live, live_replace(&room.live, fresh));
    sender_refresh(room.sender);
}

static void load_conf(const char *delivery)
{
    static const char *const domains[SERVERS] = {"one.test", "two.test", "three.test"};
    char path[128];
    struct buf text = buf_make(1 << 16);
    assert_true(buf_printf(&text,
                           "hostname = mx.example.test\ndelivery {\n idle-timeout = 1h\n "
                           "messages-per-connection = 1000000\n%s\n}\n",
                           delivery));
    for (size_t i = 0; i < SERVERS; i++)
        assert_true(buf_printf(&text, "transport \"%s\" {\n host = \"127.0.0.1\"\n port = %u\n}\n",
                               domains[i], make_server(&room.server[i], domains[i])));
    assert_true(buf_append_byte(&text, '\0'));
    snprintf(path, sizeof path, "%s/eilbote.conf", room.world.directory);
    assert_fine(live_start(&room.live, path, buf_str(&text)));
    buf_free(&text);
}

static void run_in_room(void (*act)(void), const char *delivery)
{
    char path[128];
    make_world(&room.world);
    room.world.options.ready = ready;
    room.world.options.relieve = relieve;
    room.act = act;
    load_conf(delivery);
    snprintf(path, sizeof path, "%s/directory.db", room.world.directory);
    assert_fine(directory_open(path, DIRECTORY_CREATE, &room.directory));
    room.cache = directory_cache_make(room.directory);
    snprintf(path, sizeof path, "%s/events.jsonl", room.world.directory);
    assert_fine(event_log_open(path, 1 << 24, 2, false, &room.log));
    run(&room.world, act_in_room);
    sender_free(room.sender);
    for (size_t i = 0; i < SERVERS; i++)
        close(room.server[i].listener.descriptor);
    event_log_close(room.log);
    directory_cache_free(room.cache);
    directory_close(room.directory);
    live_stop(&room.live);
    remove_world(&room.world);
}

static void send_from(struct server *s, const char *sender, int count)
{
    char address[64];
    snprintf(address, sizeof address, "you@%s", s->domain);
    struct queue_rcpt rcpt = {.address = str_from(address), .notify = DSN_NOTIFY_NEVER};
    for (int i = 0; i < count; i++, s->sent++) {
        struct queue_envelope e = {.sender = str_from(sender),
                                   .arrival_ms = clock_real_ms(),
                                   .rcpt = &rcpt,
                                   .rcpt_count = 1};
        struct buf body = buf_make(100);
        buf_append(&body, STR("Subject: s\r\n\r\nx\r\n"));
        assert_fine(queue_accept(room.world.queue, queue_new_id(room.world.queue), &e, &body, 0));
    }
}

static void send_mail(struct server *s, int count)
{
    send_from(s, "a@alice.test", count);
}

static struct sender_site_report report(const struct server *s)
{
    struct sender_site_report r;
    sender_report(room.sender, str_from(s->domain), &r);
    return r;
}

/* What the queue says of a message that waits, which is the only one. */
static struct fault trouble_of_only(unsigned *attempts)
{
    struct queue_message *m = pin_only(&room.world);
    struct fault f = m->delivery[0].trouble ? m->delivery[0].trouble->fault : FINE;
    *attempts = m->delivery[0].attempts;
    queue_unpin(room.world.queue, m);
    return f;
}

/* The tests. */
static void one_sends_much_another_little(void)
{
    open_server(one);
    one->turns = 0;
    send_mail(one, 30);
    UNTIL(report(one).waiting == 27); /* three are with the connection */
    send_from(one, "b@bob.test", 1);
    UNTIL(report(one).waiting == 28);
    one->turns = UNLIMITED;
    UNTIL(one->done == 31);
    assert_int_equal(one->accepted, 1);
    size_t place = str_index(str_make(one->from, 31), 'b');
    assert_in_range(place, 3, 4);
}

static void test_senders_take_turns_at_a_site(void **state)
{
    (void)state;
    run_in_room(one_sends_much_another_little, "connections-per-site = 1");
}

static void one_is_silent(void)
{
    one->is_silent = true;
    open_server(one);
    open_server(two);
    send_mail(one, 100);
    send_mail(two, 100);
    UNTIL(two->done == 100 && report(one).waiting == 100 - 2 * 3);
    assert_int_equal(one->accepted, 2);
    assert_int_equal(report(one).connections, 2);
    assert_true(report(one).is_silent);
    assert_false(report(two).is_silent);
    one->is_silent = false;
    UNTIL(one->done == 100);
    assert_false(report(one).is_silent);
}

static void test_a_silent_site_gets_two_connections(void **state)
{
    (void)state;
    run_in_room(one_is_silent, "connections-per-site = 20");
}

static void one_is_down(void)
{
    unsigned attempts;
    send_mail(one, 1);
    UNTIL(report(one).is_down && report(one).connections == 0);
    struct fault first = trouble_of_only(&attempts);
    assert_int_equal(first.kind, FAULT_LATER);
    assert_int_equal(attempts, 1);
    /* It listens again, and nobody has noticed. */
    open_server(one);
    struct queue_message *m = pin_only(&room.world);
    assert_true(queue_retry(room.world.queue, &m->delivery[0]));
    queue_unpin(room.world.queue, m);
    UNTIL((trouble_of_only(&attempts), attempts == 2));
    assert_string_equal(trouble_of_only(&attempts).text, first.text);
    assert_int_equal(one->accepted, 0);
    sender_refresh(room.sender);
    assert_false(report(one).is_down);
    m = pin_only(&room.world);
    assert_true(queue_retry(room.world.queue, &m->delivery[0]));
    queue_unpin(room.world.queue, m);
    UNTIL(one->done == 1);
    assert_int_equal(one->accepted, 1);
}

static void test_a_site_that_is_down_fails_without_a_connection_and_comes_back(void **state)
{
    (void)state;
    run_in_room(one_is_down, "connections-per-site = 2");
}

static void another_waits_while_one_is_idle(void)
{
    open_server(one);
    open_server(two);
    for (int round = 1; round <= 3; round++) {
        send_mail(one, 1);
        UNTIL(one->done == round);
        send_mail(two, 1);
        UNTIL(two->done == round);
    }
}

static void test_an_idle_connection_makes_room(void **state)
{
    (void)state;
    run_in_room(another_waits_while_one_is_idle, "connections = 1");
}

static void one_holds_all(void)
{
    open_server(one);
    open_server(two);
    one->turns = 1;
    send_mail(one, 100);
    UNTIL(one->done == 4 && report(one).connections == 4);
    send_mail(two, 1);
    UNTIL(report(two).waiting == 1);
    one->turns = 2; /* the transactions under way end, and no other */
    UNTIL(two->done == 1);
    assert_in_range(one->done, 5, 10);
    one->turns = UNLIMITED;
    UNTIL(one->done == 100);
}

static void test_a_site_without_connections_gets_one_of_the_site_with_most(void **state)
{
    (void)state;
    run_in_room(one_holds_all, "connections = 4\n connections-per-site = 4");
}

/* Keeps mail waiting. */
static void feed(struct server *s)
{
    if (s->sent - s->done < 40)
        send_mail(s, 40);
}

/* Each connection ends a transaction now and then; none is ever idle. */
static bool have(size_t first, size_t second)
{
    feed(one);
    feed(two);
    one->turns++;
    two->turns++;
    return report(one).connections == first && report(two).connections == second;
}

static void both_want_all(void)
{
    open_server(one);
    open_server(two);
    one->turns = two->turns = 0;
    send_mail(one, 40);
    one->turns = 1;
    UNTIL(report(one).connections == 4);
    UNTIL(have(2, 2));
    /* And nobody takes from the other from there on. */
    int done = one->done + two->done;
    UNTIL((have(2, 2), one->done + two->done >= done + 400));
    assert_int_equal(one->accepted, 4);
    assert_int_equal(two->accepted, 2);
}

static void test_sites_that_want_all_connections_come_to_have_as_many(void **state)
{
    (void)state;
    run_in_room(both_want_all, "connections = 4\n connections-per-site = 4");
}

static void one_never_rests(void)
{
    open_server(one);
    open_server(two);
    feed(one);
    UNTIL(one->done > 0);
    send_mail(two, 1);
    UNTIL((feed(one), two->done == 1));
    int before = one->done;
    UNTIL((feed(one), one->done > before));
}

static void one_moves(void)
{
    one->is_silent = true;
    open_server(one);
    open_server(two);
    send_mail(one, 20);
    UNTIL(one->accepted == 2 && report(one).waiting == 20 - 2 * 3);
    move_domain(one, two);
    send_mail(one, 1);
    UNTIL(two->done == 20 - 2 * 3 + 1);
    assert_int_equal(one->accepted, 2);
    one->is_silent = false;
    UNTIL(one->done == 2 * 3);
    assert_int_equal(one->accepted, 2);
}

static void test_what_waits_goes_where_its_domain_has_moved(void **state)
{
    (void)state;
    run_in_room(one_moves, "connections-per-site = 2");
}

static void test_the_only_connection_is_a_sites_own_for_a_turn(void **state)
{
    (void)state;
    run_in_room(one_never_rests, "connections = 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_senders_take_turns_at_a_site),
        cmocka_unit_test(test_a_silent_site_gets_two_connections),
        cmocka_unit_test(test_a_site_that_is_down_fails_without_a_connection_and_comes_back),
        cmocka_unit_test(test_what_waits_goes_where_its_domain_has_moved),
        cmocka_unit_test(test_an_idle_connection_makes_room),
        cmocka_unit_test(test_a_site_without_connections_gets_one_of_the_site_with_most),
        cmocka_unit_test(test_sites_that_want_all_connections_come_to_have_as_many),
        cmocka_unit_test(test_the_only_connection_is_a_sites_own_for_a_turn),
    };
    return cmocka_run_group_tests(tests, start_queue_room, stop_queue_room);
}

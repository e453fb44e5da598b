/* SPDX-License-Identifier: ISC */
/*
 * test_conn.c - streams under TLS, with a client that cuts records where it likes
 */
#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "task_test.h"
#include <openssl/ssl.h>

#include "cli/certificate.h"
#include "net/loop.h"
#include "net/task.h"
#include "net/tls.h"
#include "os/clock.h"
#include "os/file.h"

enum { PATIENCE_MS = 120000, RECORD_MAX = 1024 };

static char folder[] = "/tmp/eilbote-test-conn-XXXXXX";
static struct tls_context *server_tls;

/* The client: OpenSSL over memory, and the wire as a socket. */
struct client {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;
    int wire;
    struct conn *server;
};

static int64_t deadline(void)
{
    return loop_now_ms(loop_current()) + PATIENCE_MS;
}

/* What the client has to say, onto the wire. */
static void put_out(struct client *c)
{
    char bytes[RECORD_MAX];
    for (int n; (n = BIO_read(c->out, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(c->wire, bytes, (size_t)n), n);
}

static void take_in(struct client *c)
{
    char bytes[RECORD_MAX];
    for (ssize_t n; (n = recv(c->wire, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        assert_int_equal(BIO_write(c->in, bytes, (int)n), n);
}

static void shake_hands(void *arg)
{
    struct client *c = arg;
    int64_t end = deadline();
    while (SSL_do_handshake(c->ssl) != 1 && clock_now_ms() < end) {
        put_out(c);
        task_sleep(1);
        take_in(c);
    }
    put_out(c);
}

static void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
    assert_int_equal(f.kind, FAULT_FINE);
}

static void connect_both(struct client *c)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *c = (struct client){.context = SSL_CTX_new(TLS_client_method()), .wire = pair[1]};
    c->ssl = SSL_new(c->context);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    assert_fine(conn_open(pair[0], &c->server));
    struct scope s;
    scope_init(&s);
    assert_non_null(task_start(&s, "client", shake_hands, c));
    assert_fine(conn_start_tls_server(c->server, server_tls, deadline()));
    scope_join(&s);
}

static void close_both(struct client *c)
{
    conn_close(c->server);
    close(c->wire);
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
}

static void wait_for_input(struct client *c)
{
    while (!conn_has_input(c->server))
        assert_fine(conn_wait_input(c->server, deadline()));
}

/* Half a record is no input; its second half makes it one. */
static void cut_a_record(void *arg)
{
    struct client c;
    char record[RECORD_MAX];
    struct str in;
    (void)arg;
    connect_both(&c);
    assert_false(conn_has_input(c.server));
    assert_int_equal(SSL_write(c.ssl, "NOOP\r\n", 6), 6);
    int n = BIO_read(c.out, record, sizeof record);
    for (int at = 0; at < n - 1; at++) {
        assert_int_equal(write(c.wire, record + at, 1), 1);
        /* The wake-up for the byte, which is not for us. */
        assert_fine(conn_wait_input(c.server, deadline()));
        assert_false(conn_has_input(c.server));
    }
    assert_int_equal(write(c.wire, record + n - 1, 1), 1);
    wait_for_input(&c);
    assert_fine(conn_read(c.server, deadline(), &in));
    assert_true(str_equal(in, STR("NOOP\r\n")));
    conn_consume(c.server, in.n);
    assert_false(conn_has_input(c.server));
    close_both(&c);
    loop_stop(loop_current());
}

/* The end of the wire without close_notify is a fault, not the end of the data. */
static void cut_the_wire(void *arg)
{
    struct client c;
    struct str in;
    (void)arg;
    connect_both(&c);
    assert_int_equal(shutdown(c.wire, SHUT_WR), 0);
    wait_for_input(&c);
    struct fault f = conn_read(c.server, deadline(), &in);
    assert_int_equal(f.kind, FAULT_LATER);
    close_both(&c);
    loop_stop(loop_current());
}

static void test_half_a_record_is_no_input(void **state)
{
    (void)state;
    run_as_task(cut_a_record);
}

static void test_the_end_without_close_notify_is_a_fault(void **state)
{
    (void)state;
    run_as_task(cut_the_wire);
}

static int make_certificate(void **state)
{
    (void)state;
    char chain_path[64], key_path[64];
    struct str name = STR("mail.example.test");
    struct buf chain = buf_make(1 << 16), key = buf_make(1 << 16);
    if (!mkdtemp(folder) || !certificate_make(&name, 1, &chain, &key))
        return -1;
    snprintf(chain_path, sizeof chain_path, "%s/chain", folder);
    snprintf(key_path, sizeof key_path, "%s/key", folder);
    struct fault f = file_save(chain_path, buf_str(&chain), 0600);
    if (!f.kind)
        f = file_save(key_path, buf_str(&key), 0600);
    struct tls_certificate files = {chain_path, key_path};
    if (!f.kind)
        f = tls_context_server(&files, 1, TLS_1_2, NULL, &server_tls);
    buf_free(&chain);
    buf_free(&key);
    return f.kind ? -1 : 0;
}

static int remove_certificate(void **state)
{
    (void)state;
    tls_context_drop(server_tls);
    return file_remove_tree(folder).kind ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_a_record_is_no_input),
        cmocka_unit_test(test_the_end_without_close_notify_is_a_fault),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}

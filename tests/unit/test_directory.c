/* SPDX-License-Identifier: ISC */
/*
 * test_directory.c - accounts, aliases, passwords and the text form of the directory
 */
#include "directory/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/encode.h"
#include "directory/cache.h"
#include "directory/edit.h"
#include "directory/expand.h"
#include "directory/keys.h"
#include "directory/text.h"
#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "os/file.h"

static char folder[] = "/tmp/eilbote-test-directory-XXXXXX";
static char path[64];
static struct directory *d;
static struct arena a;

#define KEYS                                                                                       \
    "4096:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
    assert_int_equal(f.kind, FAULT_FINE);
}

static void assert_text(struct fault f, const char *text)
{
    assert_string_equal(f.text, text);
    assert_int_equal(f.kind, FAULT_NEVER);
}

static int set_up(void **state)
{
    (void)state;
    a = arena_make(1 << 24);
    file_remove(path);
    if (directory_open(path, DIRECTORY_CREATE, &d).kind)
        return -1;
    struct fault f = directory_apply(d,
                                     STR("domain example.test\n"
                                         "domain other.test\n"
                                         "account alice@example.test scram-sha-256=" KEYS "\n"
                                         "account bob@example.test scram-sha-256=" KEYS "\n"
                                         "alias info@example.test alice@example.test eve@far.net\n"
                                         "alias bob@example.test bob@example.test eve@far.net\n"
                                         "alias a@other.test b@other.test\n"
                                         "alias b@other.test a@other.test\n"
                                         "alias @other.test alice@example.test\n"),
                                     "x");
    return f.kind ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_close(d);
    arena_free(&a);
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/directory.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind == FAULT_FINE ? 0 : -1;
}

static struct directory_result resolve(const char *local, const char *domain)
{
    struct directory_result r;
    assert_fine(directory_resolve(d, str_from(local), str_from(domain), &a, &r));
    return r;
}

static void assert_str(struct str got, const char *expected)
{
    assert_int_equal(got.n, strlen(expected));
    if (got.n > 0)
        assert_memory_equal(got.p, expected, got.n);
}

static void test_what_an_address_means(void **state)
{
    (void)state;
    assert_int_equal(resolve("alice", "far.net").kind, DIRECTORY_NOT_OURS);
    assert_int_equal(resolve("nobody", "example.test").kind, DIRECTORY_UNKNOWN);
    struct directory_result r = resolve("ALICE", "Example.Test");
    assert_int_equal(r.kind, DIRECTORY_MAILBOX);
    assert_str(r.account, "alice@example.test");
    assert_str(r.detail, "");
    r = resolve("alice+Lists+x", "example.test");
    assert_int_equal(r.kind, DIRECTORY_MAILBOX);
    assert_str(r.account, "alice@example.test");
    assert_str(r.detail, "Lists+x");
    assert_int_equal(resolve("+alice", "example.test").kind, DIRECTORY_UNKNOWN);
    r = resolve("info", "example.test");
    assert_int_equal(r.kind, DIRECTORY_ALIAS);
    assert_int_equal(r.target_count, 2);
    assert_str(r.target[0], "alice@example.test");
    assert_str(r.target[1], "eve@far.net");
    r = resolve("anything", "other.test");
    assert_int_equal(r.kind, DIRECTORY_ALIAS);
    assert_str(r.target[0], "alice@example.test");
    assert_str(r.detail, "");
}

static void test_aliases_are_followed_to_their_ends(void **state)
{
    (void)state;
    struct directory_recipients out;
    assert_fine(directory_expand(d, STR("info"), STR("example.test"), &a, &out));
    assert_int_equal(out.count, 2);
    assert_str(out.item[0].account, "alice@example.test");
    assert_str(out.item[1].address, "eve@far.net");
    assert_str(out.item[1].account, "");
    assert_fine(directory_expand(d, STR("Bob"), STR("example.test"), &a, &out));
    assert_int_equal(out.count, 2);
    assert_str(out.item[0].account, "bob@example.test");
    assert_str(out.item[1].address, "eve@far.net");
    assert_fine(directory_expand(d, STR("x"), STR("other.test"), &a, &out));
    assert_int_equal(out.count, 1);
    assert_str(out.item[0].account, "alice@example.test");
}

static void test_circles_and_too_many_targets_end(void **state)
{
    (void)state;
    struct directory_recipients out;
    struct fault f = directory_expand(d, STR("a"), STR("other.test"), &a, &out);
    assert_text(f, "alias leads back to itself");
    assert_int_equal(f.status.subject, 4);
    assert_int_equal(f.status.detail, 6);
    assert_text(directory_expand(d, STR("nobody"), STR("example.test"), &a, &out), "no such user");
    assert_text(directory_expand(d, STR("eve"), STR("far.net"), &a, &out), "domain is not ours");
    struct buf text = buf_make(1 << 22);
    assert_true(buf_append(&text, STR("domain big.test\nalias all@big.test")));
    for (int i = 0; i <= EXPAND_MAX; i++)
        assert_true(buf_printf(&text, " u%d@far.net", i));
    assert_fine(directory_apply(d, buf_str(&text), "x"));
    buf_free(&text);
    struct arena large = arena_make(1 << 26);
    assert_text(directory_expand(d, STR("all"), STR("big.test"), &large, &out),
                "alias stands for more than 10000 addresses");
    arena_free(&large);
}

static void test_scram_verifier_of_rfc_7677(void **state)
{
    static const char salt_text[] = "W22ZaJ0SNY7soEsUEjb6gQ==";
    (void)state;
    struct buf salt = buf_make(64), key = buf_make(64);
    struct directory_verifier v;
    assert_true(decode_base64(&salt, str_from(salt_text)));
    assert_true(verifier_make(STR("pencil"), (const uint8_t *)salt.data, 4096, &v));
    assert_true(encode_base64(&key, str_make((const char *)v.stored_key, sizeof v.stored_key)));
    assert_str(buf_str(&key), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
    key.used = 0;
    assert_true(encode_base64(&key, str_make((const char *)v.server_key, sizeof v.server_key)));
    assert_str(buf_str(&key), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    assert_true(verifier_fits(&v, STR("pencil")));
    assert_false(verifier_fits(&v, STR("Pencil")));
    assert_false(verifier_fits(&v, STR("")));
    assert_false(verifier_make(STR("a\x07"), (const uint8_t *)salt.data, 4096, &v));
    assert_false(verifier_make(STR("a\0b"), (const uint8_t *)salt.data, 4096, &v));
    buf_free(&salt);
    buf_free(&key);
}

static bool check(const char *login, const char *password)
{
    bool is_right;
    assert_fine(directory_check_password(d, str_from(login), str_from(password), &is_right));
    return is_right;
}

static void test_passwords(void **state)
{
    (void)state;
    assert_fine(
        directory_account_add(d, STR("Carol@example.test"), STR("s\xC3\xBC\xC3\x9Fholz"), 0));
    assert_true(check("carol@EXAMPLE.test", "s\xC3\xBC\xC3\x9Fholz"));
    assert_false(check("carol@example.test", "s\xC3\xBC\xC3\x9Fhol"));
    assert_false(check("nobody@example.test", "x"));
    assert_false(check("not an address", "x"));
    assert_fine(directory_account_set_password(d, STR("carol@example.test"), STR("new")));
    assert_true(check("carol@example.test", "new"));
    assert_fine(directory_account_enable(d, STR("carol@example.test"), false));
    assert_false(check("carol@example.test", "new"));
}

static void test_unknown_logins_have_a_steady_verifier(void **state)
{
    (void)state;
    struct directory_verifier first, again, other;
    bool is_real;
    assert_fine(directory_verifier(d, STR("nobody@example.test"), &first, &is_real));
    assert_false(is_real);
    assert_fine(directory_verifier(d, STR("NOBODY@example.test"), &again, &is_real));
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(first.iterations, VERIFIER_ITERATIONS);
    assert_fine(directory_verifier(d, STR("nobody2@example.test"), &other, &is_real));
    assert_memory_not_equal(first.salt, other.salt, sizeof first.salt);
    assert_fine(directory_verifier(d, STR("alice@example.test"), &other, &is_real));
    assert_true(is_real);
    assert_int_equal(other.iterations, 4096);
}

/* Instead of OpenSSL's: counts how often the hash has been gone through. */
int __real_PKCS5_PBKDF2_HMAC(const char *, int, const unsigned char *, int, int, const EVP_MD *,
                             int, unsigned char *);
int __wrap_PKCS5_PBKDF2_HMAC(const char *, int, const unsigned char *, int, int, const EVP_MD *,
                             int, unsigned char *);
static int64_t hashed;

int __wrap_PKCS5_PBKDF2_HMAC(const char *pass, int pass_size, const unsigned char *salt,
                             int salt_size, int iterations, const EVP_MD *digest, int size,
                             unsigned char *out)
{
    hashed += iterations;
    return __real_PKCS5_PBKDF2_HMAC(pass, pass_size, salt, salt_size, iterations, digest, size,
                                    out);
}

static void test_a_wrong_password_costs_the_same_whoever_is_named(void **state)
{
    static const char *const logins[] = {"carol@example.test", "nobody@example.test",
                                         "locked@example.test"};
    (void)state;
    assert_fine(directory_account_add(d, STR("carol@example.test"), STR("right"), 0));
    assert_fine(directory_account_add(d, STR("locked@example.test"), STR("right"), 0));
    assert_fine(directory_account_enable(d, STR("locked@example.test"), false));
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        hashed = 0;
        assert_false(check(logins[i], "wrong"));
        assert_int_equal(hashed, VERIFIER_ITERATIONS);
        hashed = 0;
        assert_false(check(logins[i], "not allowed\x07"));
        assert_int_equal(hashed, VERIFIER_ITERATIONS);
    }
}

static bool may(const char *account, const char *local, const char *domain)
{
    bool result;
    assert_fine(
        directory_may_send_as(d, str_from(account), str_from(local), str_from(domain), &result));
    return result;
}

static void test_senders_are_ones_own(void **state)
{
    (void)state;
    assert_true(may("alice@example.test", "Alice", "example.test"));
    assert_true(may("alice@example.test", "alice+x", "example.test"));
    assert_true(may("alice@example.test", "info", "example.test"));
    assert_true(may("alice@example.test", "whoever", "other.test"));
    assert_true(may("bob@example.test", "bob", "example.test"));
    assert_false(may("alice@example.test", "bob", "example.test"));
    assert_false(may("alice@example.test", "eve", "far.net"));
    assert_false(may("alice@example.test", "nobody", "example.test"));
}

static void test_changes_are_checked(void **state)
{
    (void)state;
    assert_text(directory_domain_add(d, STR("example.test")), "example.test exists already");
    assert_text(directory_domain_add(d, STR("a b")),
                "a b is not a domain name in ASCII that mail can have");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(directory_domain_add(
                             d, str_from((const char *[]){"1.2.3.4", "_x.test", "a._b.test"}[i]))
                             .kind,
                         FAULT_NEVER);
    assert_text(directory_domain_remove(d, STR("example.test")),
                "example.test still has accounts or aliases");
    assert_text(directory_domain_remove(d, STR("gone.test")), "gone.test is not in the directory");
    assert_text(directory_account_add(d, STR("alice@example.test"), STR("x"), 0),
                "alice@example.test exists already");
    assert_text(directory_account_add(d, STR("x@gone.test"), STR("x"), 0),
                "gone.test is not in the directory; eilbote domain add makes it ours");
    assert_text(directory_account_add(d, STR("a b@example.test"), STR("x"), 0),
                "a b@example.test is not an address like alice@example.org");
    assert_text(directory_account_add(d, STR("x@example.test"), STR(""), 0),
                "a password has 1 to 1024 bytes of UTF-8 and no control characters");
}

static void test_removals_are_checked(void **state)
{
    (void)state;
    assert_text(directory_account_remove(d, STR("x@example.test")),
                "x@example.test is not in the directory");
    assert_text(directory_account_set_quota(d, STR("x@example.test"), 1),
                "x@example.test is not in the directory");
    assert_text(directory_alias_add(d, STR("info@example.test"), STR("eve@far.net")),
                "eve@far.net is a target of the alias already");
    assert_text(directory_alias_remove(d, STR("info@example.test"), STR("x@far.net")),
                "x@far.net is not a target of the alias");
    assert_fine(directory_alias_remove(d, STR("info@example.test"), STR("eve@far.net")));
    assert_fine(directory_alias_remove(d, STR("info@example.test"), STR("")));
    assert_text(directory_alias_remove(d, STR("info@example.test"), STR("")),
                "info@example.test is not in the directory");
    assert_fine(directory_account_remove(d, STR("alice@example.test")));
}

static void test_export_and_apply_round_trip(void **state)
{
    (void)state;
    struct buf first = buf_make(1 << 20), second = buf_make(1 << 20);
    assert_fine(directory_account_set_quota(d, STR("alice@example.test"), 4096));
    assert_fine(directory_account_enable(d, STR("bob@example.test"), false));
    const struct directory_key keys[] = {
        {STR("example.test"), STR("r1"), STR("rsa"), DIRECTORY_KEY_ACTIVE, 5,
         STR("v=DKIM1; k=rsa; p=AAAA")},
        {STR("Example.Test"), STR("E1"), STR("ed25519"), DIRECTORY_KEY_NEXT, 7,
         STR("v=DKIM1; k=ed25519; p=AAAA")},
    };
    assert_fine(directory_key_add(d, &keys[0]));
    assert_fine(directory_key_add(d, &keys[1]));
    assert_fine(directory_export(d, &first));
    static const char expected[] =
        "# Eilbote directory, format 1\n"
        "# Private keys of dkim lines are not here but in the folder \"keys\" of the state "
        "directory.\n"
        "domain example.test\n"
        "domain other.test\n"
        "dkim example.test e1 ed25519 next 7 v=DKIM1; k=ed25519; p=AAAA\n"
        "dkim example.test r1 rsa active 5 v=DKIM1; k=rsa; p=AAAA\n"
        "account alice@example.test quota=4096 enabled=yes scram-sha-256=" KEYS "\n"
        "account bob@example.test quota=0 enabled=no scram-sha-256=" KEYS "\n"
        "alias bob@example.test bob@example.test eve@far.net\n"
        "alias info@example.test alice@example.test eve@far.net\n"
        "alias @other.test alice@example.test\n"
        "alias a@other.test b@other.test\n"
        "alias b@other.test a@other.test\n";
    assert_str(buf_str(&first), expected);
    assert_fine(directory_apply(d, buf_str(&first), "x"));
    assert_fine(directory_export(d, &second));
    assert_str(buf_str(&second), expected);
    buf_free(&first);
    buf_free(&second);
}

static int64_t since[3]; /* of the keys in that state */
static int key_count;

static void note_key(const struct directory_key *key, void *arg)
{
    (void)arg;
    key_count++;
    since[key->state] = key->since_s;
}

static int count_keys(struct str domain)
{
    key_count = 0;
    assert_fine(directory_list_keys(d, domain, note_key, NULL));
    return key_count;
}

static void test_keys_are_next_then_active_then_retiring(void **state)
{
    (void)state;
    struct directory_key key = {STR("example.test"),  STR("r1"), STR("rsa"),
                                DIRECTORY_KEY_ACTIVE, 5,         STR("v=DKIM1; k=rsa; p=AAAA")};
    assert_fine(directory_key_add(d, &key));
    assert_text(directory_key_add(d, &key), "r1 of example.test exists already");
    assert_text(directory_keys_activate(d, STR("example.test"), 9),
                "example.test has no next keys; eilbote dkim rotate makes them");
    assert_int_equal(count_keys(STR("example.test")), 1);
    assert_int_equal(since[DIRECTORY_KEY_ACTIVE], 5); /* all or nothing */
    key.selector = STR("r2");
    key.state = DIRECTORY_KEY_NEXT;
    assert_fine(directory_key_add(d, &key));
    assert_fine(directory_keys_activate(d, STR("example.test"), 9));
    assert_int_equal(count_keys(STR_NONE), 2);
    assert_int_equal(since[DIRECTORY_KEY_ACTIVE], 9);
    assert_int_equal(since[DIRECTORY_KEY_RETIRING], 9);
    assert_int_equal(count_keys(STR("other.test")), 0);
    assert_fine(directory_key_remove(d, STR("example.test"), STR("r1")));
    assert_text(directory_key_remove(d, STR("example.test"), STR("r1")),
                "r1 of example.test is not in the directory");
}

static void test_what_is_no_key_is_refused(void **state)
{
    (void)state;
    const struct directory_key good = {STR("example.test"), STR("r1"), STR("rsa"),
                                       DIRECTORY_KEY_NEXT,  5,         STR("v=DKIM1; p=")};
    struct directory_key bad[] = {good, good, good, good, good, good};
    bad[0].selector = STR("../../r1");
    bad[1].algorithm = STR("dsa");
    bad[2].record = STR("v=spf1 -all");
    bad[3].record = STR("v=DKIM1; p=\"\nx");
    bad[4].since_s = -1;
    bad[5].domain = STR("nobody.test");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(directory_key_add(d, &bad[i]).kind, FAULT_NEVER);
    assert_int_equal(count_keys(STR_NONE), 0);
    assert_fine(directory_key_add(d, &good));
}

static void test_keys_stay_unless_the_text_says_others(void **state)
{
    (void)state;
    assert_fine(directory_apply(d,
                                STR("domain a.test\ndomain b.test\n"
                                    "dkim a.test r1 rsa active 1 v=DKIM1; p=A\n"
                                    "dkim b.test r1 rsa active 2 v=DKIM1; p=B\n"),
                                "x"));
    assert_fine(directory_apply(d,
                                STR("domain a.test\ndomain b.test\n"
                                    "dkim b.test r2 rsa next 3 v=DKIM1; p=C\n"),
                                "x"));
    assert_int_equal(count_keys(STR("a.test")), 1);
    assert_int_equal(since[DIRECTORY_KEY_ACTIVE], 1);
    assert_int_equal(count_keys(STR("b.test")), 1);
    assert_int_equal(since[DIRECTORY_KEY_NEXT], 3);
    assert_fine(directory_apply(d, STR("domain b.test\n"), "x"));
    assert_int_equal(count_keys(STR_NONE), 1);
}

static void test_apply_names_the_line_and_changes_nothing(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"domain a.test\n\n# x\nuser x@a.test\n",
         "f:4: \"user\" is none of domain, account, alias, dkim"},
        {"domain a.test\ndkim a.test r1 rsa old 5 v=DKIM1; p=\n",
         "f:2: \"old\" and what follows is not next|active|retiring UNIX-TIME RECORD"},
        {"domain a.test\ndkim a.test ../r1 rsa next 5 v=DKIM1; p=\n",
         "f:2: \"../r1\" and what follows is no SELECTOR rsa|ed25519 STATE TIME v=DKIM1; ..."},
        {"dkim a.test r1 rsa next 5 v=DKIM1; p=\n",
         "f:1: \"a.test\" has no domain line before this one"},
        {"domain a..test\n", "f:1: \"a..test\" is not a domain name in ASCII that mail can have"},
        {"domain a.test\ndomain A.test\n", "f:2: \"a.test\" has a domain line already"},
        {"domain a.test b\n", "f:1: \"b\" is too much on this line"},
        {"account x@a.test scram-sha-256=" KEYS "\n",
         "f:1: \"a.test\" has no domain line before this one"},
        {"domain a.test\naccount x@a.test\n", "f:2: \"x@a.test\" is new and has no scram-sha-256"},
        {"domain a.test\naccount x@a.test quota=-1\n",
         "f:2: \"quota=-1\" is none of quota=SIZE, enabled=yes|no, "
         "scram-sha-256=ITERATIONS:SALT:STORED:SERVER"},
        {"domain a.test\naccount @a.test\n", "f:2: \"@a.test\" is not an address"},
        {"domain a.test\nalias x@a.test\n", "f:2: \"x@a.test\" has no target"},
        {"domain a.test\nalias x@a.test y\n", "f:2: \"y\" is not an address"},
        {"domain a.test\nalias x@a.test y>z@b.test\n", "f:2: \"y>z@b.test\" is not an address"},
        {"domain a.test\nalias x@a.test y@b y@b\n",
         "f:2: \"y@b\" is a target of this alias already"},
    };
    (void)state;
    struct buf before = buf_make(1 << 20), after = buf_make(1 << 20);
    assert_fine(directory_export(d, &before));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_text(directory_apply(d, str_from(rows[i].text), "f"), rows[i].error);
    assert_fine(directory_export(d, &after));
    assert_true(str_equal(buf_str(&before), buf_str(&after)));
    buf_free(&before);
    buf_free(&after);
}

static void test_reader_sees_changes_and_needs_no_right_to_write(void **state)
{
    (void)state;
    struct directory *reader;
    int64_t before, after;
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(chmod(folder, 0500), 0);
    assert_fine(directory_open(path, DIRECTORY_READ, &reader));
    assert_fine(directory_version(reader, &before));
    assert_fine(directory_version(reader, &after));
    assert_int_equal(before, after);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_fine(directory_domain_add(d, STR("new.test")));
    assert_fine(directory_version(reader, &after));
    assert_int_not_equal(before, after);
    struct directory_result r;
    assert_fine(directory_resolve(reader, STR("x"), STR("new.test"), &a, &r));
    assert_int_equal(r.kind, DIRECTORY_UNKNOWN);
    assert_int_equal(directory_domain_add(reader, STR("more.test")).kind, FAULT_LATER);
    directory_close(reader);
    assert_fine(directory_version(d, &before));
    assert_fine(directory_domain_remove(d, STR("new.test")));
    assert_fine(directory_version(d, &after));
    assert_int_not_equal(before, after);
}

static void test_missing_or_foreign_files_are_refused(void **state)
{
    (void)state;
    struct directory *none;
    char other[80];
    snprintf(other, sizeof other, "%s/other.db", folder);
    assert_int_equal(directory_open(other, DIRECTORY_READ, &none).kind, FAULT_LATER);
    assert_null(none);
    assert_int_equal(directory_open(other, DIRECTORY_WRITE, &none).kind, FAULT_LATER);
    assert_fine(file_save(other,
                          STR("this is no database, and longer than a hundred bytes so "
                              "that nobody takes it for a new and empty one......."),
                          0600));
    struct fault f = directory_open(other, DIRECTORY_CREATE, &none);
    assert_string_equal(f.text, "directory.db: file is not a database");
}

static struct directory_recipients cached;

static void ask_cache(void *arg)
{
    struct directory_cache *c = arg;
    bool is_ours;
    for (int i = 0; i < 2; i++) /* the second answer comes from memory */
        assert_fine(
            directory_cache_expand(c, STR("bob+x"), STR("example.test"), &a, &is_ours, &cached));
    assert_true(is_ours);
    loop_stop(loop_current());
}

/* The bytes were the cache's once, and gone with it. */
static void test_what_the_cache_gives_is_the_callers(void **state)
{
    (void)state;
    struct directory_cache *c = directory_cache_make(d);
    struct loop *loop = loop_make();
    struct scope scope;
    scope_init(&scope);
    offload_start(1);
    assert_fine(directory_account_set_quota(d, STR("bob@example.test"), 4096));
    assert_non_null(task_start(&scope, "test", ask_cache, c));
    loop_run(loop);
    offload_stop();
    loop_free(loop);
    directory_cache_free(c);
    assert_int_equal(cached.count, 2);
    bool has_bob = false;
    for (size_t i = 0; i < cached.count; i++)
        if (str_equal(cached.item[i].account, STR("bob@example.test"))) {
            has_bob = true;
            assert_int_equal(cached.item[i].quota_bytes, 4096);
        }
    assert_true(has_bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_an_address_means, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_aliases_are_followed_to_their_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circles_and_too_many_targets_end, set_up, tear_down),
        cmocka_unit_test(test_scram_verifier_of_rfc_7677),
        cmocka_unit_test_setup_teardown(test_passwords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_password_costs_the_same_whoever_is_named,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_logins_have_a_steady_verifier, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_senders_are_ones_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removals_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_export_and_apply_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_are_next_then_active_then_retiring, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_key_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_stay_unless_the_text_says_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_apply_names_the_line_and_changes_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reader_sees_changes_and_needs_no_right_to_write,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_cache_gives_is_the_callers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_missing_or_foreign_files_are_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

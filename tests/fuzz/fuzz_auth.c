/* SPDX-License-Identifier: ISC */
/*
 * fuzz_auth.c - nobody logs in without the password, by no mechanism and no sequence of responses
 *
 * The input is a steering octet and responses separated by 0xFE. For PLAIN and LOGIN a model says
 * what must come out; with SCRAM nothing may but failure. The dear key derivation is replaced by a
 * cheap one, which does not concern what is parsed.
 */
#include "serve/auth.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "directory/edit.h"
#include "directory/verifier.h"
#include "fuzz_room.h"

void __wrap_offload(void (*work)(void *), void *arg);
bool __wrap_conn_tls_exporter(const struct conn *c, unsigned char octets[32]);
int __wrap_PKCS5_PBKDF2_HMAC(const char *password, int n, const unsigned char *salt, int salt_n,
                             int iterations, const EVP_MD *digest, int key_n, unsigned char *key);

void __wrap_offload(void (*work)(void *), void *arg)
{
    work(arg);
}

bool __wrap_conn_tls_exporter(const struct conn *c, unsigned char octets[32])
{
    memset(octets, 'b', 32);
    return c != NULL;
}

int __wrap_PKCS5_PBKDF2_HMAC(const char *password, int n, const unsigned char *salt, int salt_n,
                             int iterations, const EVP_MD *digest, int key_n, unsigned char *key)
{
    unsigned char both[VERIFIER_PASSWORD_MAX + 64];
    (void)iterations;
    (void)digest;
    must(n >= 0 && salt_n >= 0 && (size_t)n + (size_t)salt_n <= sizeof both && key_n == 32);
    memcpy(both, password, (size_t)n);
    memcpy(both + n, salt, (size_t)salt_n);
    SHA256(both, (size_t)n + (size_t)salt_n, key);
    return 1;
}

static struct directory *make_directory(void)
{
    char path[128];
    struct directory *d;
    snprintf(path, sizeof path, "%s/directory.db", enter_room());
    must(!directory_open(path, DIRECTORY_CREATE, &d).kind);
    must(!directory_domain_add(d, STR("a.test")).kind);
    must(!directory_account_add(d, STR("u@a.test"), STR("secret"), 0).kind);
    return d;
}

/* RFC 4616: authzid NUL authcid NUL password. */
static bool is_right_plain(struct str response)
{
    struct str as, login, password;
    str_cut(response, '\0', &as, &response);
    str_cut(response, '\0', &login, &password);
    return str_equal_nocase(login, STR("u@a.test")) && str_equal(password, STR("secret")) &&
           (as.n == 0 || str_equal_nocase(as, login));
}

static const char *const mechanisms[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

const struct fuzz_memory fuzz_memory = {.factor = 256, .base = 1 << 20, .keeps = true};

void fuzz_one(struct str in)
{
    static struct directory *d;
    uint8_t flags = take_octet(&in);
    struct auth *a = NULL;
    struct str name = STR_NONE;
    if (!d)
        d = make_directory();
    const struct conn *c = flags & 4 ? (const struct conn *)(const void *)d : NULL;
    struct fault f = auth_start(d, c, str_from(mechanisms[flags & 3]), &a);
    must(!f.kind == (a != NULL) && (!f.kind || f.reply == 504));
    enum auth_step step = AUTH_CONTINUE;
    for (size_t i = 0; a && step == AUTH_CONTINUE && i < 6; i++) {
        struct str response;
        struct buf out = buf_make(16384);
        str_cut(in, '\xFE', &response, &in);
        step = auth_step(a, response, &out, &f);
        must(step != AUTH_FAILED || f.reply == 535);
        must(out.used <= response.n + 1024);
        must(step != AUTH_DONE || str_equal(auth_account(a), STR("u@a.test")));
        if (step == AUTH_DONE)
            must((flags & 3) == 0 ? is_right_plain(response)
                 : (flags & 3) == 1
                     ? str_equal(response, STR("secret")) && str_equal_nocase(name, STR("u@a.test"))
                     : false);
        if ((flags & 3) == 0 && response.n > 0)
            must((step == AUTH_DONE) == is_right_plain(response));
        if (response.n > 0)
            name = response;
        buf_free(&out);
    }
    auth_free(a);
}

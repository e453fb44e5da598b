/* SPDX-License-Identifier: ISC */
/*
 * auth.c - logging in: SASL exchanges over libgsasl, against the directory
 */
#include "serve/auth.h"

#include <gsasl.h>
#include <stdlib.h>

#include "base/encode.h"
#include "net/offload.h"

const char auth_mechanisms_tls[] = "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN";
const char auth_mechanisms_clear[] = "SCRAM-SHA-256 PLAIN LOGIN";

enum { NAME_MAX_BYTES = 320, NUMBER_MAX = 16, ARENA_BYTES = 4096 };

struct auth {
    struct directory *directory;
    Gsasl *library;
    Gsasl_session *session;
    unsigned char binding[32];
    bool has_binding;
    bool is_name_to_ask; /* LOGIN, before its first step */
    char account[NAME_MAX_BYTES];
    struct fault trouble; /* the directory could not be asked */
    /* Between the task and the offload thread: */
    struct str response;
    char *output;
    size_t output_size;
    int result;
};

static struct fault wrong(void)
{
    return fault_make(535, FAULT_STATUS(5, 7, 8), "authentication credentials invalid");
}

static void set_base64(Gsasl_session *session, Gsasl_property property, const void *bytes, size_t n)
{
    struct buf text = buf_make(256);
    encode_base64(&text, str_make(bytes, n));
    buf_append_byte(&text, '\0');
    gsasl_property_set(session, property, text.data);
    buf_free(&text);
}

/* The login name as accounts are kept. */
static void take_account(struct auth *a, const char *name)
{
    struct arena arena = arena_make(ARENA_BYTES);
    struct str s = directory_canonical(&arena, str_head(str_from(name), NAME_MAX_BYTES - 1));
    s = str_head(s, NAME_MAX_BYTES - 1);
    memcpy(a->account, s.p, s.n);
    a->account[s.n] = '\0';
    arena_free(&arena);
}

/* An authorization identity may only repeat the login name (RFC 4616 section 2). */
static bool may_act_as(Gsasl_session *session, const char *login)
{
    const char *as = gsasl_property_fast(session, GSASL_AUTHZID);
    return !as || *as == '\0' || str_equal_nocase(str_from(as), str_from(login));
}

static int give_verifier(struct auth *a, Gsasl_session *session)
{
    const char *name = gsasl_property_fast(session, GSASL_AUTHID);
    if (!name)
        return GSASL_NO_AUTHID;
    take_account(a, name);
    struct directory_verifier v;
    bool is_real;
    a->trouble = directory_verifier(a->directory, str_from(a->account), &v, &is_real);
    if (a->trouble.kind)
        return GSASL_AUTHENTICATION_ERROR;
    struct buf number = buf_make(NUMBER_MAX);
    buf_append_number(&number, v.iterations);
    buf_append_byte(&number, '\0');
    gsasl_property_set(session, GSASL_SCRAM_ITER, number.data);
    buf_free(&number);
    set_base64(session, GSASL_SCRAM_SALT, v.salt, sizeof v.salt);
    set_base64(session, GSASL_SCRAM_STOREDKEY, v.stored_key, sizeof v.stored_key);
    set_base64(session, GSASL_SCRAM_SERVERKEY, v.server_key, sizeof v.server_key);
    return GSASL_OK;
}

static int check_password(struct auth *a, Gsasl_session *session)
{
    const char *name = gsasl_property_fast(session, GSASL_AUTHID);
    const char *password = gsasl_property_fast(session, GSASL_PASSWORD);
    if (!name || !password)
        return GSASL_AUTHENTICATION_ERROR;
    take_account(a, name);
    bool is_right = false;
    a->trouble =
        directory_check_password(a->directory, str_from(a->account), str_from(password), &is_right);
    return !a->trouble.kind && is_right && may_act_as(session, name) ? GSASL_OK
                                                                     : GSASL_AUTHENTICATION_ERROR;
}

static int answer(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
    (void)library;
    struct auth *a = gsasl_session_hook_get(session);
    if (property == GSASL_VALIDATE_SIMPLE)
        return check_password(a, session);
    if (property == GSASL_SCRAM_ITER || property == GSASL_SCRAM_SALT ||
        property == GSASL_SCRAM_STOREDKEY || property == GSASL_SCRAM_SERVERKEY)
        return give_verifier(a, session);
    if (property == GSASL_CB_TLS_EXPORTER && a->has_binding) {
        set_base64(session, GSASL_CB_TLS_EXPORTER, a->binding, sizeof a->binding);
        return GSASL_OK;
    }
    return GSASL_NO_CALLBACK;
}

struct fault auth_start(struct directory *d, const struct conn *c, struct str mechanism,
                        struct auth **out)
{
    *out = NULL;
    struct auth *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->directory = d;
    a->has_binding = conn_tls_exporter(c, a->binding);
    char name[32];
    struct str word = str_head(mechanism, sizeof name - 1);
    memcpy(name, word.p, word.n);
    name[word.n] = '\0';
    int result = gsasl_init(&a->library);
    if (result == GSASL_OK) {
        gsasl_callback_set(a->library, answer);
        result = gsasl_server_start(a->library, name, &a->session);
    }
    if (result != GSASL_OK) {
        auth_free(a);
        return fault_make(504, FAULT_STATUS(5, 5, 4), "mechanism not available");
    }
    gsasl_session_hook_set(a->session, a);
    a->is_name_to_ask = str_equal_nocase(mechanism, STR("LOGIN"));
    *out = a;
    return FINE;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    if (a->session)
        gsasl_finish(a->session);
    if (a->library)
        gsasl_done(a->library);
    free(a);
}

/* LOGIN asks for the name in any case; a client that has sent it already is asked what comes next.
 */
static void skip_name_question(struct auth *a)
{
    char *question = NULL;
    size_t n;
    if (a->is_name_to_ask && a->response.n > 0)
        gsasl_step(a->session, "", 0, &question, &n);
    gsasl_free(question);
    a->is_name_to_ask = false;
}

static void step(void *arg)
{
    struct auth *a = arg;
    skip_name_question(a);
    a->result = gsasl_step(a->session, a->response.n ? a->response.p : "", a->response.n,
                           &a->output, &a->output_size);
}

enum auth_step auth_step(struct auth *a, struct str response, struct buf *out, struct fault *fault)
{
    a->response = response;
    a->output = NULL;
    a->output_size = 0;
    offload(step, a);
    if (a->output)
        buf_append(out, str_make(a->output, a->output_size));
    gsasl_free(a->output);
    if (a->result == GSASL_NEEDS_MORE)
        return AUTH_CONTINUE;
    const char *name = gsasl_property_fast(a->session, GSASL_AUTHID);
    if (name && a->account[0] == '\0')
        take_account(a, name);
    if (a->result == GSASL_OK && name && may_act_as(a->session, name))
        return AUTH_DONE;
    *fault = a->trouble.kind
                 ? fault_make(454, FAULT_STATUS(4, 7, 0), "temporary authentication failure")
                 : wrong();
    return AUTH_FAILED;
}

struct password_check {
    struct directory *directory;
    struct str login, password;
    bool is_right;
    struct fault fault;
};

static void check(void *arg)
{
    struct password_check *p = arg;
    p->fault = directory_check_password(p->directory, p->login, p->password, &p->is_right);
}

struct fault auth_check(struct directory *d, struct str login, struct str password)
{
    struct password_check p = {.directory = d, .login = login, .password = password};
    offload(check, &p);
    if (p.fault.kind)
        return fault_make(454, FAULT_STATUS(4, 7, 0), "temporary authentication failure");
    return p.is_right ? FINE : wrong();
}

struct str auth_account(const struct auth *a)
{
    return str_from(a->account);
}

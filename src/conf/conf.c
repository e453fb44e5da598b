/* SPDX-License-Identifier: ISC */
/*
 * conf.c - the configuration as an immutable snapshot
 *
 * What is well formed (conf/syntax.c) libconfuse parses; every option is a string to it and is checked
 * against its row of the table as soon as it is read, while the line is known. Afterwards the values, which are all good,
 * are copied into the struct and what hangs together is looked at in conf/complete.c.
 */
#include "conf/conf.h"

#include <assert.h>
#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/complete.h"
#include "conf/field.h"
#include "conf/scan.h"
#include "conf/syntax.h"
#include "conf/value.h"
#include "mail/idna.h"
#include "os/file.h"
#include "os/thread.h"

enum { ARENA_LIMIT = 16 * 1024 * 1024, VALUE_MAX_BYTES = 256 };

/* libconfuse keeps its scanner in globals, and the roles of serve --single load at the same time. */
static struct mutex parser = {PTHREAD_MUTEX_INITIALIZER};

/* libconfuse gives its callbacks no argument of ours: the parse that is going on. */
static _Thread_local struct {
    const char *path;
    struct fault *fault;
} parsing;

static const struct section *find_section(const char *name)
{
    for (size_t i = 1; i < field_section_count; i++)
        if (strcmp(field_sections[i].name, name) == 0)
            return &field_sections[i];
    return &field_sections[0];
}

static void on_error(cfg_t *cfg, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Keeps the first error of a parse, with the place. */
static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    if (!parsing.fault || parsing.fault->kind)
        return;
    char text[FAULT_TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    *parsing.fault =
        fault_make(500, (struct fault_status){0}, "%s:%d: %s", parsing.path, cfg->line, text);
}

/* Called by libconfuse when an option got a value: checks the last one. */
static int check_value(cfg_t *cfg, cfg_opt_t *opt)
{
    const struct field *f = field_find(find_section(cfg_name(cfg)), opt->name);
    struct str text = str_from(cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1));
    struct arena scratch = arena_make(ARENA_LIMIT);
    _Alignas(max_align_t) char value[VALUE_MAX_BYTES];
    assert(f && field_size(f) <= sizeof value);
    bool is_good = value_parse(f, text, &scratch, value);
    if (!is_good) {
        struct buf allowed = buf_make(FAULT_TEXT_MAX);
        value_describe(f, &allowed);
        cfg_error(cfg, "%s is \"" STR_FMT "\"; allowed: " STR_FMT, f->name,
                  STR_ARG(str_head(text, 60)), STR_ARG(buf_str(&allowed)));
        buf_free(&allowed);
    }
    arena_free(&scratch);
    return is_good ? 0 : -1;
}

static cfg_opt_t *make_options(const struct section *section, struct arena *a, cfg_opt_t *more,
                               size_t more_count)
{
    cfg_opt_t *opts = arena_alloc(a, (section->field_count + more_count + 1) * sizeof *opts);
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *f = &section->fields[i];
        if (f->is_list)
            opts[i] = (cfg_opt_t)CFG_STR_LIST(f->name, NULL, CFGF_NODEFAULT);
        else
            opts[i] = (cfg_opt_t)CFG_STR(f->name, NULL, CFGF_NODEFAULT);
        opts[i].validcb = check_value;
    }
    for (size_t i = 0; i < more_count; i++)
        opts[section->field_count + i] = more[i];
    opts[section->field_count + more_count] = (cfg_opt_t)CFG_END();
    return opts;
}

/* The whole grammar: the top level's options and the sections. */
static cfg_opt_t *make_grammar(struct arena *a)
{
    cfg_opt_t *sections = arena_alloc(a, field_section_count * sizeof *sections);
    for (size_t i = 1; i < field_section_count; i++) {
        const struct section *s = &field_sections[i];
        cfg_flag_t flags = s->has_title ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
        sections[i - 1] = (cfg_opt_t)CFG_SEC(s->name, make_options(s, a, NULL, 0), flags);
    }
    return make_options(&field_sections[0], a, sections, field_section_count - 1);
}

static void fill_list(const struct field *f, cfg_opt_t *opt, char *place, struct arena *a)
{
    size_t count = opt ? cfg_opt_size(opt) : 0, size = field_size(f);
    char *items = arena_alloc(a, count * size);
    for (size_t i = 0; i < count; i++) {
        bool is_good =
            value_parse(f, str_from(cfg_opt_getnstr(opt, (unsigned)i)), a, items + i * size);
        assert(is_good);
    }
    /* Every list is {item, count}, whatever it lists. */
    memcpy(place, &items, sizeof items);
    memcpy(place + sizeof items, &count, sizeof count);
}

/* The limits of a listener begin as those of the limits section. */
static bool is_inherited(const struct section *section, const struct field *f)
{
    return section->offset == offsetof(struct conf, listener) &&
           f->offset >= offsetof(struct conf_listener, limits);
}

/* Copies the values of one section, or their defaults, into its struct; without a section all are defaults. */
static void fill(const struct section *section, cfg_t *cfg, char *base, struct arena *a)
{
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *f = &section->fields[i];
        cfg_opt_t *opt = cfg ? cfg_getopt(cfg, f->name) : NULL;
        char *place = base + f->offset;
        struct str text = str_from(f->standard);
        if (f->is_list) {
            fill_list(f, opt, place, a);
            continue;
        }
        if (opt && cfg_opt_size(opt) > 0)
            text = str_from(cfg_opt_getnstr(opt, 0));
        else if (is_inherited(section, f))
            continue;
        if (text.n == 0 || (f->minimum > 0 && str_equal(text, STR("0"))))
            continue;
        bool is_good = value_parse(f, text, a, place);
        assert(is_good);
    }
}

static void fill_sections(struct conf *c, cfg_t *cfg, const struct section *s)
{
    unsigned count = cfg_size(cfg, s->name);
    char *items = arena_alloc(&c->arena, count * s->size);
    size_t kept = count;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *sec = cfg_getnsec(cfg, s->name, i);
        struct str title = arena_copy(&c->arena, str_from(cfg_title(sec)));
        if (s->offset == offsetof(struct conf, listener))
            ((struct conf_listener *)(void *)items)[i].limits = c->limits;
        memcpy(items + i * s->size, &title, sizeof title);
        fill(s, sec, items + i * s->size, &c->arena);
    }
    memcpy((char *)c + s->offset, &items, sizeof items);
    memcpy((char *)c + s->offset + sizeof items, &kept, sizeof kept);
}

static void fill_all(struct conf *c, cfg_t *cfg)
{
    fill(&field_sections[0], cfg, (char *)c, &c->arena);
    for (size_t i = 1; i < field_section_count; i++) {
        const struct section *s = &field_sections[i];
        if (s->has_title)
            fill_sections(c, cfg, s);
        else
            fill(s, cfg_getsec(cfg, s->name), (char *)c + s->offset, &c->arena);
        if (s->offset == offsetof(struct conf, policy))
            fill(s, NULL, (char *)&c->standard_policy, &c->arena);
    }
}

static void note_lines(struct conf *c, const char *source)
{
    for (size_t i = 0; i < c->listener_count; i++)
        c->listener[i].line =
            scan_for_section(str_from(source), STR("listener"), c->listener[i].name);
}

static struct fault complete(struct conf *c, const char *source)
{
    struct complete_error error = {0};
    if (complete_conf(c, &error))
        return FINE;
    int line = error.section
                   ? scan_for_section(str_from(source), str_from(error.section), error.title)
                   : scan_for_option(str_from(source), error.title);
    if (line == 0)
        return fault_make(500, (struct fault_status){0}, "%s: %s", c->path.p, error.text);
    return fault_make(500, (struct fault_status){0}, "%s:%d: %s", c->path.p, line, error.text);
}

/* The file as a C string that ends with a line end. */
struct fault conf_read(const char *path, struct buf *content)
{
    struct fault f = file_load(path, content);
    if (f.kind)
        return fault_make(500, (struct fault_status){0}, "%s", f.text);
    if (str_has(buf_str(content), '\0'))
        return fault_make(500, (struct fault_status){0}, "%s: a NUL byte is in it", path);
    if (!buf_append(content, str_make("\n", 2)))
        return fault_make(500, (struct fault_status){0}, "%s: larger than 1M", path);
    return FINE;
}

static struct fault parse(struct conf *c, const char *source)
{
    const char *what;
    int line = scan_for_open(str_from(source), &what);
    if (line > 0)
        return fault_make(500, (struct fault_status){0},
                          "%s:%d: the %s that begins here is not closed%s", c->path.p, line, what,
                          what[0] == 'q' ? " in its line" : "");
    struct fault f = syntax_check(c->path.p, str_from(source));
    if (f.kind)
        return f;
    struct arena grammar = arena_make(ARENA_LIMIT);
    cfg_t *cfg = cfg_init(make_grammar(&grammar), CFGF_NONE);
    if (!cfg)
        abort();
    cfg_set_error_function(cfg, on_error);
    char *bare = arena_c_string(&grammar, str_from(source));
    scan_blank_comments(bare);
    parsing.path = c->path.p;
    parsing.fault = &f;
    int result = cfg_parse_buf(cfg, bare);
    parsing.fault = NULL;
    if (result == CFG_SUCCESS) {
        fill_all(c, cfg);
        note_lines(c, source);
        f = complete(c, source);
    } else if (!f.kind) {
        f = fault_make(500, (struct fault_status){0}, "%s: cannot be parsed", c->path.p);
    }
    cfg_free(cfg);
    arena_free(&grammar);
    return f;
}

struct fault conf_parse(const char *path, struct str source, struct conf **out)
{
    *out = NULL;
    struct conf *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    assert(source.n > 0 && source.p[source.n - 1] == '\0');
    c->arena = arena_make(ARENA_LIMIT);
    c->path = arena_copy(&c->arena, str_from(path));
    mutex_lock(&parser);
    struct fault f = parse(c, source.p);
    mutex_unlock(&parser);
    if (f.kind)
        conf_free(c);
    else
        *out = c;
    return f;
}

struct fault conf_load(const char *path, struct conf **out)
{
    *out = NULL;
    struct buf source = buf_make(CONF_SOURCE_LIMIT);
    struct fault f = conf_read(path, &source);
    if (!f.kind)
        f = conf_parse(path, buf_str(&source), out);
    buf_free(&source);
    return f;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    struct arena arena = c->arena;
    free(c);
    arena_free(&arena);
}

char *conf_state_path(const struct conf *c, struct arena *a, const char *name)
{
    struct str path = arena_printf(a, STR_FMT "/%s", STR_ARG(c->state_directory), name);
    return arena_c_string(a, path);
}

/* How well a domain fits what a section is for, which is its name or begins with a dot: 0 not at all, else more is better. */
static size_t fit(struct str section, struct str domain)
{
    if (str_equal(section, domain))
        return SIZE_MAX;
    bool is_below = section.p[0] == '.' && domain.n > section.n && str_ends_nocase(domain, section);
    return is_below ? section.n : 0;
}

/* As the file names domains; an address may have U-labels. */
static struct str to_ascii(struct str domain, char ascii[IDNA_DOMAIN_MAX])
{
    struct str name = str_has_8bit(domain) ? idna_to_ascii(domain, ascii) : STR_NONE;
    return name.n > 0 ? name : domain;
}

const struct conf_next_hop *conf_transport(const struct conf *c, struct str domain)
{
    char ascii[IDNA_DOMAIN_MAX];
    const struct conf_next_hop *best = NULL;
    domain = to_ascii(domain, ascii);
    for (size_t i = 0, most = 0; i < c->transport_count; i++) {
        size_t here = fit(c->transport[i].domain, domain);
        if (here > most) {
            most = here;
            best = &c->transport[i];
        }
    }
    return best;
}

const struct conf_tls_policy *conf_tls_policy(const struct conf *c, struct str domain)
{
    const struct conf_tls_policy *best = NULL;
    for (size_t i = 0, most = 0; i < c->tls_policy_count; i++) {
        size_t here = fit(c->tls_policy[i].domain, domain);
        if (here > most) {
            most = here;
            best = &c->tls_policy[i];
        }
    }
    return best;
}

struct str conf_srs_domain(const struct conf *c)
{
    return c->srs_domain.n > 0 ? c->srs_domain : c->hostname;
}

bool conf_is_relay_domain(const struct conf *c, struct str domain)
{
    char ascii[IDNA_DOMAIN_MAX];
    domain = to_ascii(domain, ascii);
    for (size_t i = 0; i < c->relay_domains.count; i++) {
        struct str item = c->relay_domains.item[i];
        if (str_equal(item, domain) || (item.p[0] == '.' && str_ends_nocase(domain, item)))
            return true;
    }
    return false;
}

bool conf_is_report_address(const struct conf *c, struct str local, struct str domain)
{
    for (size_t i = 0; i < c->reports.address.count; i++) {
        struct str item = c->reports.address.item[i];
        size_t at = str_last_index(item, '@');
        if (str_equal_nocase(str_head(item, at), local) &&
            idna_equal(str_skip(item, at + 1), domain))
            return true;
    }
    return false;
}

bool conf_networks_contain(const struct conf_networks *networks, const struct ip_address *ip)
{
    for (size_t i = 0; i < networks->count; i++)
        if (ip_network_contains(&networks->item[i], ip))
            return true;
    return false;
}

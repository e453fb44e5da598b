/* SPDX-License-Identifier: ISC */
/*
 * main.c - runs seeds: for each a world, in it one process of the server after another
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "directory/directory.h"
#include "directory/edit.h"
#include "disk.h"
#include "journal/journal.h"
#include "ledger.h"
#include "os/database.h"
#include "os/file.h"
#include "plan.h"
#include "role/bench_hooks.h"
#include "role/supervisor.h"

#define WORLD_BYTES ((size_t)1 << 30)
#define WORLD_AT    ((void *)0x100000000000)

enum {
    EXIT_CRASHED = 77,
    MAIN_STACK_BYTES = 512 * 1024,
    REST_MOST_S = 20,
    PROCESSES_MOST = 200,
    REAL_PATIENCE_S = 120
};

static struct {
    void *memory; /* of the world, shared */
    char *template;
    size_t template_size;
    bool is_loud;
    char story[32];
} run;

/* The journals' files are small, so that they are many. */
void bench_hooks_take(struct journal_options *o)
{
    o->segment_bytes = world->plan->segment_bytes;
}

/* A password is right when it is the one that was set; to stretch it takes time and proves nothing
 * here. */
int PKCS5_PBKDF2_HMAC(const char *password, int password_size, const unsigned char *salt,
                      int salt_size, int rounds, const EVP_MD *digest, int size, unsigned char *out)
{
    (void)rounds;
    (void)digest;
    for (int i = 0; i < size; i++)
        out[i] = (unsigned char)(password[i % password_size] ^ salt[i % salt_size] ^ i);
    return 1;
}

static void must(struct fault f)
{
    if (f.kind)
        sim_broken("%s", f.text);
}

static bool has_prepared;

/* The state that every run begins with: folders, users, an empty server. */
static void prepare(void *arg)
{
    (void)arg;
    static const char *const folders[] = {"ctl",     "ctl/mta", "ctl/mda", "log", "log/mta",
                                          "log/mda", "spool",   "mail",    "tls"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        must(file_make_directory(folders[i]));
    struct directory *d;
    database_use_relative_paths();
    must(directory_open("directory.db", DIRECTORY_CREATE, &d));
    must(directory_domain_add(d, STR("home.test")));
    for (int i = 0; i < PLAN_USERS; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "u%d@home.test", i);
        must(directory_account_add(d, str_make(name, (size_t)n), STR("secret"), 0));
    }
    directory_close(d);
    disk_sync_all();
    has_prepared = true;
}

static bool is_prepared(void)
{
    return has_prepared;
}

static void make_template(void)
{
    pid_t child = fork();
    if (child == 0) {
        world_make(run.memory, WORLD_BYTES, 1);
        disk_make();
        net_make();
        fiber_start("prepare", true, MAIN_STACK_BYTES, prepare, NULL);
        world_run(is_prepared);
        fibers_forget_server();
        _exit(has_prepared ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) {
        fprintf(stderr, "the template cannot be made\n");
        exit(1);
    }
    struct world *w = run.memory;
    run.template_size = (size_t)(w->memory - (char *)run.memory);
    run.template = malloc(run.template_size);
    memcpy(run.template, run.memory, run.template_size);
}

static struct fault outcome;

static void serve(void *arg)
{
    (void)arg;
    fiber_sleep(world->process == 1 ? 0 : sim_between(0, REST_MOST_S) * SIM_SECOND);
    outcome = supervisor_run("eilbote.conf", true);
    world->plan->has_stopped = true;
}

static bool has_stopped(void)
{
    return world->plan->has_stopped;
}

/* Where the server was when it ended itself. */
static void show_place(int number)
{
    enum { FRAMES = 40 };
    void *frames[FRAMES];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* One process of the server, to its end. */
static _Noreturn void run_process(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(REAL_PATIENCE_S);
    if (!run.is_loud) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    signal(SIGABRT, show_place);
    signal(SIGSEGV, show_place);
    world->process++;
    world->calls = 0;
    world->crash_at_call = UINT64_MAX;
    if (world->plan->processes_left > 0 && !plan_is_healed())
        world->crash_at_call = ((uint64_t)1 << sim_between(3, 15)) + sim_below(4096);
    world->plan->has_stopped = false;
    fiber_start("main", true, MAIN_STACK_BYTES, serve, NULL);
    bool is_well = world_run(has_stopped);
    if (!is_well)
        ledger_blame(0, "nothing can happen any more, and the server has not ended");
    if (world->plan->is_stopping && !outcome.kind && world->net->descriptor_count > 0)
        ledger_blame(0, "%u descriptors are left open at the end", world->net->descriptor_count);
    if (outcome.kind && run.is_loud)
        fprintf(stderr, "the server ended: %s\n", outcome.text);
    system_end_process();
    fibers_forget_server();
    exit(0);
}

/* Runs a seed; false when a property does not hold. */
static bool run_seed(uint64_t seed)
{
    memcpy(run.memory, run.template, run.template_size);
    world = run.memory;
    world_seed(seed);
    memcpy(world->story, run.story, sizeof run.story);
    plan_make();
    for (int processes = 0; processes < PROCESSES_MOST; processes++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            run_process();
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && world->plan->is_stopping)
            break;
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CRASHED) {
            world->plan->processes_left--;
        } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            ledger_blame(0, "the server's process ended with status %#x", (unsigned)status);
            break;
        }
        if (world->ledger->violation[0])
            break;
        ledger_crash();
        fibers_forget_server();
    }
    if (!world->plan->is_stopping)
        ledger_blame(0, "the server did not get as far as the end");
    ledger_check();
    return world->ledger->violation[0] == '\0';
}

static void print_result(uint64_t seed, bool is_well)
{
    printf("seed %llu: %s  [%llu processes, %zu messages, %zu crashes, %lld s, digest %016llx]\n",
           (unsigned long long)seed, is_well ? "well" : world->ledger->violation,
           (unsigned long long)world->process, world->ledger->messages, world->ledger->crashes,
           (long long)(world->now_ns / SIM_SECOND), (unsigned long long)world->digest);
    fflush(stdout);
}

/* The same seed once more, with the story of the message that it is about. */
static void tell_story(uint64_t seed)
{
    uint64_t digest = world->digest;
    snprintf(run.story, sizeof run.story, "%s",
             getenv("STORY") ? getenv("STORY") : ledger_id(world->ledger->violation_message));
    run_seed(seed);
    if (world->digest != digest)
        printf("seed %llu is not the same twice\n", (unsigned long long)seed);
}

int main(int argc, char **argv)
{
    uint64_t from = 1, count = 100;
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"loud", no_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (c == 'n')
            count = strtoull(optarg, NULL, 10);
        else if (c == 'f')
            from = strtoull(optarg, NULL, 10);
        else if (c == 's')
            from = strtoull(optarg, NULL, 10), count = 1, run.is_loud = true;
        else if (c == 'l')
            run.is_loud = true;
        else
            return 2;
    }
    setenv("TZ", "UTC", 1);
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    signal(SIGPIPE, SIG_IGN);
    run.memory = mmap(WORLD_AT, WORLD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (run.memory == MAP_FAILED)
        return 2;
    fibers_prepare();
    make_template();
    uint64_t failed = 0;
    for (uint64_t seed = from; seed < from + count; seed++) {
        bool is_well = run_seed(seed);
        failed += !is_well;
        if (!is_well || count == 1)
            print_result(seed, is_well);
        if (!is_well && count == 1)
            tell_story(seed);
        world = NULL;
    }
    printf("%llu of %llu seeds failed\n", (unsigned long long)failed, (unsigned long long)count);
    return failed > 0;
}

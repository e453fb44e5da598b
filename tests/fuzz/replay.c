/* SPDX-License-Identifier: ISC */
/*
 * replay.c - runs a target on the inputs that are kept: replay PATH...
 *
 * A path is an input, a directory of them, or a file *.pack: inputs one behind the other, each
 * behind its length (32 bits, little-endian). `make test` runs this for each target, built with the
 * compiler and the sanitizers of the rest.
 */
#include <dirent.h>

#include "base/buf.h"
#include "base/pack.h"
#include "fuzz.h"

enum { PACK_MOST = 1 << 26, STEP = 1 << 16 };

static size_t count;

/* Behind a copy of the input ends what may be read. */
static void play(struct str input)
{
    uint8_t *copy = malloc(input.n ? input.n : 1);
    must(copy != NULL);
    if (input.n > 0)
        memcpy(copy, input.p, input.n);
    LLVMFuzzerTestOneInput(copy, input.n);
    free(copy);
    count++;
}

/* Not by os/file.c, in the place of which a target may have something else. */
static void load(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    bool is_good = file != NULL;
    while (is_good && !feof(file) && (is_good = !ferror(file) && buf_reserve(out, STEP)))
        out->used += fread(out->data + out->used, 1, STEP, file);
    if (!is_good) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
}

static void play_file(const char *path)
{
    struct buf content = buf_make(PACK_MOST);
    load(path, &content);
    if (!str_ends_nocase(str_from(path), STR(".pack"))) {
        fprintf(stderr, "%s\n", path);
        play(buf_str(&content));
    } else {
        struct unpack u = {buf_str(&content), false};
        for (size_t i = 0; u.rest.n > 0; i++) {
            struct str input = unpack_str(&u);
            fprintf(stderr, "%s, input %zu\n", path, i);
            must(!u.is_bad);
            play(input);
        }
    }
    buf_free(&content);
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void play_path(const char *path)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        play_file(file);
        free(names[i]);
    }
    free(names);
    if (n < 0)
        play_file(path);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        play_path(argv[i]);
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}

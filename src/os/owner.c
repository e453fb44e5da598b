/* SPDX-License-Identifier: ISC */
/*
 * owner.c - users that files belong to and processes become
 */
#include "os/owner.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "os/file_fault.h"

enum { OWNER_BUFFER = 2048, OWNER_NAME_MAX = 256, OWNER_TRIES = 1000 };

bool owner_is_root(void)
{
    return geteuid() == 0;
}

bool owner_find(struct str name, struct owner *out)
{
    struct str uid_text, gid_text;
    uint64_t uid, gid;
    if (str_cut(name, ':', &uid_text, &gid_text)) {
        if (!num_parse(uid_text, INT32_MAX, &uid) || !num_parse(gid_text, INT32_MAX, &gid))
            return false;
        *out = (struct owner){(uid_t)uid, (gid_t)gid};
        return true;
    }
    char text[OWNER_NAME_MAX], buffer[OWNER_BUFFER];
    struct passwd entry, *found = NULL;
    if (name.n == 0 || name.n >= sizeof text || str_has(name, '\0'))
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (getpwnam_r(text, &entry, buffer, sizeof buffer, &found) != 0 || !found)
        return false;
    *out = (struct owner){found->pw_uid, found->pw_gid};
    return true;
}

bool owner_login(struct buf *out)
{
    char buffer[OWNER_BUFFER];
    struct passwd entry, *found = NULL;
    return getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found &&
           buf_append(out, str_from(found->pw_name));
}

uid_t owner_free_id(uid_t from)
{
    for (uid_t id = from; id < from + OWNER_TRIES; id++) {
        char buffer[OWNER_BUFFER];
        struct passwd user, *found_user = NULL;
        struct group group, *found_group = NULL;
        if (getpwuid_r(id, &user, buffer, sizeof buffer, &found_user) == 0 && !found_user &&
            getgrgid_r(id, &group, buffer, sizeof buffer, &found_group) == 0 && !found_group)
            return id;
    }
    return 0;
}

struct fault owner_give(const char *path, const struct owner *owner, unsigned permissions)
{
    if (owner && lchown(path, owner->uid, owner->gid) != 0)
        return file_fault("chown", path, errno);
    return chmod(path, (mode_t)permissions) == 0 ? FINE : file_fault("chmod", path, errno);
}

bool owner_is_reachable(const char *path)
{
    char *full = realpath(path, NULL);
    bool is_reachable = full != NULL;
    char *slash = full;
    while (is_reachable && (slash = strrchr(full, '/')) != NULL && slash != full) {
        struct stat status;
        *slash = '\0';
        is_reachable = stat(full, &status) == 0 && (status.st_mode & S_IXOTH);
    }
    free(full);
    return is_reachable;
}

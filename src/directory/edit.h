/* SPDX-License-Identifier: ISC */
/*
 * edit.h - changing the directory, and listing what is in it
 *
 * Faults besides those of directory.h: 550 with a sentence for people when the name is malformed,
 * exists already, does not exist, or is still in use.
 */
#ifndef DIRECTORY_EDIT_H
#define DIRECTORY_EDIT_H

#include "directory/directory.h"

struct fault directory_domain_add(struct directory *d, struct str domain);
struct fault directory_domain_remove(struct directory *d, struct str domain);

/* Adds an account; its domain must exist. The password becomes a verifier with a new salt. */
struct fault directory_account_add(struct directory *d, struct str address, struct str password,
                                   int64_t quota_bytes);
struct fault directory_account_remove(struct directory *d, struct str address);
struct fault directory_account_set_password(struct directory *d, struct str address,
                                            struct str password);
struct fault directory_account_enable(struct directory *d, struct str address, bool is_enabled);
struct fault directory_account_set_quota(struct directory *d, struct str address,
                                         int64_t quota_bytes);

/* Adds a target to an alias; "@domain" is the domain's catch-all. */
struct fault directory_alias_add(struct directory *d, struct str alias, struct str target);

/* Removes one target, or with an empty target the alias. */
struct fault directory_alias_remove(struct directory *d, struct str alias, struct str target);

struct directory_alias {
    struct str address; /* "@domain" for a catch-all */
    struct str target;
};

/* Call each, in order of domain and name, for what there is; the strings are borrowed for the
 * call. No other call on this handle may be made from there. */
struct fault directory_list_domains(struct directory *d, void (*each)(struct str domain, void *arg),
                                    void *arg);
struct fault directory_list_accounts(struct directory *d,
                                     void (*each)(const struct directory_account *account,
                                                  void *arg),
                                     void *arg);
struct fault directory_list_aliases(struct directory *d,
                                    void (*each)(const struct directory_alias *alias, void *arg),
                                    void *arg);

/* "@domain" or an address, cut into local part (empty for the catch-all) and domain. */
bool directory_split_alias(struct str alias, struct str *local, struct str *domain);

#endif

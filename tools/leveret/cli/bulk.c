/* Many queues at once: those of a virtual host whose name matches a pattern. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "admin.h"
#include "run.h"

#define PAGES_MAX 100000
#define PAGE_PATH \
    "/queues/{vhost}?page={page}&page_size=500&use_regex=true&name={name_pattern}&columns=name"

/* One page of names is added to `names`; the number of pages, or 0 and c->fault. */
static long add_page(struct lv_cli *c, long page, json_t *names)
{
    char number[24];

    snprintf(number, sizeof(number), "%ld", page);
    lv_cli_set(c, "page", strlen("page"), number);
    json_t *root = lv_cli_get(c, PAGE_PATH, NULL);
    json_t *items = json_object_get(root, "items");
    long pages = (long)json_integer_value(json_object_get(root, "page_count"));
    if (root != NULL && !json_is_array(items))
        lv_cli_fail(c, EX_PROTOCOL, "the broker's answer has no pages");
    json_array_extend(names, items);
    json_decref(root);
    if (c->fault.code != EX_OK)
        return 0;
    return pages > 1 ? pages : 1;
}

/* The queues that match, as objects with their name; NULL and c->fault. Read to the end before any is touched. */
static json_t *matching(struct lv_cli *c)
{
    json_t *names = json_array();
    long pages = 1;

    for (long page = 1; page <= pages && page <= PAGES_MAX; page++) {
        pages = add_page(c, page, names);
        if (pages == 0) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

struct bulk {
    const char *path, *doing, *done;
};

/* Does it to each. What has gone meanwhile is done too; the first other failure is told at the end. */
static int do_each(struct lv_cli *c, const struct bulk *bulk, const json_t *queues)
{
    struct lv_progress progress;
    struct lv_fault first = { 0 };
    size_t i, failed = 0, count = json_array_size(queues);
    json_t *queue;

    lv_progress_begin_count(&progress, bulk->doing, "queues", count, lv_cli_has(c, "quiet"));
    json_array_foreach(queues, i, queue)
    {
        c->fault = (struct lv_fault){ 0 };
        lv_cli_set(c, "name", strlen("name"), json_string_value(json_object_get(queue, "name")));
        bool is_done = lv_cli_request(c, "DELETE", bulk->path, NULL, "404:0:", NULL);
        if (!is_done && c->fault.code != EX_OK) {
            first = failed == 0 ? c->fault : first;
            failed++;
        }
        lv_progress_add(&progress, 1);
    }
    lv_progress_end(&progress);
    c->fault = (struct lv_fault){ 0 };
    if (failed > 0)
        return lv_cli_fail(c, first.code, "%zu of %zu queues were not %s; the first: %.600s",
                           failed, count, bulk->done, first.text);
    char text[64];
    snprintf(text, sizeof(text), "%zu queues %s", count, bulk->done);
    return lv_admin_done(c, text);
}

static int run(struct lv_cli *c, const struct bulk *bulk)
{
    if (!lv_cli_has(c, "vhost"))
        lv_cli_set(c, "vhost", strlen("vhost"), "/");
    json_t *queues = matching(c);
    if (queues == NULL)
        return c->fault.code;
    int code;
    if (lv_cli_has(c, "dry_run"))
        code = lv_admin_print(c, queues, "name");
    else if (!lv_cli_has(c, "approve"))
        code = lv_cli_fail(
            c, EX_USAGE,
            "%zu queues match: --approve if all of them are meant, --dry-run shows them",
            json_array_size(queues));
    else
        code = do_each(c, bulk, queues);
    json_decref(queues);
    return code;
}

int lv_run_delete_multiple(struct lv_cli *c)
{
    return run(c, &(struct bulk){ "/queues/{vhost}/{name}", "deleting", "deleted" });
}

int lv_run_purge_multiple(struct lv_cli *c)
{
    return run(c, &(struct bulk){ "/queues/{vhost}/{name}/contents", "purging", "purged" });
}

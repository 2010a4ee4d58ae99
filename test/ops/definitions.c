/* lv-definitions DIR FILE [VHOST]: imports a file into the broker of that data directory, whose loops do not run, and prints
 * what it exports then. 1: it could not, and says why. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/access.h"
#include "broker/definitions.h"
#include "config/config.h"
#include "os/os.h"

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return 1;
}

static int import(struct lv_broker *b, const char *file, struct lv_bytes vhost)
{
    char why[LV_DEFINITIONS_WHY_MAX] = "";
    struct lv_definitions *d = NULL;
    char *text;
    size_t bytes;
    enum lv_err err = lv_os_read_file(file, LV_DEFINITIONS_BYTES_MAX, LV_TAG_TEST, &text, &bytes);

    if (err != LV_OK)
        return fail(lv_err_text(err));
    err = lv_definitions_parse(lv_broker_settings(b), lv_bytes(text, bytes), vhost, &d, why,
                               sizeof(why));
    lv_mem_free(text, LV_TAG_TEST);
    if (err == LV_OK) {
        lv_definitions_begin(d, false);
        while ((err = lv_definitions_step(b, d, 100, why, sizeof(why))) == LV_EAGAIN) {
        }
    }
    lv_definitions_free(d);
    return err == LV_OK ? 0 : fail(why[0] != '\0' ? why : lv_err_text(err));
}

static int export(struct lv_broker *b, struct lv_bytes vhost)
{
    static char piece[65536];
    struct lv_snapshot *s;
    size_t got = 0;
    enum lv_err err = lv_definitions_take(b, vhost, &s);

    if (err != LV_OK)
        return fail(lv_err_text(err));
    while ((err = lv_snapshot_read(s, piece, sizeof(piece), &got)) == LV_OK && got != 0)
        (void)fwrite(piece, 1, got, stdout);
    lv_snapshot_free(s);
    return err == LV_OK ? 0 : fail(lv_err_text(err));
}

int main(int argc, char **argv)
{
    char *args[] = {
        "t",     "--config", "none", "--data-dir", argc > 2 ? argv[1] : "", "--log.console.level",
        "error", NULL
    };
    struct lv_config_sources sources = { .argc = 7, .argv = args };
    struct lv_loops_config loops_config = { .count = 1 };
    struct lv_bytes vhost = lv_bytes_str(argc > 3 ? argv[3] : "");
    struct lv_config *config;
    struct lv_broker *b;
    struct lv_loops *loops;

    if (argc < 3)
        return fail("lv-definitions DIR FILE [VHOST]");
    if (lv_config_load(&sources, &config) != LV_OK ||
        lv_broker_new(lv_config_settings(config), &b) != LV_OK)
        return fail("no broker");
    lv_broker_hook(b, &loops_config);
    if (lv_loops_new(&loops_config, &loops) != LV_OK || lv_broker_set_loops(b, loops) != LV_OK ||
        lv_broker_recover(b) != LV_OK || lv_broker_begin(b) != LV_OK)
        return fail("no start");
    int code = import(b, argv[2], vhost);
    if (code == 0)
        code = export(b, vhost);
    lv_broker_free(b);
    lv_loops_free(loops);
    lv_config_free(config);
    return code;
}

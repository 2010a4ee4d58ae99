#include "datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

int lv_datadir_code(enum lv_err err)
{
    switch (err) {
    case LV_OK:
        return EX_OK;
    case LV_ENOTFOUND:
        return EX_NOINPUT;
    case LV_ECORRUPT:
    case LV_EVERSION:
        return EX_DATAERR;
    case LV_EINUSE:
        return EX_TEMPFAIL;
    case LV_ENOSPC:
        return EX_CANTCREAT;
    case LV_EIO:
        return EX_IOERR;
    default:
        return EX_OSERR;
    }
}

static int open_store(struct lv_datadir *d)
{
    struct lv_store_config config = { .appenders = 1,
                                      .file_bytes = LV_WAL_FILE_MIN,
                                      .ring_bytes = (size_t)8
                                                    << 20, /* as the broker's: it bounds a record */
                                      .read_only = true };
    enum lv_err err = lv_dir_open(d->path, false, &config.dir);

    if (err == LV_OK) {
        err = lv_store_open(&config, &d->store);
        if (err != LV_OK)
            lv_dir_close(config.dir);
    }
    if (err == LV_OK)
        return EX_OK;
    fprintf(stderr, "leveret: %s: %s\n", d->path,
            err == LV_ENOTFOUND  ? "not the data of a broker: there is no file `store`"
            : err == LV_ECORRUPT ? "the file `store` is missing or damaged"
                                 : lv_err_text(err));
    return lv_datadir_code(err);
}

int lv_datadir_open(const char *path, enum lv_datadir_use use, struct lv_datadir *out)
{
    *out = (struct lv_datadir){ .path = path };
    out->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->lock < 0) {
        fprintf(stderr, "leveret: %s: %s\n", path, strerror(errno));
        return errno == ENOENT || errno == ENOTDIR ? EX_NOINPUT : EX_IOERR;
    }
    out->is_live = use != LV_DATADIR_MOVING && flock(out->lock, LOCK_SH | LOCK_NB) != 0 &&
                   errno == EWOULDBLOCK;
    int code = EX_OK;
    if (out->is_live && use == LV_DATADIR_STILL) {
        fprintf(stderr, "leveret: %s: a broker has it (--force looks nevertheless)\n", path);
        code = EX_TEMPFAIL;
    }
    if (code == EX_OK)
        code = open_store(out);
    if (code != EX_OK)
        lv_datadir_close(out);
    return code;
}

void lv_datadir_close(struct lv_datadir *d)
{
    lv_store_close(d->store);
    d->store = NULL;
    (void)close(d->lock);
}

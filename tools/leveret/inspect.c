/* leveret inspect: what is in a data directory, and whether all of it is good. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "json.h"
#include "look.h"

struct wishes {
    bool json, records, queues, verify, force;
};

static int usage(FILE *out, int code)
{
    fputs(
        "usage: leveret inspect [OPTION...] DIR\n\n"
        "Reads every record of every file of a data directory, puts the queues together as a "
        "broker\n"
        "would, and reads every message that they hold. Changes nothing.\n\n"
        "  --queues    each queue, exchange and binding\n"
        "  --records   each record of both logs, one a line\n"
        "  --verify    only what is wrong\n"
        "  --json      one object (with --records: before it one object for each record)\n"
        "  --force     also while a broker has the directory\n\n"
        "0: all is good. 65: damage. 66: no such data. 74: cannot be read. 75: a broker has it.\n",
        out);
    return code;
}

/* A position, as a person finds it again. */
static void put_place(FILE *out, const struct lv_wal *wal, lv_lsn lsn, bool json)
{
    char name[LV_FILE_NAME_MAX + 1];
    uint64_t bytes = lv_wal_file_bytes(wal);

    lv_wal_file_name(wal, lv_lsn_file(lsn, bytes), name);
    fprintf(out,
            json ? "\"lsn\": %" PRIu64 ", \"file\": \"%s\", \"offset\": %" PRIu64
                 : "%" PRIu64 " (%s at %" PRIu64 ")",
            lsn, name, lsn % bytes);
}

/* ---- records ---- */

static const char *type_name(bool is_topology, uint8_t type)
{
    static const char *const common[] = { [LV_REC_PAD] = "pad", [LV_REC_MARK] = "mark" };
    static const char *const messages[] = { "message", "enter",  "drop", "part",   "page",
                                            "state",   "handed", "tx",   "commit", "count" };
    static const char *const topology[] = { "put", "del" };

    if (type < LV_ARRAY_LEN(common) && common[type] != NULL)
        return common[type];
    size_t i = type >= LV_REC_FIRST ? (size_t)type - LV_REC_FIRST : SIZE_MAX;
    if (is_topology)
        return i < LV_ARRAY_LEN(topology) ? topology[i] : "unknown";
    return i < LV_ARRAY_LEN(messages) ? messages[i] : "unknown";
}

static void put_access(FILE *out, const struct lv_meta *m)
{
    static const char *const records[] = { "vhost", "user", "permission", "topic permission" };
    struct lv_rd names = lv_rd(m->access_key);

    fprintf(out, ", \"record\": \"%s\", \"names\": [",
            m->access < LV_ARRAY_LEN(records) ? records[m->access] : "unknown");
    for (const char *between = ""; lv_rd_left(&names) != 0 && !names.bad; between = ", ") {
        fputs(between, out);
        lv_json_string(out, lv_rd_short(&names));
    }
    putc(']', out);
}

static void put_meta(FILE *out, const struct lv_meta *m)
{
    static const char *const kinds[] = { "",        "queue",  "exchange", "binding",
                                         "counter", "access", "parameter" };

    fprintf(out, ", \"kind\": \"%s\"", kinds[m->kind]);
    if (m->kind == LV_META_COUNTER || (m->kind == LV_META_QUEUE && m->is_put))
        fprintf(out, ", \"id\": %" PRIu64, m->id);
    if (m->kind == LV_META_ACCESS) { /* no value: hashes of passwords are in it */
        put_access(out, m);
        return;
    }
    if (m->kind == LV_META_COUNTER)
        return;
    fputs(", \"vhost\": ", out);
    lv_json_string(out, m->vhost);
    if (m->kind == LV_META_PARAMETER) { /* no value: passwords may be in it */
        fputs(", \"component\": ", out);
        lv_json_string(out, m->component);
    }
    if (m->kind == LV_META_BINDING) {
        fputs(", \"source\": ", out);
        lv_json_string(out, m->source);
        fputs(m->is_to_exchange ? ", \"exchange\": " : ", \"queue\": ", out);
        lv_json_string(out, m->name);
        fputs(", \"key\": ", out);
        lv_json_string(out, m->key);
    } else {
        fputs(", \"name\": ", out);
        lv_json_string(out, m->name);
    }
    if (m->kind == LV_META_EXCHANGE && m->is_put) {
        fputs(", \"type\": ", out);
        lv_json_string(out, m->type);
        fprintf(out, ", \"internal\": %s", m->is_internal ? "true" : "false");
        if (m->has_alternate) {
            fputs(", \"alternate\": ", out);
            lv_json_string(out, m->alternate);
        }
    }
    if (m->kind != LV_META_BINDING && m->is_put)
        fprintf(out, ", \"auto_delete\": %s", m->is_auto_delete ? "true" : "false");
    if (m->is_put || m->kind == LV_META_BINDING) {
        fputs(", \"arguments\": ", out);
        lv_json_table(out, m->arguments);
    }
}

static void put_message(FILE *out, struct lv_bytes payload)
{
    struct lv_rec_message m;

    if (!lv_rec_message_parse(payload, &m)) {
        fputs(", \"malformed\": true", out);
        return;
    }
    fprintf(out,
            ", \"queue\": %" PRIu64 ", \"seq\": %" PRIu64 ", \"body_bytes\": %u, \"parts\": %zu",
            m.id, m.seq, m.body_len, m.parts.len / 8);
    fprintf(out, ", \"persistent\": %s, \"moved\": %s, \"died\": %s",
            m.persistent ? "true" : "false", m.is_moved ? "true" : "false",
            m.has_died ? "true" : "false");
    if (m.has_priority)
        fprintf(out, ", \"priority\": %u", m.priority);
    if (m.has_expiration)
        fprintf(out, ", \"ttl_ms\": %" PRIu64, (uint64_t)m.ttl * (m.is_ttl_seconds ? 1000 : 1));
    fputs(", \"exchange\": ", out);
    lv_json_string(out, m.exchange);
    fputs(", \"key\": ", out);
    lv_json_string(out, m.key);
}

/* Fields of fixed width, by record type. */
static void put_numbers(FILE *out, uint8_t type, struct lv_bytes payload)
{
    struct lv_rd rd = lv_rd(payload);

    if (type == LV_REC_COMMIT || type == LV_REC_TX) {
        fprintf(out, ", \"tx\": %" PRIu64, lv_rd_u64(&rd));
        if (type == LV_REC_TX) {
            uint32_t enters = lv_rd_u32(&rd), drops = lv_rd_u32(&rd);
            fprintf(out, ", \"enters\": %u, \"drops\": %u", enters, drops);
        }
        return;
    }
    fprintf(out, ", \"queue\": %" PRIu64, lv_rd_u64(&rd));
    if (type == LV_REC_ENTER || type == LV_REC_HANDED || type == LV_REC_COUNT)
        fprintf(out, ", \"seq\": %" PRIu64, lv_rd_u64(&rd));
    if (type == LV_REC_COUNT)
        fprintf(out, ", \"failures\": %u", lv_rd_u32(&rd));
    if (type == LV_REC_ENTER)
        fprintf(out, ", \"of\": %" PRIu64, lv_place_lsn(lv_rd_u64(&rd)));
    if (type == LV_REC_PAGE)
        fprintf(out, ", \"entries\": %u", lv_rd_u32(&rd));
    if (type == LV_REC_STATE)
        fprintf(out, ", \"part\": %u", lv_rd_u32(&rd));
    for (const char *between = ", \"dropped\": ["; type == LV_REC_DROP && lv_rd_left(&rd) >= 16;) {
        uint64_t seq = lv_rd_u64(&rd), count = lv_rd_u64(&rd);
        fprintf(out, "%s[%" PRIu64 ", %" PRIu64 "]", between, seq, count);
        between = ", ";
        if (lv_rd_left(&rd) < 16)
            fputc(']', out);
    }
}

struct records {
    const struct lv_wal *topology;
};

/* One line each, an object: what it says is for programs as much as for people. */
static void show_record(void *ctx, const struct lv_wal *wal, uint8_t type, lv_lsn lsn,
                        struct lv_bytes payload)
{
    const struct records *r = ctx;
    bool is_topology = wal == r->topology;
    struct lv_meta meta;

    fprintf(stdout, "{\"log\": \"%s\", ", is_topology ? "topology" : "messages");
    put_place(stdout, wal, lsn, true);
    fprintf(stdout, ", \"type\": \"%s\", \"bytes\": %zu", type_name(is_topology, type), payload.len);
    if (type == LV_REC_MARK && payload.len == 8)
        fprintf(stdout, ", \"synced\": %" PRIu64, lv_be64(payload.ptr));
    else if (is_topology && lv_meta_parse(type, payload, &meta))
        put_meta(stdout, &meta);
    else if (!is_topology && type == LV_REC_MESSAGE)
        put_message(stdout, payload);
    else if (!is_topology && type >= LV_REC_FIRST && type != LV_REC_PART && type <= LV_REC_COUNT)
        put_numbers(stdout, type, payload);
    fputs("}\n", stdout);
}

/* ---- as text ---- */

static void text_log(const struct lv_look *look, bool is_topology)
{
    const struct lv_wal_check *c = is_topology ? &look->topology : &look->messages;
    const struct lv_wal *wal =
        is_topology ? lv_store_topology(look->dir.store) : lv_store_messages(look->dir.store);

    printf("%s: %zu files of %" PRIu64 " bytes, %" PRIu64 " records, ends at ",
           is_topology ? "topology" : "messages", c->file_count, lv_wal_file_bytes(wal), c->records);
    put_place(stdout, wal, c->end, false);
    putchar('\n');
    for (size_t i = 0; i < c->file_count; i++) {
        const struct lv_wal_check_file *f = &c->files[i];
        char name[LV_FILE_NAME_MAX + 1];
        lv_wal_file_name(wal, f->number, name);
        printf("  %s  %" PRIu64 " bytes used, %" PRIu64 " records", name, f->used_bytes, f->records);
        const char *between = " (";
        for (unsigned t = 0; t < LV_WAL_CHECK_TYPES; t++) {
            if (f->by_type[t] == 0)
                continue;
            printf("%s%s %" PRIu64, between, type_name(is_topology, (uint8_t)t), f->by_type[t]);
            between = ", ";
        }
        fputs(f->records != 0 ? ")" : "", stdout);
        if (!is_topology)
            printf(", alive: %" PRId64 " in about %" PRId64 " bytes", look->live[i].refs,
                   look->live[i].bytes);
        putchar('\n');
    }
}

static void text_head(const struct lv_look *look)
{
    printf("%s: data %016" PRIx64 ", format %u%s\n", look->dir.path, lv_store_id(look->dir.store),
           LV_WAL_FORMAT, look->dir.is_live ? "; a broker has it, and goes on writing" : "");
    if (look->checkpoint_err != LV_OK) {
        printf("checkpoint: %s\n", look->checkpoint_err == LV_ENOTFOUND ? "none" : "damaged");
        return;
    }
    fputs("checkpoint: a start walks from ", stdout);
    put_place(stdout, lv_store_messages(look->dir.store), look->checkpoint.from, false);
    printf(", %zu states%s\n", look->checkpoint.queue_count,
           look->stopped.messages != 0 ? ", stopped in order" : "");
}

static void text_queues(const struct lv_look *look)
{
    const struct lv_model_item *item;

    for (size_t i = 0; i < look->model.queues; i++) {
        const struct lv_look_queue *q = &look->queues[i];
        fputs("queue ", stdout);
        lv_json_string(stdout, q->item->meta.name);
        fputs(" in ", stdout);
        lv_json_string(stdout, q->item->meta.vhost);
        printf(": id %" PRIu64 ", %" PRIu64 " messages, %" PRIu64
               " bytes, redelivered below %" PRIu64 " (%" PRIu64 "), next %" PRIu64,
               q->item->meta.id, q->messages, q->bytes, q->facts.handed, q->redelivered,
               q->facts.seq_next);
        if (q->unreadable != 0)
            printf(", %" PRIu64 " UNREADABLE", q->unreadable);
        fputs(q->item->meta.is_auto_delete ? ", auto-delete, " : ", ", stdout);
        lv_json_table(stdout, q->item->meta.arguments);
        putchar('\n');
    }
    for (item = look->model.items; item != NULL; item = item->hh.next) {
        const struct lv_meta *m = &item->meta;
        if (m->kind == LV_META_QUEUE)
            continue;
        bool is_binding = m->kind == LV_META_BINDING;
        fputs(is_binding ? "binding " : "exchange ", stdout);
        lv_json_string(stdout, is_binding ? m->source : m->name);
        if (is_binding) {
            fputs(m->is_to_exchange ? " to exchange " : " to queue ", stdout);
            lv_json_string(stdout, m->name);
            fputs(", key ", stdout);
            lv_json_string(stdout, m->key);
        }
        fputs(" in ", stdout);
        lv_json_string(stdout, m->vhost);
        if (!is_binding)
            printf(": %.*s%s%s", LV_BYTES_FMT(m->type), m->is_auto_delete ? ", auto-delete" : "",
                   m->is_internal ? ", internal" : "");
        if (m->has_alternate) {
            fputs(", alternate ", stdout);
            lv_json_string(stdout, m->alternate);
        }
        fputs(", ", stdout);
        lv_json_table(stdout, m->arguments);
        putchar('\n');
    }
}

static struct lv_bytes queue_name(const struct lv_look *look, uint64_t id)
{
    for (size_t i = 0; i < look->model.queues; i++)
        if (look->queues[i].item->meta.id == id)
            return look->queues[i].item->meta.name;
    return lv_bytes(NULL, 0);
}

static void text_damage_of(const struct lv_look *look, bool is_topology)
{
    const struct lv_wal_check *c = is_topology ? &look->topology : &look->messages;
    const struct lv_wal *wal =
        is_topology ? lv_store_topology(look->dir.store) : lv_store_messages(look->dir.store);
    const char *name = is_topology ? "topology" : "messages";

    for (size_t i = 0; i < c->damage_count; i++) {
        printf("DAMAGED %s from ", name);
        put_place(stdout, wal, c->damage[i].from, false);
        fputs(" to ", stdout);
        put_place(stdout, wal, c->damage[i].to, false);
        putchar('\n');
    }
    if (c->torn_bytes == 0)
        return;
    printf("torn tail of %s: %" PRIu64 " bytes from ", name, c->torn_bytes);
    put_place(stdout, wal, c->end, false);
    puts(", never known to be synced; a start cuts them off");
}

static void text_damage(const struct lv_look *look)
{
    text_damage_of(look, true);
    text_damage_of(look, false);
    if (look->checkpoint_err == LV_ECORRUPT)
        puts("DAMAGED checkpoint: a start walks the whole log instead");
    if (look->is_state_damaged)
        puts("DAMAGED a state that the checkpoint names: a start walks the whole log instead");
    if (look->is_beheaded)
        puts("DAMAGED messages: the files that a start begins with are missing");
    if (look->facts.unknown_queues != 0)
        printf("DAMAGED topology: %" PRIu64 " queues with %" PRIu64
               " messages are missing from it\n",
               look->facts.unknown_queues, look->facts.unknown_messages);
    if (look->facts.damaged != 0)
        printf("DAMAGED pages or states of queues: %" PRIu64 "\n", look->facts.damaged);
    for (uint64_t i = 0; i < LV_MIN(look->unreadable_count, LV_LOOK_UNREADABLE_MAX); i++) {
        const struct lv_look_unreadable *u = &look->unreadable[i];
        fputs("UNREADABLE message of queue ", stdout);
        lv_json_string(stdout, queue_name(look, u->queue));
        printf(", number %" PRIu64 ", at ", u->seq);
        put_place(stdout, lv_store_messages(look->dir.store), u->lsn, false);
        putchar('\n');
    }
    if (look->unreadable_count > LV_LOOK_UNREADABLE_MAX)
        printf("UNREADABLE messages in all: %" PRIu64 "\n", look->unreadable_count);
}

static void show_text(const struct lv_look *look, const struct wishes *w)
{
    if (!w->verify) {
        text_head(look);
        text_log(look, true);
        text_log(look, false);
        printf("%zu queues, %zu exchanges, %zu bindings; %" PRIu64 " messages, %" PRIu64
               " bytes of bodies; next queue id %" PRIu64 "\n",
               look->model.queues, look->model.exchanges, look->model.bindings, look->message_count,
               look->body_bytes, look->model.next_queue_id);
        if (look->facts.open_tx != 0)
            printf("transactions without a commit, which do not count: %" PRIu64 "\n",
                   look->facts.open_tx);
        if (w->queues)
            text_queues(look);
    }
    text_damage(look);
    if (!w->verify)
        puts(lv_look_is_damaged(look) ? "damage was found" : "all is good");
}

/* ---- as JSON ---- */

static void json_log(const struct lv_look *look, bool is_topology)
{
    const struct lv_wal_check *c = is_topology ? &look->topology : &look->messages;
    const struct lv_wal *wal =
        is_topology ? lv_store_topology(look->dir.store) : lv_store_messages(look->dir.store);

    printf("\"%s\": {\"file_bytes\": %" PRIu64 ", \"records\": %" PRIu64 ", \"end\": {",
           is_topology ? "topology" : "messages", lv_wal_file_bytes(wal), c->records);
    put_place(stdout, wal, c->end, true);
    printf("}, \"torn_bytes\": %" PRIu64 ", \"files\": [", c->torn_bytes);
    for (size_t i = 0; i < c->file_count; i++) {
        const struct lv_wal_check_file *f = &c->files[i];
        char name[LV_FILE_NAME_MAX + 1];
        lv_wal_file_name(wal, f->number, name);
        printf("%s{\"name\": \"%s\", \"number\": %" PRIu64 ", \"bytes\": %" PRIu64
               ", \"used_bytes\": %" PRIu64 ", \"records\": {",
               i != 0 ? ", " : "", name, f->number, f->size, f->used_bytes);
        const char *between = "";
        for (unsigned t = 0; t < LV_WAL_CHECK_TYPES; t++) {
            if (f->by_type[t] == 0)
                continue;
            printf("%s\"%s\": %" PRIu64, between, type_name(is_topology, (uint8_t)t), f->by_type[t]);
            between = ", ";
        }
        putchar('}');
        if (!is_topology)
            printf(", \"alive\": %" PRId64 ", \"alive_bytes\": %" PRId64, look->live[i].refs,
                   look->live[i].bytes);
        putchar('}');
    }
    fputs("], \"damage\": [", stdout);
    for (size_t i = 0; i < c->damage_count; i++) {
        fputs(i != 0 ? ", {\"from\": {" : "{\"from\": {", stdout);
        put_place(stdout, wal, c->damage[i].from, true);
        fputs("}, \"to\": {", stdout);
        put_place(stdout, wal, c->damage[i].to, true);
        fputs("}}", stdout);
    }
    fputs("]}, ", stdout);
}

static void json_queues(const struct lv_look *look)
{
    const char *between = "";

    fputs(", \"queue_list\": [", stdout);
    for (size_t i = 0; i < look->model.queues; i++) {
        const struct lv_look_queue *q = &look->queues[i];
        printf("%s{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64
               ", \"redelivered_below\": %" PRIu64 ", \"redelivered\": %" PRIu64
               ", \"next\": %" PRIu64 ", \"unreadable\": %" PRIu64,
               i != 0 ? ", " : "", q->messages, q->bytes, q->facts.handed, q->redelivered,
               q->facts.seq_next, q->unreadable);
        put_meta(stdout, &q->item->meta);
        putchar('}');
    }
    fputs("], \"topology_list\": [", stdout);
    for (const struct lv_model_item *item = look->model.items; item != NULL; item = item->hh.next) {
        if (item->meta.kind == LV_META_QUEUE)
            continue;
        printf("%s{\"order\": %" PRIu64, between, item->order);
        put_meta(stdout, &item->meta);
        putchar('}');
        between = ", ";
    }
    putchar(']');
}

static void show_json(const struct lv_look *look, const struct wishes *w)
{
    printf("{\"id\": \"%016" PRIx64
           "\", \"format\": %u, \"live\": %s, \"stopped\": %s, \"checkpoint\": ",
           lv_store_id(look->dir.store), LV_WAL_FORMAT, look->dir.is_live ? "true" : "false",
           look->stopped.messages != 0 ? "true" : "false");
    if (look->checkpoint_err == LV_OK) {
        fputs("{\"from\": {", stdout);
        put_place(stdout, lv_store_messages(look->dir.store), look->checkpoint.from, true);
        printf("}, \"states\": %zu}, ", look->checkpoint.queue_count);
    } else {
        fputs(look->checkpoint_err == LV_ENOTFOUND ? "null, " : "\"damaged\", ", stdout);
    }
    json_log(look, true);
    json_log(look, false);
    printf("\"queues\": %zu, \"exchanges\": %zu, \"bindings\": %zu, \"messages_held\": %" PRIu64
           ", \"body_bytes\": %" PRIu64 ", \"open_transactions\": %" PRIu64,
           look->model.queues, look->model.exchanges, look->model.bindings, look->message_count,
           look->body_bytes, look->facts.open_tx);
    if (w->queues)
        json_queues(look);
    printf(", \"damaged_pages\": %" PRIu64 ", \"unknown_queues\": %" PRIu64
           ", \"damaged_state\": %s, \"missing_files\": %s, \"unreadable\": %" PRIu64
           ", \"unreadable_list\": [",
           look->facts.damaged, look->facts.unknown_queues,
           look->is_state_damaged ? "true" : "false", look->is_beheaded ? "true" : "false",
           look->unreadable_count);
    for (uint64_t i = 0; i < LV_MIN(look->unreadable_count, LV_LOOK_UNREADABLE_MAX); i++) {
        fputs(i != 0 ? ", {\"queue\": " : "{\"queue\": ", stdout);
        lv_json_string(stdout, queue_name(look, look->unreadable[i].queue));
        printf(", \"seq\": %" PRIu64 ", ", look->unreadable[i].seq);
        put_place(stdout, lv_store_messages(look->dir.store), look->unreadable[i].lsn, true);
        putchar('}');
    }
    printf("], \"good\": %s}\n", lv_look_is_damaged(look) ? "false" : "true");
}

/* ---- the command ---- */

static int inspect(const char *path, const struct wishes *w)
{
    static struct lv_look look;
    struct records records;
    struct lv_look_eye eye = { show_record, &records };
    const char *what = "";
    int code = lv_datadir_open(path, w->force ? LV_DATADIR_AS_IT_IS : LV_DATADIR_STILL, &look.dir);

    if (code != EX_OK)
        return code;
    records.topology = lv_store_topology(look.dir.store);
    enum lv_err err = lv_look(&look, w->records ? &eye : NULL, &what);
    if (err == LV_OK) {
        if (w->json)
            show_json(&look, w);
        else
            show_text(&look, w);
        code = lv_look_is_damaged(&look) ? EX_DATAERR : EX_OK;
    } else {
        fprintf(stderr, "leveret: %s: %s: %s\n", path, what, lv_err_text(err));
        code = look.dir.is_live && err == LV_ENOTFOUND ? EX_TEMPFAIL : lv_datadir_code(err);
    }
    lv_look_fini(&look);
    lv_datadir_close(&look.dir);
    return code;
}

int lv_command_inspect(int argc, char **argv)
{
    struct wishes w = { 0 };
    const char *path = NULL;
    struct {
        const char *name;
        bool *flag;
    } options[] = { { "--json", &w.json },
                    { "--records", &w.records },
                    { "--queues", &w.queues },
                    { "--verify", &w.verify },
                    { "--force", &w.force } };

    for (int i = 0; i < argc; i++) {
        bool is_known = false;
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, EX_OK);
        for (size_t k = 0; k < LV_ARRAY_LEN(options); k++)
            if (strcmp(argv[i], options[k].name) == 0)
                is_known = *options[k].flag = true;
        if (!is_known && (argv[i][0] == '-' || path != NULL))
            return usage(stderr, EX_USAGE);
        if (!is_known)
            path = argv[i];
    }
    return path != NULL ? inspect(path, &w) : usage(stderr, EX_USAGE);
}

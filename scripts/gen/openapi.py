#!/usr/bin/env python3
# generates: docs/openapi.json
"""The description of the management HTTP API (OpenAPI 3.1), from two tables: what objects look like, and the routes.

A field is written `name:type`, where the type is s(tring), i(nteger), n(umber), b(oolean), o(bject of anything),
a(rray of anything), x (anything), a schema's name, or [type] for an array of them and {type} for an object of them.
`?` after the type: the field may be missing. `0` after the type: it may be null. `@4.1`: RabbitMQ has it since that version.
"""
import json
import re

PLAIN = {
    "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"},
    "o": {"type": "object"}, "a": {"type": "array"}, "x": {},
}


def schema_of(word):
    if word.endswith("0"):
        inner = schema_of(word[:-1])
        if "type" in inner and len(inner) == 1:
            return {"type": [inner["type"], "null"]}
        return {"anyOf": [inner, {"type": "null"}]}
    if word[0] == "[":
        return {"type": "array", "items": schema_of(word[1:-1])}
    if word[0] == "{":
        return {"type": "object", "additionalProperties": schema_of(word[1:-1])}
    if "|" in word:
        return {"enum": word.split("|")}
    if "/" in word:
        return {"type": [PLAIN[letter]["type"] for letter in word.split("/")]}
    return dict(PLAIN[word]) if word in PLAIN else {"$ref": f"#/components/schemas/{word}"}


def object_of(fields, bases=()):
    properties, required = {}, []
    for field in fields.split():
        name, word = field.split(":", 1)
        word, _, since = word.partition("@")
        is_optional = word.endswith("?")
        properties[name] = schema_of(word.rstrip("?"))
        if since:
            properties[name]["x-rabbitmq-since"] = since
        if not is_optional:
            required.append(name)
    schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {"allOf": [{"$ref": f"#/components/schemas/{base}"} for base in bases] + [schema]} if bases else schema


def counted(names):
    """Counters, each with the rate of its change."""
    return " ".join(f"{name}:i? {name}_details:Rate?" for name in names.split())


MESSAGE_STATS = ("publish publish_in publish_out confirm deliver deliver_no_ack get get_no_ack get_empty deliver_get "
                 "redeliver ack return_unroutable drop_unroutable disk_reads disk_writes")
CHURN = "connection_created connection_closed channel_created channel_closed queue_declared queue_created queue_deleted"
LENGTHS = "messages messages_ready messages_unacknowledged"
MEMORY = ("connection_readers connection_writers connection_channels connection_other queue_procs quorum_queue_procs "
          "quorum_queue_dlx_procs stream_queue_procs stream_queue_replica_reader_procs stream_queue_coordinator_procs "
          "plugins metadata_store@4.0 other_proc metrics mgmt_db mnesia quorum_ets metadata_store_ets@4.0 other_ets binary "
          "msg_index code atom other_system allocated_unused reserved_unallocated")
IO_COUNTERS = ("io_read_count io_read_bytes io_write_count io_write_bytes io_sync_count io_seek_count io_reopen_count "
               "mnesia_ram_tx_count mnesia_disk_tx_count msg_store_read_count msg_store_write_count "
               "queue_index_write_count queue_index_read_count gc_num gc_bytes_reclaimed context_switches")


def memory(suffix):
    parts = []
    for name in MEMORY.split():
        name, _, since = name.partition("@")
        parts.append(f"{name}:{suffix}" + (f"@{since}" if since else ""))
    return " ".join(parts)


SCHEMAS = {
    # answers that are the same everywhere
    "Error": ("error:s reason:x", "what went wrong: a word, and what to tell a person"),
    "Rate": ("rate:n avg:n? avg_rate:n? samples:[Sample]?", "change in a second; samples when the request asks for them, newest first"),
    "Sample": ("sample:n timestamp:i", "the value at a time, in milliseconds since 1970"),
    "MessageStats": (counted(MESSAGE_STATS), "what happened to messages since the object was made"),
    "Page": ("total_count:i item_count:i filtered_count:i page:i page_size:i page_count:i", "a list in pages"),
    "Ref": ("name:s vhost:s", "the name of an object"),
    "Status": ("status:s", "the check passed"),
    "Health": ("status:s reason:s?", "the outcome of a check"),
    "PortOk": ("status:s port:i", ""),
    "ProtocolOk": ("status:s protocol:s", ""),

    # the broker
    "Overview": (
        "management_version:s rates_mode:s sample_retention_policies:Retention exchange_types:[ExchangeType] product_version:s "
        "product_name:s rabbitmq_version:s cluster_name:s cluster_tags:x@4.0 node_tags:x@4.0 erlang_version:s "
        "erlang_full_version:s crypto_lib_version:s@4.1 disable_stats:b default_queue_type:s@4.0 "
        "is_op_policy_updating_enabled:b@3.11 "
        "enable_queue_totals:b require_definition_json_extension:b?@4.0 message_stats:MessageStats churn_rates:Churn "
        "queue_totals:QueueTotals object_totals:ObjectTotals statistics_db_event_queue:i node:s listeners:[Listener] "
        "contexts:[Context]",
        "the broker as a whole; users without the tag monitoring see only what concerns their virtual hosts"),
    "Retention": ("global:[i] basic:[i] detailed:[i]", "how far back samples go, in seconds"),
    "ExchangeType": ("name:s description:s enabled:b", ""),
    "Churn": (counted(CHURN).replace("?", ""), "what was made and what ended"),
    "QueueTotals": (counted(LENGTHS), "messages in all queues"),
    "ObjectTotals": ("consumers:i queues:i exchanges:i connections:i channels:i", ""),
    "Listener": ("node:s protocol:s ip_address:s port:i socket_opts:x? tls:b?@4.0", "where the broker listens"),
    "Context": ("node:s? description:s path:s port:i/s? ip:s? ssl_opts:x?", "a web service"),
    "Whoami": ("name:s tags:[s] is_internal_user:b?@4.0 login_session_timeout:i?", "the user who asks"),
    "AuthSettings": ("oauth_enabled:b?@3.11", "how the user interface lets people log in"),
    "Login": ("token:Token? user:Whoami?", ""),
    "Token": ("type:s value:s", "what the Authorization header has to say"),
    "HashedPassword": ("ok:s", "salt and hash, base64"),
    "AuthAttempts": ("protocol:s auth_attempts:i auth_attempts_failed:i auth_attempts_succeeded:i", "logins by protocol"),
    "AuthAttemptsBySource": (
        "protocol:s? remote_address:s? username:s? auth_attempts:i auth_attempts_failed:i auth_attempts_succeeded:i",
        "logins by address and user"),
    "Name": ("name:s", ""),
    "Extension": ("javascript:s?", "a part of the user interface"),
    "Node": (
        "name:s type:s running:b being_drained:b@4.0 os_pid:s partitions:[s] fd_total:i fd_used:i sockets_total:i sockets_used:i "
        "mem_limit:i mem_used:i mem_alarm:b mem_calculation_strategy:s disk_free:i disk_free_limit:i disk_free_alarm:b "
        "proc_total:i proc_used:i run_queue:i processors:i uptime:i rates_mode:s exchange_types:[ExchangeType] "
        "auth_mechanisms:[ExchangeType] applications:[Application] contexts:[Context] log_files:[s] db_dir:s config_files:[s] "
        "net_ticktime:i enabled_plugins:[s] ra_open_file_metrics:RaFiles? rabbitmq_version:s?@4.0 erlang_version:s?@4.0 "
        "erlang_full_version:s?@4.0 crypto_lib_version:s?@4.0 cluster_links:[x] metrics_gc_queue_length:{i} "
        + counted(IO_COUNTERS) + " " + counted(CHURN)
        + " fd_used_details:Rate? sockets_used_details:Rate? mem_used_details:Rate? disk_free_details:Rate? "
        "proc_used_details:Rate? io_read_avg_time:n? io_read_avg_time_details:Rate? io_write_avg_time:n? "
        "io_write_avg_time_details:Rate? io_sync_avg_time:n? io_sync_avg_time_details:Rate? io_seek_avg_time:n? "
        "io_seek_avg_time_details:Rate? "
        "memory:Memory? binary:x?",
        "a node; `os_pid` is a string of digits, `uptime` counts milliseconds"),
    "Application": ("name:s description:s version:s", "a part of the broker"),
    "RaFiles": ("ra_log_wal:i ra_log_segment_writer:i", ""),
    "NodeMemory": ("memory:Memory", "where the memory of a node went, in bytes"),
    "Memory": (memory("i") + " strategy:s total:MemoryTotal", ""),
    "MemoryTotal": ("rss:i allocated:i erlang:i", ""),
    "NodeMemoryRelative": ("memory:MemoryRelative", "the same in percent of the whole"),
    "MemoryRelative": (memory("n") + " total:n", ""),
    "Definitions": (
        "rabbit_version:s rabbitmq_version:s product_name:s? product_version:s? rabbitmq_definition_format:s?@4.0 "
        "original_cluster_name:s?@4.0 explanation:s?@4.0 users:[DefinedUser] vhosts:[DefinedVhost] permissions:[Permission] "
        "topic_permissions:[TopicPermission] parameters:[Parameter] global_parameters:[GlobalParameter] policies:[Policy] "
        "queues:[DefinedQueue] exchanges:[DefinedExchange] bindings:[DefinedBinding]",
        "everything that is declared, to be kept or taken elsewhere"),
    "VhostDefinitions": (
        "rabbit_version:s rabbitmq_version:s?@4.0 product_name:s?@4.0 product_version:s?@4.0 rabbitmq_definition_format:s?@4.0 "
        "original_vhost_name:s?@4.0 explanation:s?@4.0 metadata:VhostMetadata?@4.0 description:s?@4.0 limits:x?@4.0 "
        "parameters:[x] policies:[x] queues:[x] exchanges:[x] bindings:[x]",
        "the same for one virtual host; nothing in it names the virtual host"),
    "DefinedUser": ("name:s password_hash:s hashing_algorithm:s tags:[s] limits:x", ""),
    "DefinedVhost": ("name:s limits:x? metadata:VhostMetadata?", ""),
    "DefinedQueue": ("vhost:s name:s durable:b auto_delete:b arguments:o", ""),
    "DefinedExchange": ("vhost:s name:s type:s durable:b auto_delete:b internal:b? arguments:o", ""),
    "DefinedBinding": ("source:s vhost:s destination:s destination_type:s routing_key:s arguments:o", ""),
    "DefinitionsBody": (
        "users:[x]? vhosts:[x]? permissions:[x]? topic_permissions:[x]? parameters:[x]? global_parameters:[x]? policies:[x]? "
        "queues:[x]? exchanges:[x]? bindings:[x]?", "an export; unknown keys are read over"),

    "ImportReport": ("dry_run:b total:i new:i changed:i same:i ignored:i items:[ImportItem]",
                     "what an import would do (`dry_run=true`); what stays the same is counted only"),
    "ImportItem": ("list:s number:i vhost:s? name:s outcome:new|changed|ignored note:s?", "an item of the file"),
    "Import": ("user:s vhost:s dry_run:b state:reading|applying done:i total:i", "an import under way"),

    # virtual hosts, users, and what they may
    "Vhost": (
        "name:s description:s tags:[s] default_queue_type:s metadata:VhostMetadata protected_from_deletion:b?@4.1 tracing:b "
        "cluster_state:{s} recv_oct:i? recv_oct_details:Rate? send_oct:i? send_oct_details:Rate? message_stats:MessageStats? "
        + counted(LENGTHS), "a virtual host"),
    "VhostMetadata": ("description:s tags:[s] default_queue_type:s?@3.11", ""),
    "VhostBody": ("description:s? tags:s/a? default_queue_type:s? tracing:b/s? protected_from_deletion:b/s?", ""),
    "User": ("name:s password_hash:s hashing_algorithm:s tags:[s] limits:x", "a user; the hash is salted SHA-256 unless it says otherwise"),
    "UserBody": ("password:s? password_hash:s? hashing_algorithm:s? tags:s/a", "an empty hash: no login by password"),
    "Users": ("users:[s]", ""),
    "Permission": ("user:s vhost:s configure:s write:s read:s", "three patterns of names"),
    "PermissionBody": ("configure:s write:s read:s", ""),
    "TopicPermission": ("user:s vhost:s exchange:s write:s read:s", "patterns of routing keys, for a topic exchange"),
    "TopicPermissionBody": ("exchange:s write:s read:s", ""),
    "VhostLimits": ("vhost:s value:o", ""),
    "UserLimits": ("user:s value:o", ""),
    "Value": ("value:x", ""),
    "Policy": ("vhost:s name:s pattern:s apply-to:s definition:o priority:i", "arguments for all objects whose names match"),
    "PolicyBody": ("pattern:s definition:o priority:i? apply-to:s?", ""),
    "Parameter": ("vhost:s component:s name:s value:x", ""),
    "GlobalParameter": ("name:s value:x", ""),

    # what messages pass through
    "Exchange": (
        "name:s vhost:s type:s durable:b auto_delete:b internal:b arguments:o policy:s0? user_who_performed_action:s "
        "message_stats:MessageStats?", "an exchange; the default one has an empty name"),
    "ExchangeDetails": ("incoming:[FromPublisher] outgoing:[ToQueue]", "with the channels that publish to it", "Exchange"),
    "FromPublisher": ("channel_details:x? exchange:Ref? stats:MessageStats", ""),
    "ToQueue": ("queue:Ref? exchange:Ref? stats:MessageStats", ""),
    "ExchangeBody": ("type:s? durable:b/s? auto_delete:b/s? internal:b/s? arguments:x?", "a direct exchange unless it says otherwise"),
    "Queue": (
        "name:s vhost:s type:s durable:b auto_delete:b exclusive:b arguments:o node:s state:s policy:s0 operator_policy:s0 "
        "effective_policy_definition:o messages:i messages_ready:i messages_unacknowledged:i messages_details:Rate "
        "messages_ready_details:Rate messages_unacknowledged_details:Rate messages_ram:i? messages_persistent:i? "
        "messages_ready_ram:i? messages_unacknowledged_ram:i? message_bytes:i? message_bytes_ready:i? "
        "message_bytes_unacknowledged:i? message_bytes_ram:i? message_bytes_persistent:i? messages_dlx:i? message_bytes_dlx:i? "
        "head_message_timestamp:i0? consumers:i consumer_utilisation:n? consumer_capacity:n? exclusive_consumer_tag:s0? "
        "single_active_consumer_tag:s0? memory:i? idle_since:s? storage_version:i? reductions:i? reductions_details:Rate? "
        "garbage_collection:x? internal:b? internal_owner:x? leader:s? members:[s]? online:[s]? open_files:{i}? "
        "delivery_limit:i/s? segments:i? readers:x? first_timestamp:i0? committed_offset:i? owner_pid_details:x? "
        "message_stats:MessageStats?",
        "a queue"),
    "QueueDetails": ("consumer_details:[Consumer] incoming:[FromExchange] deliveries:[ToChannel]",
                     "with its consumers, and what came from which exchange", "Queue"),
    "QueueRow": (
        "name:s vhost:s type:s durable:b auto_delete:b exclusive:b arguments:o node:s state:s messages:i messages_ready:i "
        "messages_unacknowledged:i", "a queue in few words (`disable_stats=true&enable_queue_totals=true`)"),
    "FromExchange": ("exchange:Ref stats:MessageStats", ""),
    "ToChannel": ("channel_details:x stats:MessageStats", ""),
    "QueueBody": ("durable:b/s? auto_delete:b/s? exclusive:b/s? arguments:x? node:s0?", "booleans may come as \"true\" and \"false\""),
    "Binding": ("source:s vhost:s destination:s destination_type:queue|exchange routing_key:s arguments:o properties_key:s",
                "a binding; `properties_key` is its last name in paths"),
    "BindingBody": ("routing_key:s? arguments:x?", ""),
    "PublishBody": ("properties:x routing_key:s payload:s payload_encoding:string|base64", ""),
    "Routed": ("routed:b", "whether a queue has it"),
    "GetBody": ("count:i/s ackmode:ack_requeue_true|ack_requeue_false|reject_requeue_true|reject_requeue_false "
                "encoding:auto|base64 truncate:i/s?", ""),
    "Message": ("payload_bytes:i redelivered:b exchange:s routing_key:s message_count:i properties:x payload:s "
                "payload_encoding:string|base64", "a message that was taken; without properties the object may be an empty array"),
    "Action": ("action:s", ""),

    # who is connected
    "Connection": (
        "name:s node:s user:s user_who_performed_action:s vhost:s state:s protocol:s type:network|direct host:s port:i/s "
        "peer_host:s peer_port:i/s ssl:b ssl_protocol:s0 ssl_key_exchange:s0 ssl_cipher:s0 ssl_hash:s0 peer_cert_subject:s0 "
        "peer_cert_issuer:s0 peer_cert_serial_number:s0?@4.0 peer_cert_validity:s0 auth_mechanism:s timeout:i frame_max:i "
        "channel_max:i channels:i client_properties:o connected_at:i recv_oct:i recv_cnt:i send_oct:i send_cnt:i send_pend:i "
        "recv_oct_details:Rate send_oct_details:Rate reductions:i? reductions_details:Rate? garbage_collection:x? "
        "last_blocked_by:s? last_blocked_age:n? user_provided_name:s?",
        "a connection; times in milliseconds since 1970, `timeout` is the heartbeat in seconds"),
    "ConnectionRow": ("name:s node:s user:s vhost:s", ""),
    "ConnectionRef": ("name:s peer_host:s peer_port:i/s", ""),
    "Channel": (
        "name:s number:i node:s user:s vhost:s connection_details:ConnectionRef state:s confirm:b transactional:b "
        "consumer_count:i prefetch_count:i global_prefetch_count:i messages_unacknowledged:i messages_unconfirmed:i "
        "messages_uncommitted:i acks_uncommitted:i pending_raft_commands:i cached_segments:i?@4.0 idle_since:s? "
        "user_who_performed_action:s reductions:i? reductions_details:Rate? garbage_collection:x? message_stats:MessageStats?",
        "a channel"),
    "ChannelDetails": ("publishes:[ToExchange] deliveries:[FromQueue] consumer_details:[Consumer]", "with what it does", "Channel"),
    "ToExchange": ("exchange:Ref stats:MessageStats", ""),
    "FromQueue": ("queue:Ref stats:MessageStats", ""),
    "Consumer": (
        "consumer_tag:s queue:Ref channel_details:ChannelRef ack_required:b exclusive:b prefetch_count:i active:b "
        "activity_status:s arguments:o consumer_timeout:x@4.2", "a consumer"),
    "ChannelRef": ("name:s number:i connection_name:s node:s peer_host:s peer_port:i/s user:s", ""),
    "Session": ("handle_max:i? next_incoming_id:i? incoming_window:i? next_outgoing_id:i? remote_incoming_window:i? "
                "remote_outgoing_window:i? outgoing_unsettled_map_size:i? incoming_links:[x] outgoing_links:[x]",
                "an AMQP 1.0 session"),

    # features
    "FeatureFlag": ("name:s desc:s doc_url:s state:enabled|disabled|unavailable stability:s provided_by:s", ""),
    "DeprecatedFeature": ("name:s desc:s deprecation_phase:s doc_url:s provided_by:s state:s?", ""),

    # what only this broker has
    "PeekBody": ("from:i? count:i? state:ready|unacked|all? encoding:auto|base64? truncate:i?",
                 "where to begin (0: the head), how many (at most 500), and how much of each"),
    "Peeked": ("messages:[PeekedMessage] next:i0", "messages as they lie in the queue; `next` is where the following page begins, "
               "null at the end"),
    "PeekedMessage": ("position:i state:ready|unacked payload_bytes:i redelivered:b exchange:s routing_key:s properties:x payload:s "
                      "payload_encoding:string|base64", "a message that stays where it is"),
    "RouteBody": ("exchange:s routing_key:s? headers:o?", ""),
    "Routes": ("routed:b queues:[s] bindings:[Binding]", "where a message would go, and by which bindings"),
    "Topology": ("nodes:[TopologyNode] edges:[TopologyEdge]", "a virtual host as a graph"),
    "TopologyNode": ("id:s kind:exchange|queue|consumer name:s type:s? messages:i? rate:n?", ""),
    "TopologyEdge": ("from:s to:s kind:binding|alternate|dead-letter|consumer routing_key:s? arguments:o? rate:n?", ""),
    "LogLevelBody": ("level:s category:s?", "debug, info, notice, warning, error or none"),
    "WatermarkBody": ("fraction:n? absolute:i/s?", "a part of the memory, or bytes"),
    "FreeLimitBody": ("mem_relative:n? absolute:i/s?", "a part of the memory, or bytes"),
}

LIST_QUERY = "columns:s sort:s sort_reverse:b page:i page_size:i name:s use_regex:b pagination:b"
STATS_QUERY = ("disable_stats:b enable_queue_totals:b lengths_age:i lengths_incr:i msg_rates_age:i msg_rates_incr:i data_rates_age:i "
               "data_rates_incr:i node_stats_age:i node_stats_incr:i columns:s")
WITH_STATISTICS = ("Queue", "Exchange", "Connection", "Channel", "Vhost")
DESCRIPTIONS = {
    "columns": "fields to give, separated by commas; a.b for a field within", "sort": "field to sort by",
    "sort_reverse": "largest first", "page": "number of the page, from 1; without it there are no pages",
    "page_size": "rows of a page, 1 to 500", "name": "only objects whose name contains this, in any case",
    "use_regex": "`name` is a regular expression", "pagination": "ignored", "disable_stats": "without rates and statistics",
    "enable_queue_totals": "with the three numbers of messages all the same", "if-unused": "only when nobody uses it",
    "if-empty": "only when it is empty", "download": "name of the file that browsers save", "memory": "with the memory in parts",
    "binary": "ignored", "dry_run": "tell what would change, and change nothing", "topics": "overview, queues, connections, ... separated by commas",
}

# access: who may. `-` everybody, without a login; U users with any of the four tags; M monitoring; P policymaker; V a user
# with access to the virtual host; O the owner, or monitoring; A administrator. Two letters: for reading, and for changing.
ACCESS = {"-": "anyone", "U": "management", "M": "monitoring", "P": "policymaker", "V": "virtual host", "O": "owner", "A": "administrator"}


def get(answer, summary, query="", **more):
    return {"method": "get", "answers": {200: answer}, "summary": summary, "query": query, **more}


def rows(schema, summary, **more):
    return get([schema], summary, LIST_QUERY + (" " + STATS_QUERY if schema in WITH_STATISTICS else ""), **more)


def put(body, summary, **more):
    return {"method": "put", "body": body, "answers": {201: None, 204: None, 400: "Error"}, "summary": summary, **more}


def put_existing(body, summary, **more):
    return {"method": "put", "body": body, "answers": {204: None, 400: "Error"}, "summary": summary, **more}


def delete(summary, query="", **more):
    answers = {204: None, **({400: "Error"} if query else {})}
    return {"method": "delete", "answers": answers, "summary": summary, "query": query, **more}


def post(body, answers, summary, **more):
    return {"method": "post", "body": body, "answers": {**answers, 400: "Error"}, "summary": summary, **more}


def check(summary, answer="Health", **more):
    return {"method": "get", "answers": {200: answer, 503: "Health", **more.pop("answers", {})}, "summary": summary, **more}


# tag, path, access, operations
ROUTES = [
    ("Broker", "/overview", "U", get("Overview", "the broker as a whole", STATS_QUERY)),
    ("Broker", "/version", "-", get("s", "the version", since="4.0")),
    ("Broker", "/whoami", "U", get("Whoami", "the user who asks")),
    ("Broker", "/login", "-", post("form:username:s,password:s", {200: "x", 401: "Error"}, "check a name and password"),
     {"method": "delete", "answers": {204: None, 200: "x"}, "summary": "end the session", "since": "4.1"}),
    ("Broker", "/auth", "-", get("AuthSettings", "how to log in")),
    ("Broker", "/auth/hash_password/{password}", "A", get("HashedPassword", "the hash of a password, for definitions", since="3.11")),
    ("Broker", "/auth/attempts/{node}", "MA", get(["AuthAttempts"], "logins by protocol"), delete("begin to count anew")),
    ("Broker", "/auth/attempts/{node}/source", "MA", get(["AuthAttemptsBySource"], "logins by address and user"),
     delete("begin to count anew")),
    ("Broker", "/cluster-name", "UA", get("Name", "the name of the cluster"), put_existing("Name", "give it another")),
    ("Broker", "/extensions", "U", get(["Extension"], "parts of the user interface")),
    ("Broker", "/nodes", "M", get(["Node"], "the nodes", STATS_QUERY)),
    ("Broker", "/nodes/{node}", "M", get("Node", "a node", STATS_QUERY + " memory:b binary:b")),
    ("Broker", "/nodes/{node}/memory", "M", get("NodeMemory", "its memory in bytes")),
    ("Broker", "/nodes/{node}/memory/relative", "M", get("NodeMemoryRelative", "its memory in percent")),
    ("Broker", "/rebalance/queues", "A", post(None, {204: None}, "spread queues over nodes")),
    ("Broker", "/reset", "A", delete("forget statistics")),
    ("Broker", "/reset/{node}", "A", delete("forget statistics of a node")),
    ("Definitions", "/definitions", "A", get("Definitions", "export; an ETag tells whether it has changed", "download:s columns:s"),
     post("json:DefinitionsBody", {200: "ImportReport", 204: None}, "import", query="dry_run:b")),
    ("Definitions", "/definitions/{vhost}", "A", get("VhostDefinitions", "export a virtual host", "download:s columns:s"),
     post("json:DefinitionsBody", {200: "ImportReport", 204: None}, "import into a virtual host", query="dry_run:b")),

    ("Parameters", "/parameters", "P", rows("Parameter", "parameters")),
    ("Parameters", "/parameters/{component}", "P", rows("Parameter", "parameters of a component")),
    ("Parameters", "/parameters/{component}/{vhost}", "P", rows("Parameter", "of a component in a virtual host")),
    ("Parameters", "/parameters/{component}/{vhost}/{name}", "P", get("Parameter", "a parameter"),
     put("Value", "set it"), delete("remove it")),
    ("Parameters", "/global-parameters", "P", rows("GlobalParameter", "global parameters")),
    ("Parameters", "/global-parameters/{name}", "P", get("GlobalParameter", "a global parameter"),
     put("Value", "set it"), delete("remove it")),
    ("Policies", "/policies", "U", rows("Policy", "policies")),
    ("Policies", "/policies/{vhost}", "V", rows("Policy", "policies of a virtual host")),
    ("Policies", "/policies/{vhost}/{name}", "P", get("Policy", "a policy"), put("PolicyBody", "set it"), delete("remove it")),
    ("Policies", "/operator-policies", "U", rows("Policy", "operator policies")),
    ("Policies", "/operator-policies/{vhost}", "V", rows("Policy", "operator policies of a virtual host")),
    ("Policies", "/operator-policies/{vhost}/{name}", "A", get("Policy", "an operator policy"),
     put("json:PolicyBody", "set it"), delete("remove it")),
    ("Limits", "/vhost-limits", "U", rows("VhostLimits", "limits of virtual hosts")),
    ("Limits", "/vhost-limits/{vhost}", "V", rows("VhostLimits", "limits of a virtual host")),
    ("Limits", "/vhost-limits/{vhost}/{name}", "A",
     put("json:Value", "set max-connections or max-queues", only=204), delete("lift it")),
    ("Limits", "/user-limits", "A", rows("UserLimits", "limits of users")),
    ("Limits", "/user-limits/{user}", "A", rows("UserLimits", "limits of a user")),
    ("Limits", "/user-limits/{user}/{name}", "A",
     put("json:Value", "set max-connections or max-channels", only=204), delete("lift it")),

    ("Clients", "/connections", "U", rows("Connection", "connections")),
    ("Clients", "/connections/{name}", "O", get("Connection", "a connection", STATS_QUERY), delete("close it (header X-Reason: why)")),
    ("Clients", "/connections/{name}/channels", "O", rows("Channel", "its channels")),
    ("Clients", "/connections/{name}/sessions", "O", get(["Session"], "its AMQP 1.0 sessions", since="4.1")),
    ("Clients", "/connections/username/{user}", "O", get(["ConnectionRow"], "connections of a user"), delete("close them")),
    ("Clients", "/channels", "U", rows("Channel", "channels")),
    ("Clients", "/channels/{name}", "O", get("ChannelDetails", "a channel", STATS_QUERY)),
    ("Clients", "/consumers", "U", rows("Consumer", "consumers")),
    ("Clients", "/consumers/{vhost}", "U", rows("Consumer", "consumers in a virtual host")),

    ("Exchanges", "/exchanges", "U", rows("Exchange", "exchanges")),
    ("Exchanges", "/exchanges/{vhost}", "V", rows("Exchange", "exchanges of a virtual host")),
    ("Exchanges", "/exchanges/{vhost}/{exchange}", "V", get("ExchangeDetails", "an exchange", STATS_QUERY),
     put("ExchangeBody", "declare it"), delete("delete it", "if-unused:b")),
    ("Exchanges", "/exchanges/{vhost}/{exchange}/publish", "V", post("PublishBody", {200: "Routed"}, "publish a message")),
    ("Exchanges", "/exchanges/{vhost}/{exchange}/bindings/source", "V", rows("Binding", "bindings from it")),
    ("Exchanges", "/exchanges/{vhost}/{exchange}/bindings/destination", "V", rows("Binding", "bindings to it")),

    ("Queues", "/queues", "U", rows("Queue", "queues")),
    ("Queues", "/queues/detailed", "U", rows("Queue", "queues with everything", since="3.13")),
    ("Queues", "/queues/{vhost}", "V", rows("Queue", "queues of a virtual host")),
    ("Queues", "/queues/{vhost}/{queue}", "V", get("QueueDetails", "a queue", STATS_QUERY), put("QueueBody", "declare it"),
     delete("delete it", "if-empty:b if-unused:b")),
    ("Queues", "/queues/{vhost}/{queue}/bindings", "V", rows("Binding", "bindings to it, the default one among them")),
    ("Queues", "/queues/{vhost}/{queue}/contents", "V", delete("purge it")),
    ("Queues", "/queues/{vhost}/{queue}/get", "V", post("GetBody", {200: ["Message"]}, "take messages")),
    ("Queues", "/queues/{vhost}/{queue}/actions", "A", post("Action", {204: None}, "act on it; there is no action any more")),
    ("Bindings", "/bindings", "U", rows("Binding", "bindings")),
    ("Bindings", "/bindings/{vhost}", "V", rows("Binding", "bindings of a virtual host")),
    ("Bindings", "/bindings/{vhost}/e/{source}/q/{destination}", "V", get(["Binding"], "between an exchange and a queue"),
     post("BindingBody", {201: None}, "bind; the header Location tells the path", location=True)),
    ("Bindings", "/bindings/{vhost}/e/{source}/e/{destination}", "V", get(["Binding"], "between two exchanges"),
     post("BindingBody", {201: None}, "bind; the header Location tells the path", location=True)),
    ("Bindings", "/bindings/{vhost}/e/{source}/q/{destination}/{properties}", "V", get("Binding", "a binding"), delete("unbind")),
    ("Bindings", "/bindings/{vhost}/e/{source}/e/{destination}/{properties}", "V", get("Binding", "a binding"), delete("unbind")),

    ("Virtual hosts", "/vhosts", "U", rows("Vhost", "virtual hosts")),
    ("Virtual hosts", "/vhosts/{vhost}", "VA", get("Vhost", "a virtual host", STATS_QUERY), put("VhostBody", "make it, or change it"),
     delete("delete it with all in it", answers={204: None, 412: "Error"})),
    ("Virtual hosts", "/vhosts/{vhost}/permissions", "A", get(["Permission"], "who may do what in it")),
    ("Virtual hosts", "/vhosts/{vhost}/topic-permissions", "A", get(["TopicPermission"], "the same for topics")),
    ("Virtual hosts", "/vhosts/{vhost}/connections", "V", rows("Connection", "its connections")),
    ("Virtual hosts", "/vhosts/{vhost}/channels", "V", rows("Channel", "its channels")),
    ("Virtual hosts", "/vhosts/{vhost}/deletion/protection", "A",
     post(None, {204: None}, "protect it from deletion", since="4.1"), delete("no longer", since="4.1")),
    ("Virtual hosts", "/vhosts/{vhost}/start/{node}", "A", post(None, {204: None}, "start it on a node")),
    ("Users", "/users", "A", rows("User", "users")),
    ("Users", "/users/without-permissions", "A", get(["User"], "users who may nothing")),
    ("Users", "/users/bulk-delete", "A", post("Users", {204: None}, "delete many")),
    ("Users", "/users/{user}", "A", get("User", "a user"), put("UserBody", "make or change it"), delete("delete it")),
    ("Users", "/users/{user}/permissions", "A", get(["Permission"], "what it may where")),
    ("Users", "/users/{user}/topic-permissions", "A", get(["TopicPermission"], "the same for topics")),
    ("Users", "/permissions", "A", rows("Permission", "permissions")),
    ("Users", "/permissions/{vhost}/{user}", "A", get("Permission", "of a user in a virtual host"), put("PermissionBody", "set them"),
     delete("take them away")),
    ("Users", "/topic-permissions", "A", rows("TopicPermission", "topic permissions")),
    ("Users", "/topic-permissions/{vhost}/{user}", "A", get(["TopicPermission"], "of a user in a virtual host"),
     put("TopicPermissionBody", "set them for an exchange"), delete("take them away")),
    ("Users", "/topic-permissions/{vhost}/{user}/{exchange}", "A", get("x", "those for an exchange"),
     put("TopicPermissionBody", "set them"), delete("take those for an exchange away")),

    ("Features", "/feature-flags", "UA", get(["FeatureFlag"], "feature flags")),
    ("Features", "/feature-flags/{name}/enable", "A",
     {"method": "put", "body": "json:o", "answers": {204: None, 400: "Error"}, "summary": "enable one"}),
    ("Features", "/deprecated-features", "U", get(["DeprecatedFeature"], "what will go", since="3.12")),
    ("Features", "/deprecated-features/used", "U", get(["DeprecatedFeature"], "what of that is in use", since="3.12")),

    ("Health", "/aliveness-test/{vhost}", "V", check("nothing: kept for old tools", "Status")),
    ("Health", "/healthchecks/node", "U", check("nothing: kept for old tools", "Status")),
    ("Health", "/healthchecks/node/{node}", "U", check("nothing: kept for old tools", "Status")),
    ("Health", "/health/checks/alarms", "U", check("no alarm anywhere")),
    ("Health", "/health/checks/local-alarms", "U", check("no alarm on this node")),
    ("Health", "/health/checks/virtual-hosts", "U", check("all virtual hosts run")),
    ("Health", "/health/checks/node-is-quorum-critical", "U", check("no queue would lose its majority with this node")),
    ("Health", "/health/checks/metadata-store/initialized", "U", check("the metadata is there", since="4.1")),
    ("Health", "/health/checks/metadata-store/initialized/with-data", "U", check("and not empty", since="4.1")),
    ("Health", "/health/checks/port-listener/{port}", "U", check("something listens on the port", "PortOk", answers={400: "Error"})),
    ("Health", "/health/checks/protocol-listener/{protocols}", "U", check("something speaks the protocol", "ProtocolOk")),
    ("Health", "/health/checks/certificate-expiration/{within}/{unit}", "U",
     check("no certificate expires soon", answers={400: "Error"})),
    ("Health", "/health/checks/quorum-queues-without-elected-leaders/all-vhosts", "U",
     check("every quorum queue has a leader", since="4.1")),
    ("Health", "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}", "U",
     check("the same in a virtual host", since="4.1")),
    ("Health", "/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", "U",
     check("the same for names that match", since="4.1")),
    ("Health", "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", "U",
     check("both", since="4.1")),
    ("Health", "/health/checks/is-in-service", "-", check("the node is not being drained", since="4.1")),
    ("Health", "/health/checks/below-node-connection-limit", "-", check("one more connection is possible", since="4.1")),
    ("Health", "/health/checks/ready-to-serve-clients", "-", check("clients can be served", since="4.1")),
    ("Health", "/health/checks/reached-target-cluster-size", "-", check("all nodes are there", since="4.1")),

    ("Plugins", "/federation-links", "M", rows("x", "links of federations: there is none", since="plugin")),
    ("Plugins", "/federation-links/{vhost}", "M", rows("x", "those of a virtual host", since="plugin")),
    ("Plugins", "/federation-links/state/down", "M", rows("x", "those that are down", since="plugin")),
    ("Plugins", "/federation-links/{vhost}/state/down", "M", rows("x", "both", since="plugin")),
    ("Plugins", "/shovels", "M", rows("x", "shovels: there is none", since="plugin")),
    ("Plugins", "/shovels/{vhost}", "M", rows("x", "those of a virtual host", since="plugin")),
    ("Plugins", "/stream/connections", "U", rows("x", "clients of the stream protocol: there is none", since="plugin")),
    ("Plugins", "/stream/connections/{vhost}", "V", rows("x", "those of a virtual host", since="plugin")),
    ("Plugins", "/stream/publishers", "U", rows("x", "what they publish", since="plugin")),
    ("Plugins", "/stream/publishers/{vhost}", "V", rows("x", "the same in a virtual host", since="plugin")),
    ("Plugins", "/stream/publishers/{vhost}/{queue}", "V", rows("x", "the same to a stream", since="plugin")),
    ("Plugins", "/stream/consumers", "U", rows("x", "what they consume", since="plugin")),
    ("Plugins", "/stream/consumers/{vhost}", "V", rows("x", "the same in a virtual host", since="plugin")),

    ("Leveret", "/openapi.json", "-", get("o", "this description", since="never")),
    ("Leveret", "/x/imports", "A", get(["Import"], "imports of definitions under way", since="never")),
    ("Leveret", "/x/live", "U", {"method": "get", "answers": {200: "events", 400: "Error"}, "query": "topics:s", "since": "never",
                                 "summary": "what changes, as server-sent events"}),
    ("Leveret", "/x/queues/{vhost}/{queue}/peek", "V",
     post("PeekBody", {200: "Peeked"}, "look at messages without taking them", since="never")),
    ("Leveret", "/x/route/{vhost}", "V", post("RouteBody", {200: "Routes"}, "where a message would go", since="never")),
    ("Leveret", "/x/topology/{vhost}", "V", get("Topology", "exchanges, queues and consumers as a graph", since="never")),
    ("Leveret", "/x/node/rotate-logs", "A", post(None, {204: None}, "open the log file anew", since="never")),
    ("Leveret", "/x/node/reload", "A", post(None, {200: "o", 204: None}, "read the configuration anew", since="never")),
    ("Leveret", "/x/node/stop", "A", post(None, {202: None, 204: None}, "stop the broker", since="never")),
    ("Leveret", "/x/node/log-level", "A", put_existing("LogLevelBody", "set the level of the log", since="never")),
    ("Leveret", "/x/node/memory-high-watermark", "A", put_existing("WatermarkBody", "set when memory is short", since="never")),
    ("Leveret", "/x/node/disk-free-limit", "A", put_existing("FreeLimitBody", "set when the disk is full", since="never")),
]


def query_parameter(field):
    name, word = field.split(":")
    entry = {"name": name, "in": "query", "schema": schema_of(word)}
    if name in DESCRIPTIONS:
        entry["description"] = DESCRIPTIONS[name]
    return entry


def parameters_of(path, query):
    found = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
             for name in re.findall(r"{(\w+)}", path)]
    return found + [{"$ref": f"#/components/parameters/{name}"}
                    for name in dict.fromkeys(field.split(":")[0] for field in query.split())]


def body_of(word):
    if word.startswith("form:"):
        content = {"application/x-www-form-urlencoded": {"schema": object_of(word[5:].replace(",", " "))}}
    elif word.startswith("json:"):
        content = {"application/json": {"schema": schema_of(word[5:])}}
    else:
        content = {"*/*": {"schema": schema_of(word)}}
    return {"content": content}


def answer_of(status, answer, operation):
    if answer == "Error":
        return {"$ref": f"#/components/responses/{status}"}
    if answer is None:
        result = {"description": TEXTS.get(status, "done")}
        if operation.get("location"):
            result["headers"] = {"Location": {"schema": {"type": "string"}, "description": "relative path of the binding"}}
        return result
    if answer == "events":
        return {"description": "a stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    if isinstance(answer, list):
        schema = schema_of(f"[{answer[0]}]")
        if "page:i" in operation.get("query", ""):
            page = {"allOf": [{"$ref": "#/components/schemas/Page"}, {"type": "object", "required": ["items"],
                                                                   "properties": {"items": schema}}]}
            schema = {"oneOf": [schema, page]}
    else:
        schema = schema_of(answer)
    return {"description": TEXTS.get(status, "done"), "content": {"application/json": {"schema": schema}}}


TEXTS = {200: "the answer", 201: "made", 202: "begun", 204: "done", 400: "the request is wrong", 401: "not allowed",
         404: "there is no such object", 412: "it is protected", 503: "the check failed"}


def access_of(letters, method):
    letter = letters[0] if method == "get" else letters[-1]
    return ACCESS[letter]


def operation_of(tag, path, letters, operation):
    answers = dict(operation["answers"])
    if "only" in operation:
        answers.pop(201, None)
    access = access_of(letters, operation["method"])
    if access != "anyone":
        answers.setdefault(401, "Error")
    if "{" in path:
        answers.setdefault(404, "Error")
    words = re.sub(r"[{}]", "", path).strip("/").replace("/", " ").replace("-", " ").title().replace(" ", "")
    result = {
        "tags": [tag], "operationId": operation["method"] + words.replace(".", ""), "summary": operation["summary"],
        "x-access": access,
        "responses": {str(status): answer_of(status, answers[status], operation if status in operation["answers"] else {})
                      for status in sorted(answers)},
    }
    if access == "anyone":
        result["security"] = []
    if "since" in operation:
        result["x-rabbitmq-since"] = operation["since"]
    parameters = parameters_of(path, operation.get("query", ""))
    if parameters:
        result["parameters"] = parameters
    if operation.get("body"):
        result["requestBody"] = body_of(operation["body"])
    return result


def document():
    paths, schemas, parameters = {}, {}, {}
    for tag, path, letters, *operations in ROUTES:
        for field in " ".join(op.get("query", "") for op in operations).split():
            parameters[field.split(":")[0]] = query_parameter(field)
        paths["/api" + path] = {op["method"]: operation_of(tag, path, letters, op) for op in operations}
    for name, (fields, description, *bases) in SCHEMAS.items():
        schemas[name] = object_of(fields, bases)
        if description:
            schemas[name]["description"] = description
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leveret management API", "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description":
                "The management HTTP API of RabbitMQ 4, and under /api/x what only Leveret has. Names in paths are percent-encoded; "
                "the virtual host / is %2F. One slash at the end of a path is ignored. HEAD and OPTIONS are answered wherever GET "
                "is; a method that a path does not have is answered by 405 and the header Allow. An empty body and `null` count "
                "as {}. Wrong or missing permission is 401, never 403. `x-access` tells who may; `x-rabbitmq-since` which RabbitMQ "
                "has it, `never` if none has, `plugin` if one needs another plugin for it.",
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters,
            "responses": {str(status): {"description": TEXTS[status],
                                        "content": {"application/json": {"schema": schema_of("Error")}}}
                          for status in (400, 401, 404, 412)},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def layout(value, margin="", used=0):
    """JSON, with what fits into a line in one line; `used` columns of it are taken."""
    line = json.dumps(value)
    if used + len(line) <= 118 or not isinstance(value, (dict, list)):
        return line
    inner = margin + " "
    if isinstance(value, dict):
        names = [inner + json.dumps(key) + ": " for key in value]
        parts = [name + layout(part, inner, len(name)) for name, part in zip(names, value.values())]
        return "{\n" + ",\n".join(parts) + "\n" + margin + "}"
    return "[\n" + ",\n".join(inner + layout(part, inner, len(inner)) for part in value) + "\n" + margin + "]"


print(layout(document()))

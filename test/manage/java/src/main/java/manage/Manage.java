package manage;

import com.rabbitmq.http.client.Client;
import com.rabbitmq.http.client.GetAckMode;
import com.rabbitmq.http.client.GetEncoding;
import com.rabbitmq.http.client.domain.*;
import java.util.List;
import java.util.Map;

/** The Java HTTP client (hop). VHOST, QUEUE and EXCHANGE name what is there already. */
public final class Manage {
    private interface Check {
        void run() throws Exception;
    }

    private static void check(String name, Check body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Throwable why) {
            System.out.println("not ok " + name + ": " + String.valueOf(why).replace('\n', ' '));
        }
    }

    private static void same(Object wanted, Object got) {
        if (!wanted.equals(got)) {
            throw new AssertionError(got + ", not " + wanted);
        }
    }

    private static void isTrue(boolean what) {
        if (!what) {
            throw new AssertionError("not so");
        }
    }

    public static void main(String[] args) throws Exception {
        String vhost = System.getenv("VHOST");
        String queue = System.getenv("QUEUE");
        String exchange = System.getenv("EXCHANGE");
        String own = "hop " + ProcessHandle.current().pid();
        String user = own + " user";
        Client client = new Client(System.getenv("HTTP_URL"));

        check("overview", () -> {
            OverviewResponse overview = client.getOverview();
            isTrue(overview.getServerVersion() != null || overview.getClusterName() != null);
            isTrue(overview.getObjectTotals().getQueues() > 0);
            isTrue(!overview.getListeners().isEmpty());
        });
        check("aliveness", () -> isTrue(client.alivenessTest("/")));
        check("whoami", () -> {
            same("guest", client.whoAmI().getName());
            same(List.of("administrator"), client.whoAmI().getTags());
        });
        check("nodes", () -> {
            NodeInfo node = client.getNodes().get(0);
            isTrue(node.isRunning() && node.getUptime() > 0);
            same(node.getName(), client.getNode(node.getName()).getName());
        });
        check("connections", () -> {
            ConnectionInfo row = client.getConnections().stream().filter(c -> vhost.equals(c.getVhost())).findFirst().get();
            ConnectionInfo one = client.getConnection(row.getName());
            same("guest", one.getUser());
            same("the world", one.getClientProperties().getConnectionName());
            isTrue(!client.getConnectionsOfUser("guest").isEmpty());
            isTrue(client.getConnections(new QueryParameters().pagination().pageSize(10).query()).getTotalCount() > 0);
        });
        check("channels", () -> {
            ChannelInfo row = client.getChannels().stream().filter(c -> vhost.equals(c.getVhost())).findFirst().get();
            same(row.getName(), client.getChannel(row.getName()).getName());
            isTrue(!client.getChannels(row.getConnectionDetails().getName()).isEmpty());
        });
        check("consumers", () -> {
            same("worker-1", client.getConsumers(vhost).get(0).getConsumerTag());
            isTrue(client.getConsumers().stream().anyMatch(c -> queue.equals(c.getQueueDetails().getName())));
        });
        check("vhosts", () -> {
            client.createVhost(own, "described", "one", "two");
            same("described", client.getVhost(own).getDescription());
            same(List.of("one", "two"), client.getVhost(own).getTags());
            isTrue(client.getVhosts().stream().anyMatch(v -> own.equals(v.getName())));
        });
        check("users and permissions", () -> {
            client.createUser(user, "secret".toCharArray(), List.of("management"));
            same(List.of("management"), client.getUser(user).getTags());
            client.updateUser(user, "secret".toCharArray(), List.of("monitoring"));
            UserPermissions permissions = new UserPermissions();
            permissions.setConfigure("^c");
            permissions.setRead("^r");
            permissions.setWrite("^w");
            client.updatePermissions(own, user, permissions);
            same("^w", client.getPermissions(own, user).getWrite());
            same(1, client.getPermissionsOf(user).size());
            isTrue(!client.getPermissionsIn(own).isEmpty());
            client.clearPermissions(own, user);
            client.deleteUser(user);
            isTrue(client.getUser(user) == null);
        });
        check("topic permissions", () -> {
            TopicPermissions topic = new TopicPermissions();
            topic.setExchange("amq.topic");
            topic.setRead("^r");
            topic.setWrite("^w");
            client.updateTopicPermissions(own, "guest", topic);
            same("^r", client.getTopicPermissions(own, "guest").get(0).getRead());
            client.clearTopicPermissions(own, "guest");
        });
        check("exchanges", () -> {
            client.declareExchange(own, "x", new ExchangeInfo("topic", true, false));
            same("topic", client.getExchange(own, "x").getType());
            isTrue(client.getExchanges(vhost).stream().anyMatch(x -> exchange.equals(x.getName())));
            isTrue(client.getExchanges(new QueryParameters().pagination().pageSize(10).query()).getPageSize() == 10);
        });
        check("queues", () -> {
            client.declareQueue(own, "q", new QueueInfo(true, false, false, Map.of("x-max-length", 10)));
            QueueInfo info = client.getQueue(own, "q");
            same(10, info.getArguments().get("x-max-length"));
            isTrue(info.isDurable());
            isTrue(client.getQueues(vhost).stream().anyMatch(q -> queue.equals(q.getName())));
            isTrue(client.getQueues(vhost, new QueryParameters().pagination().pageSize(10).query()).getFilteredCount() > 0);
            isTrue(client.getQueue(own, "nosuch") == null);
        });
        check("details of a queue", () -> {
            QueueInfo info = client.getQueue(vhost, queue);
            same(1, info.getConsumerDetails().size());
            same(5L, info.getTotalMessages());
        });
        check("bindings", () -> {
            client.bindQueue(own, "q", "x", "k.#", Map.of("n", 1));
            BindingInfo binding = client.getQueueBindingsBetween(own, "x", "q").get(0);
            same("k.#", binding.getRoutingKey());
            same(1, client.getBindingsBySource(own, "x").size());
            same(2, client.getQueueBindings(own, "q").size());
            client.bindExchange(own, "amq.fanout", "x", "k");
            same(1, client.getExchangeBindingsBetween(own, "x", "amq.fanout").size());
            client.unbindExchange(own, "amq.fanout", "x", "k");
            same(0, client.getExchangeBindingsBetween(own, "x", "amq.fanout").size());
        });
        check("publish and get", () -> {
            isTrue(client.publish(own, "x", "k.1", new OutboundMessage().payload("hello")));
            isTrue(!client.publish(own, "x", "nosuch", new OutboundMessage().payload("hello")));
            InboundMessage message = client.get(own, "q", 1, GetAckMode.ACK_REQUEUE_FALSE, GetEncoding.AUTO).get(0);
            same("hello", message.getPayload());
            client.purgeQueue(own, "q");
        });
        check("policies", () -> {
            PolicyInfo policy = new PolicyInfo("^q", 2, "queues", Map.of("max-length", 5));
            client.declarePolicy(own, "p", policy);
            same(2, client.getPolicies(own).get(0).getPriority());
            client.deletePolicy(own, "p");
            client.declareOperatorPolicy(own, "p", policy);
            same("p", client.getOperatorPolicies(own).get(0).getName());
            client.deleteOperatorPolicy(own, "p");
        });
        check("limits", () -> {
            client.limitMaxNumberOfQueues(own, 7);
            same(7, client.getVhostLimits(own).getMaxQueues());
            client.clearMaxQueuesLimit(own);
        });
        check("cluster name and definitions", () -> {
            String name = client.getClusterName().getName();
            client.setClusterName(name);
            isTrue(client.getDefinitions().getQueues().stream().anyMatch(q -> queue.equals(q.getName())));
            isTrue(client.getExtensions() != null);
        });
        check("global parameter", () -> {
            client.setMqttPortToVhostMapping(Map.of(1883, own));
            same(own, client.getMqttPortToVhostMapping().getValue().get(1883));
            client.deleteMqttPortToVhostMapping();
        });
        check("errors", () -> {
            try {
                client.declareQueue(own, "q", new QueueInfo(false, false, false));
                throw new AssertionError("not refused");
            } catch (RuntimeException refused) {
                isTrue(String.valueOf(refused).contains("400"));
            }
        });
        check("deletions", () -> {
            client.deleteQueue(own, "q");
            client.deleteExchange(own, "x");
            client.deleteVhost(own);
            isTrue(client.getVhost(own) == null);
        });
        System.exit(0);
    }
}

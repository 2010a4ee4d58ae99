package interop;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.CancelCallback;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DeliverCallback;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.Method;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcClientParams;
import com.rabbitmq.client.RpcServer;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Checks of the broker with the Java client. Takes AMQP_URL; prints a line a check. */
public final class Interop {
    private static final int PATIENCE_S = 5;
    private static final CancelCallback IGNORE_CANCEL = tag -> { };
    private static final ExecutorService threads = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });
    private static final String url = System.getenv("AMQP_URL");
    private static int names;
    private static boolean failed;

    private interface Check {
        void run(Connection connection) throws Exception;
    }

    private interface Call {
        void run(Channel channel) throws Exception;
    }

    private static void check(String name, Check body) {
        Future<?> result = threads.submit(() -> {
            Connection connection = factory().newConnection();
            try {
                body.run(connection);
            } finally {
                connection.abort(2000);
            }
            return null;
        });
        try {
            result.get(15, TimeUnit.SECONDS);
            System.out.println("ok " + name);
        } catch (Exception e) {
            Throwable why = e;
            while (why.getCause() != null) {
                why = why.getCause();
            }
            failed = true;
            System.out.println("not ok " + name + ": " + String.valueOf(why).replaceAll("\\s+", " "));
        }
    }

    private static ConnectionFactory factory() throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        factory.setConnectionTimeout(PATIENCE_S * 1000);
        factory.setHandshakeTimeout(PATIENCE_S * 1000);
        factory.setChannelRpcTimeout(PATIENCE_S * 1000);
        factory.setAutomaticRecoveryEnabled(false);
        return factory;
    }

    private static void expect(boolean condition, Object what) {
        if (!condition) {
            throw new AssertionError(String.valueOf(what));
        }
    }

    private static void same(Object expected, Object got) {
        expect(expected.equals(got), "expected " + expected + ", got " + got);
    }

    private static synchronized String unique(String what) {
        names++;
        return what + ".java." + ProcessHandle.current().pid() + "." + names;
    }

    /** The call must end its channel, or the connection, with this code. */
    private static String refused(Connection connection, int code, Call call) throws Exception {
        Channel channel = connection.createChannel();
        CompletableFuture<ShutdownSignalException> closed = new CompletableFuture<>();
        channel.addShutdownListener(closed::complete);
        try {
            call.run(channel);
        } catch (IOException | AlreadyClosedException e) {
            // The reason is in the signal.
        }
        Method reason = closed.get(PATIENCE_S, TimeUnit.SECONDS).getReason();
        if (reason instanceof AMQP.Channel.Close) {
            AMQP.Channel.Close close = (AMQP.Channel.Close) reason;
            expect(close.getReplyCode() == code, close);
            return close.getReplyText();
        }
        AMQP.Connection.Close close = (AMQP.Connection.Close) reason;
        expect(close.getReplyCode() == code, close);
        return close.getReplyText();
    }

    /** An exclusive queue that the broker names. */
    private static String ownQueue(Channel channel) throws IOException {
        return channel.queueDeclare("", false, true, false, null).getQueue();
    }

    private static void publish(Channel channel, String exchange, String key, String body)
            throws IOException {
        channel.basicPublish(exchange, key, null, body.getBytes());
    }

    private static GetResponse take(Channel channel, String queue, boolean autoAck) throws Exception {
        for (int i = 0; i < 100 * PATIENCE_S; i++) {
            GetResponse message = channel.basicGet(queue, autoAck);
            if (message != null) {
                return message;
            }
            Thread.sleep(10);
        }
        throw new AssertionError("nothing in " + queue);
    }

    private static String takeText(Channel channel, String queue) throws Exception {
        return new String(take(channel, queue, true).getBody());
    }

    private static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck)
            throws IOException {
        BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        DeliverCallback add = (tag, delivery) -> deliveries.add(delivery);
        channel.basicConsume(queue, autoAck, add, IGNORE_CANCEL);
        return deliveries;
    }

    private static Delivery next(BlockingQueue<Delivery> deliveries) throws Exception {
        Delivery delivery = deliveries.poll(PATIENCE_S, TimeUnit.SECONDS);
        expect(delivery != null, "no delivery");
        return delivery;
    }

    private static long tag(Delivery delivery) {
        return delivery.getEnvelope().getDeliveryTag();
    }

    private static String text(Delivery delivery) {
        return new String(delivery.getBody());
    }

    /** A relay to the broker whose sockets can be cut. */
    private static final class Cable implements AutoCloseable {
        private final ServerSocket server = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        private final List<Socket> sockets = new CopyOnWriteArrayList<>();
        private final URI broker = new URI(url);

        Cable() throws Exception {
            threads.submit(() -> {
                while (true) {
                    Socket near = server.accept();
                    Socket far = new Socket(broker.getHost(), broker.getPort());
                    sockets.addAll(Arrays.asList(near, far));
                    threads.submit(() -> copy(near, far));
                    threads.submit(() -> copy(far, near));
                }
            });
        }

        private static Void copy(Socket from, Socket to) throws IOException {
            try (InputStream in = from.getInputStream(); OutputStream out = to.getOutputStream()) {
                in.transferTo(out);
            }
            return null;
        }

        void cut() throws IOException {
            for (Socket socket : sockets) {
                socket.close();
            }
            sockets.clear();
        }

        @Override
        public void close() throws IOException {
            server.close();
            cut();
        }
    }

    private static void connecting() {
        check("connect", connection -> {
            Map<String, Object> properties = connection.getServerProperties();
            same("RabbitMQ", properties.get("product").toString());
            expect(((Map<?, ?>) properties.get("capabilities")).size() == 9, properties);
            same(2047, connection.getChannelMax());
            same(131072, connection.getFrameMax());
        });
        check("wrong password is 403", connection -> {
            ConnectionFactory factory = factory();
            factory.setPassword("wrong");
            try {
                factory.newConnection();
                throw new AssertionError("let in");
            } catch (AuthenticationFailureException e) {
                expect(e.getMessage().startsWith("ACCESS_REFUSED - Login was refused"), e);
            }
        });
        check("missing vhost is 530", connection -> {
            ConnectionFactory factory = factory();
            factory.setVirtualHost("nowhere");
            try {
                factory.newConnection();
                throw new AssertionError("let in");
            } catch (IOException e) {
                expect(e.getCause().getMessage().contains("vhost nowhere not found"), e.getCause());
            }
        });
        check("small frames", connection -> {
            ConnectionFactory factory = factory();
            factory.setRequestedFrameMax(8192);
            factory.setRequestedChannelMax(4);
            try (Connection small = factory.newConnection()) {
                Channel channel = small.createChannel();
                String queue = ownQueue(channel);
                byte[] body = new byte[100000];
                channel.basicPublish("", queue, null, body);
                expect(Arrays.equals(body, take(channel, queue, true).getBody()), "body");
            }
        });
        check("heartbeats", connection -> {
            ConnectionFactory factory = factory();
            factory.setRequestedHeartbeat(1);
            try (Connection beating = factory.newConnection()) {
                same(1, beating.getHeartbeat());
                Thread.sleep(3200);
                expect(beating.isOpen(), "closed");
                beating.createChannel();
            }
        });
        check("many channels", connection -> {
            Channel first = connection.createChannel();
            String queue = ownQueue(first);
            for (int i = 0; i < 200; i++) {
                publish(connection.createChannel(), "", queue, "x");
            }
            for (int i = 0; i < 200; i++) {
                take(first, queue, true);
            }
        });
        check("connection comes back after its socket was cut", connection -> {
            try (Cable cable = new Cable()) {
                ConnectionFactory factory = factory();
                factory.setHost("127.0.0.1");
                factory.setPort(cable.server.getLocalPort());
                factory.setAutomaticRecoveryEnabled(true);
                factory.setNetworkRecoveryInterval(200);
                CountDownLatch back = new CountDownLatch(1);
                try (Connection robust = factory.newConnection()) {
                    ((Recoverable) robust).addRecoveryListener(new RecoveryListener() {
                        @Override
                        public void handleRecovery(Recoverable recoverable) {
                            back.countDown();
                        }

                        @Override
                        public void handleRecoveryStarted(Recoverable recoverable) { }
                    });
                    Channel channel = robust.createChannel();
                    String queue = ownQueue(channel);
                    channel.queueBind(queue, "amq.topic", "java.recovery.#");
                    BlockingQueue<Delivery> deliveries = consume(channel, queue, true);
                    cable.cut();
                    expect(back.await(PATIENCE_S, TimeUnit.SECONDS), "not recovered");
                    publish(channel, "amq.topic", "java.recovery.done", "after");
                    same("after", text(next(deliveries)));
                }
            }
        });
    }

    private static void declaring() {
        check("declare every kind", connection -> {
            Channel channel = connection.createChannel();
            for (String type : List.of("direct", "fanout", "topic", "headers")) {
                String exchange = unique("x");
                channel.exchangeDeclare(exchange, type, false, false, null);
                channel.exchangeDeclarePassive(exchange);
                channel.exchangeDelete(exchange);
            }
            for (int flags = 0; flags < 8; flags++) {
                String queue = unique("q");
                AMQP.Queue.DeclareOk ok = channel.queueDeclare(queue, (flags & 1) != 0,
                        (flags & 2) != 0, (flags & 4) != 0, Map.of("x-message-ttl", 60000));
                expect(ok.getMessageCount() == 0 && ok.getConsumerCount() == 0, ok);
                same(queue, channel.queueDeclarePassive(queue).getQueue());
                channel.queueDelete(queue);
            }
            expect(ownQueue(channel).startsWith("amq.gen-"), "server-named");
        });
        check("refusals close only their channel", connection -> {
            Channel good = connection.createChannel();
            String queue = unique("q");
            good.queueDeclare(queue, false, true, false, null);
            same("NOT_FOUND - no queue 'interop.missing' in vhost '/'",
                    refused(connection, 404, ch -> ch.queueDeclarePassive("interop.missing")));
            refused(connection, 404, ch -> ch.exchangeDeclarePassive("interop.missing"));
            refused(connection, 404, ch -> publish(ch, "interop.missing", "", "x"));
            refused(connection, 406, ch -> ch.queueDeclare(queue, false, true, true, null));
            refused(connection, 406, ch -> ch.exchangeDeclare("amq.direct", "topic", true));
            refused(connection, 403, ch -> ch.queueBind(queue, "", "key"));
            refused(connection, 403, ch -> ch.exchangeDeclare("amq.mine", "direct"));
            refused(connection, 406, ch -> ch.basicAck(9, false));
            good.basicConsume(queue, true, "", false, true, null, (tag, d) -> { }, IGNORE_CANCEL);
            refused(connection, 403, ch -> consume(ch, queue, true));
            publish(good, "", queue, "still");
        });
        check("locked queue is 405", connection -> {
            String queue = ownQueue(connection.createChannel());
            try (Connection other = factory().newConnection()) {
                refused(other, 405, ch -> ch.queueDeclarePassive(queue));
                refused(other, 405, ch -> ch.basicGet(queue, true));
            }
        });
        check("consumer tag twice is 530 of the connection", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            refused(connection, 530, ch -> {
                ch.basicConsume(queue, true, "same", (tag, d) -> { }, IGNORE_CANCEL);
                ch.basicConsume(queue, true, "same", (tag, d) -> { }, IGNORE_CANCEL);
            });
            expect(!connection.isOpen(), "connection still open");
        });
        check("delete conditions are 406", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            publish(channel, "", queue, "x");
            refused(connection, 406, ch -> ch.queueDelete(queue, false, true));
            consume(channel, queue, false);
            refused(connection, 406, ch -> ch.queueDelete(queue, true, false));
            same(0, channel.queueDelete("interop.missing").getMessageCount());
        });
    }

    private static void messages() {
        check("properties and headers round trip", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            Map<String, Object> headers = new HashMap<>();
            headers.put("bool", true);
            headers.put("byte", (byte) -8);
            headers.put("short", (short) -300);
            headers.put("int", -70000);
            headers.put("long", -5000000000L);
            headers.put("float", 0.5f);
            headers.put("double", 1.25);
            headers.put("decimal", new BigDecimal("3.14"));
            headers.put("date", new Date(1767225600000L));
            headers.put("null", null);
            headers.put("list", List.of(1, 2L, false));
            headers.put("table", Map.of("inner", Map.of("deep", 1)));
            AMQP.BasicProperties sent = new AMQP.BasicProperties("text/plain", "utf-8", headers, 2, 3, "c",
                    "r", "60000", "m", new Date(1767225600000L), "t", "guest", "a", "k");
            channel.basicPublish("", queue, sent, "body".getBytes());
            GetResponse got = take(channel, queue, true);
            same(sent, got.getProps());
            same("body", new String(got.getBody()));
        });
        check("string and bytes headers", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            channel.basicPublish("", queue, new AMQP.BasicProperties.Builder()
                    .headers(Map.of("text", "ß", "bytes", new byte[] {0, -1})).build(), new byte[0]);
            Map<String, Object> got = take(channel, queue, true).getProps().getHeaders();
            same("ß", got.get("text").toString());
            expect(Arrays.equals(new byte[] {0, -1}, (byte[]) got.get("bytes")), "bytes");
        });
        check("large bodies", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            for (int size : new int[] {1 << 20, (16 << 20) - 1}) {
                byte[] body = new byte[size];
                Arrays.fill(body, (byte) 'z');
                channel.basicPublish("", queue, null, body);
                expect(Arrays.equals(body, take(channel, queue, true).getBody()), size);
            }
        });
        check("routing by every kind of exchange", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            channel.queueBind(queue, "amq.direct", "java.key");
            channel.queueBind(queue, "amq.topic", "java.*.x.#");
            channel.queueBind(queue, "amq.headers", "", Map.of("x-match", "all", "java", "yes"));
            publish(channel, "amq.direct", "java.key", "direct");
            publish(channel, "amq.direct", "java.other", "no");
            publish(channel, "amq.topic", "java.1.x", "topic");
            publish(channel, "amq.topic", "java.1", "no");
            channel.basicPublish("amq.headers", "", new AMQP.BasicProperties.Builder()
                    .headers(Map.of("java", "yes")).build(), "headers".getBytes());
            for (String expected : List.of("direct", "topic", "headers")) {
                same(expected, takeText(channel, queue));
            }
            expect(channel.basicGet(queue, true) == null, "one too many");
        });
        check("exchange bindings and alternate exchange", connection -> {
            Channel channel = connection.createChannel();
            String source = unique("s");
            String target = unique("t");
            String rest = unique("r");
            channel.exchangeDeclare(rest, "fanout", false, true, null);
            channel.exchangeDeclare(source, "direct", false, false, Map.of("alternate-exchange", rest));
            channel.exchangeDeclare(target, "fanout", false, true, true, null);
            channel.exchangeBind(target, source, "in");
            String inside = ownQueue(channel);
            String outside = ownQueue(channel);
            channel.queueBind(inside, target, "");
            channel.queueBind(outside, rest, "");
            publish(channel, source, "in", "in");
            publish(channel, source, "out", "out");
            same("in", takeText(channel, inside));
            same("out", takeText(channel, outside));
            channel.exchangeUnbind(target, source, "in");
            channel.exchangeDelete(source);
        });
    }

    private static void consuming() {
        check("consume with prefetch, ack, nack, reject", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            for (String body : List.of("1", "2", "3", "4")) {
                publish(channel, "", queue, body);
            }
            channel.basicQos(2);
            BlockingQueue<Delivery> deliveries = consume(channel, queue, false);
            Delivery first = next(deliveries);
            Delivery second = next(deliveries);
            same("12", text(first) + text(second));
            expect(deliveries.poll(60, TimeUnit.MILLISECONDS) == null, "prefetch");
            channel.basicAck(tag(first), false);
            Delivery third = next(deliveries);
            same("3", text(third));
            channel.basicNack(tag(second), false, true);
            Delivery again = next(deliveries);
            expect(text(again).equals("2") && again.getEnvelope().isRedeliver(), text(again));
            channel.basicReject(tag(third), false);
            same("4", text(next(deliveries)));
            channel.basicAck(0, true);
        });
        check("recover", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            publish(channel, "", queue, "x");
            BlockingQueue<Delivery> deliveries = consume(channel, queue, false);
            next(deliveries);
            channel.basicRecover();
            expect(next(deliveries).getEnvelope().isRedeliver(), "not marked");
        });
        check("cancel", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            String consumer = channel.basicConsume(queue, true, (tag, d) -> { }, IGNORE_CANCEL);
            expect(consumer.startsWith("amq.ctag-"), consumer);
            channel.basicCancel(consumer);
            publish(channel, "", queue, "x");
            same("x", takeText(channel, queue));
        });
        check("consumer is told when its queue goes", connection -> {
            Channel channel = connection.createChannel();
            String queue = unique("q");
            channel.queueDeclare(queue, false, false, false, null);
            CompletableFuture<String> told = new CompletableFuture<>();
            channel.basicConsume(queue, true, "watch", (tag, d) -> { }, told::complete);
            connection.createChannel().queueDelete(queue);
            same("watch", told.get(PATIENCE_S, TimeUnit.SECONDS));
        });
        check("direct reply-to with RpcClient and RpcServer", connection -> {
            String queue = ownQueue(connection.createChannel());
            RpcServer server = new RpcServer(connection.createChannel(), queue) {
                @Override
                public byte[] handleCall(byte[] body, AMQP.BasicProperties properties) {
                    return (new String(body) + " pong").getBytes();
                }
            };
            threads.submit(server::mainloop);
            RpcClient client = new RpcClient(new RpcClientParams()
                    .channel(connection.createChannel()).exchange("").routingKey(queue).timeout(5000));
            same("ping pong", client.stringCall("ping"));
            same("again pong", client.stringCall("again"));
            client.close();
            server.terminateMainloop();
        });
        check("consumers on many threads", connection -> {
            Channel channel = connection.createChannel();
            String queue = ownQueue(channel);
            List<String> got = Collections.synchronizedList(new ArrayList<>());
            CountDownLatch all = new CountDownLatch(500);
            for (int i = 0; i < 5; i++) {
                Channel own = connection.createChannel();
                own.basicQos(10);
                own.basicConsume(queue, false, (tag, delivery) -> {
                    got.add(text(delivery));
                    own.basicAck(tag(delivery), false);
                    all.countDown();
                }, IGNORE_CANCEL);
            }
            for (int i = 0; i < 500; i++) {
                publish(channel, "", queue, Integer.toString(i));
            }
            expect(all.await(PATIENCE_S, TimeUnit.SECONDS), got.size());
            same(500L, got.stream().distinct().count());
        });
    }

    private static void publishing() {
        check("confirms", connection -> {
            Channel channel = connection.createChannel();
            channel.confirmSelect();
            String queue = ownQueue(channel);
            for (int i = 0; i < 1000; i++) {
                publish(channel, "", queue, "x");
            }
            channel.waitForConfirmsOrDie(5000);
            same(1000, channel.queuePurge(queue).getMessageCount());
            same(1001L, channel.getNextPublishSeqNo());
        });
        check("return comes before its confirm", connection -> {
            Channel channel = connection.createChannel();
            channel.confirmSelect();
            BlockingQueue<String> events = new LinkedBlockingQueue<>();
            channel.addReturnListener(message -> events.add(message.getReplyCode() + " "
                    + message.getReplyText() + " " + new String(message.getBody())));
            channel.addConfirmListener((tag, multiple) -> events.add("ack " + tag),
                    (tag, multiple) -> events.add("nack " + tag));
            channel.basicPublish("amq.direct", "nobody", true, null, "lost".getBytes());
            same("312 NO_ROUTE lost", events.poll(PATIENCE_S, TimeUnit.SECONDS));
            same("ack 1", events.poll(PATIENCE_S, TimeUnit.SECONDS));
        });
        check("transactions", connection -> {
            Channel channel = connection.createChannel();
            Channel watcher = connection.createChannel();
            String queue = ownQueue(watcher);
            channel.txSelect();
            publish(channel, "", queue, "no");
            channel.txRollback();
            publish(channel, "", queue, "yes");
            expect(watcher.basicGet(queue, true) == null, "visible before the commit");
            channel.txCommit();
            same("yes", takeText(watcher, queue));
        });
        check("confirms and transactions exclude each other", connection -> {
            refused(connection, 406, ch -> {
                ch.txSelect();
                ch.confirmSelect();
            });
            refused(connection, 406, Channel::txCommit);
        });
        check("immediate is 540", connection ->
            refused(connection, 540, ch -> ch.basicPublish("", "q", false, true, null, new byte[0])));
    }

    public static void main(String[] args) {
        connecting();
        declaring();
        messages();
        consuming();
        publishing();
        System.exit(failed ? 1 : 0);
    }
}

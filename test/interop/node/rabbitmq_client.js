// rabbitmq-client: consumers and publishers that recover by themselves, and the raw channel.
'use strict';

const { Connection, ConsumerStatus } = require('rabbitmq-client');
const { assert, check, runAll, sleep, unique, until, withCable } = require('./checks');

const url = process.env.AMQP_URL;

async function connected(body, options = {}) {
  const rabbit = new Connection({ url, acquireTimeout: 5000, connectionTimeout: 5000, retryLow: 50, retryHigh: 200, ...options });
  const channels = [];
  const open = async () => {
    channels.push(await rabbit.acquire());
    return channels.at(-1);
  };
  rabbit.on('error', () => {});
  try {
    return await body(rabbit, open);
  } finally {
    await Promise.allSettled(channels.map((channel) => channel.close()));
    await rabbit.close();
  }
}

function firstError(change) {
  const to = Object.assign(new URL(url), change);
  const rabbit = new Connection(to.href);
  return new Promise((resolve) => rabbit.on('error', resolve)).finally(() => rabbit.unsafeDestroy());
}

async function take(channel, queue, options = { noAck: true }) {
  let message;
  await until(async () => (message = await channel.basicGet({ queue, ...options })), `nothing in ${queue}`);
  return message;
}

check('connect', () => connected(async (rabbit) => {
  await rabbit.onConnect(5000);
  assert.equal(rabbit.ready, true);
}));

check('wrong password is 403', async () => {
  const error = await firstError({ password: 'wrong' });
  assert.equal(error.code, 'ACCESS_REFUSED');
});

check('missing vhost is 530', async () => {
  const error = await firstError({ pathname: '/nowhere' });
  assert.equal(error.code, 'NOT_ALLOWED');
  assert.match(error.message, /vhost nowhere not found/);
});

check('publisher and consumer', () => connected(async (rabbit) => {
  const [queue, exchange] = [unique(), unique('x')];
  const got = [];
  const consumer = rabbit.createConsumer({
    queue, queueOptions: { exclusive: true }, qos: { prefetchCount: 2 }, concurrency: 2,
    exchanges: [{ exchange, type: 'topic', autoDelete: true }],
    queueBindings: [{ exchange, routingKey: 'user.*' }],
  }, async (message) => { got.push(message); });
  await new Promise((resolve) => consumer.on('ready', resolve));
  const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 2 });
  for (let i = 0; i < 20; i += 1) await publisher.send({ exchange, routingKey: 'user.new' }, { i });
  await publisher.send({ exchange, routingKey: 'other' }, 'lost');
  await until(() => got.length === 20);
  assert.deepEqual(got.map((m) => m.body.i), Array.from({ length: 20 }, (_, i) => i));
  assert.equal(got[0].contentType, 'application/json');
  await publisher.close();
  await consumer.close();
}));

check('consumer settles by its result', () => connected(async (rabbit) => {
  const queue = unique();
  const seen = [];
  const consumer = rabbit.createConsumer({ queue, queueOptions: { exclusive: true }, qos: { prefetchCount: 1 } },
    async (message) => {
      seen.push([message.body, message.redelivered]);
      if (message.body === 'drop') return ConsumerStatus.DROP;
      return message.redelivered ? ConsumerStatus.ACK : ConsumerStatus.REQUEUE;
    });
  await new Promise((resolve) => consumer.on('ready', resolve));
  const publisher = rabbit.createPublisher({ confirm: true });
  await publisher.send(queue, 'drop');
  await publisher.send(queue, 'again');
  await until(() => seen.length === 3);
  assert.deepEqual(seen, [['drop', false], ['again', false], ['again', true]]);
  await publisher.close();
  await consumer.close();
}));

check('remote procedure calls', () => connected(async (rabbit) => {
  const queue = unique('rpc');
  const server = rabbit.createConsumer({ queue, queueOptions: { exclusive: true } },
    async (message, reply) => reply(message.body * 2));
  await new Promise((resolve) => server.on('ready', resolve));
  const client = rabbit.createRPCClient({ confirm: true });
  const answers = await Promise.all([1, 2, 3].map((n) => client.send(queue, n)));
  assert.deepEqual(answers.map((answer) => answer.body), [2, 4, 6]);
  await client.close();
  await server.close();
}));

check('direct reply-to', () => connected(async (rabbit, open) => {
  const channel = await open();
  const { queue } = await channel.queueDeclare({ queue: unique(), exclusive: true });
  const answers = [];
  await channel.basicConsume({ queue: 'amq.rabbitmq.reply-to', noAck: true }, (m) => answers.push(m.body));
  await channel.basicPublish({ routingKey: queue, replyTo: 'amq.rabbitmq.reply-to' }, 'ping');
  const asked = await take(channel, queue);
  await (await open()).basicPublish({ routingKey: asked.replyTo }, 'pong');
  await until(() => answers.length);
  assert.deepEqual(answers, ['pong']);
}));

check('properties and headers round trip', () => connected(async (rabbit, open) => {
  const channel = await open();
  const { queue } = await channel.queueDeclare({ exclusive: true });
  const sent = {
    contentType: 'text/plain', priority: 3, correlationId: 'c', replyTo: 'r',
    expiration: '60000', messageId: 'm', timestamp: 1767225600, type: 't', userId: 'guest', appId: 'a',
    clusterId: 'k', durable: true,
    headers: { yes: true, n: -7, big: 2 ** 40, f: 0.5, s: 'ñ', none: null, list: [1, [2]], table: { a: { b: 1 } } },
  };
  await channel.basicPublish({ routingKey: queue, ...sent }, 'text');
  const got = await take(channel, queue);
  for (const [key, value] of Object.entries(sent)) assert.deepEqual(got[key], value, key);
  assert.equal(got.body, 'text');
}));

check('declare, bind and delete', () => connected(async (rabbit) => {
  for (const type of ['direct', 'fanout', 'topic', 'headers']) {
    const exchange = unique(type);
    await rabbit.exchangeDeclare({ exchange, type });
    await rabbit.exchangeBind({ source: exchange, destination: 'amq.fanout', routingKey: 'k' });
    await rabbit.exchangeUnbind({ source: exchange, destination: 'amq.fanout', routingKey: 'k' });
    await rabbit.exchangeDelete({ exchange });
  }
  const queue = unique();
  await rabbit.queueDeclare({ queue, arguments: { 'x-max-length': 5 } });
  await rabbit.queueBind({ queue, exchange: 'amq.topic', routingKey: '#.x' });
  await rabbit.queueUnbind({ queue, exchange: 'amq.topic', routingKey: '#.x' });
  assert.equal((await rabbit.queuePurge({ queue })).messageCount, 0);
  assert.equal((await rabbit.queueDelete({ queue })).messageCount, 0);
}));

check('refusals close only their channel', () => connected(async (rabbit, open) => {
  const good = await open();
  const { queue } = await good.queueDeclare({ queue: unique(), exclusive: true });
  const refused = (call) => open().then((ch) => ch.on('error', () => {}) && call(ch));
  await assert.rejects(() => refused((ch) => ch.queueDeclare({ queue: 'interop.missing', passive: true })),
    { code: 'NOT_FOUND' });
  await assert.rejects(() => refused((ch) => ch.queueDeclare({ queue, exclusive: true, autoDelete: true })),
    { code: 'PRECONDITION_FAILED' });
  await assert.rejects(() => refused((ch) => ch.exchangeDelete({ exchange: '' })), { code: 'ACCESS_REFUSED' });
  await connected((other) => assert.rejects(() => other.queueDeclare({ queue, passive: true }),
    { code: 'RESOURCE_LOCKED' }));
  await good.basicPublish(queue, 'still');
  assert.equal((await take(good, queue)).body, 'still');
}));

check('publishing to a missing exchange is 404', () => connected(async (rabbit) => {
  const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 1 });
  await assert.rejects(() => publisher.send({ exchange: 'interop.missing' }, 'x'), { code: 'NOT_FOUND' });
  await publisher.close();
}));

check('unroutable mandatory message is returned', () => connected(async (rabbit) => {
  const publisher = rabbit.createPublisher({ confirm: true });
  const returned = new Promise((resolve) => publisher.on('basic.return', resolve));
  await publisher.send({ exchange: 'amq.direct', routingKey: 'nobody', mandatory: true }, 'lost');
  const message = await returned;
  assert.deepEqual([message.replyCode, message.replyText, message.body], [312, 'NO_ROUTE', 'lost']);
  await publisher.close();
}));

check('many confirms at once', () => connected(async (rabbit) => {
  const { queue } = await rabbit.queueDeclare({ queue: unique(), exclusive: true });
  const publisher = rabbit.createPublisher({ confirm: true });
  await Promise.all(Array.from({ length: 1000 }, (_, i) => publisher.send(queue, i)));
  assert.equal((await rabbit.queuePurge(queue)).messageCount, 1000);
  await publisher.close();
}));

check('ack, nack, recover', () => connected(async (rabbit, open) => {
  const channel = await open();
  const { queue } = await channel.queueDeclare({ exclusive: true });
  for (const body of ['1', '2', '3']) await channel.basicPublish({ routingKey: queue }, body);
  const [first, second, third] = [await take(channel, queue, {}), await take(channel, queue, {}),
    await take(channel, queue, {})];
  channel.basicAck({ deliveryTag: first.deliveryTag });
  channel.basicNack({ deliveryTag: second.deliveryTag, requeue: true });
  channel.basicNack({ deliveryTag: third.deliveryTag, requeue: false });
  const again = await take(channel, queue, {});
  assert.deepEqual([again.body, again.redelivered], ['2', true]);
  await channel.basicRecover({ requeue: true });
  assert.equal((await take(channel, queue)).body, '2');
}));

check('transactions', () => connected(async (rabbit, open) => {
  const channel = await open();
  const { queue } = await channel.queueDeclare({ exclusive: true });
  await channel.txSelect();
  await channel.basicPublish({ routingKey: queue }, 'no');
  await channel.txRollback();
  await channel.basicPublish({ routingKey: queue }, 'yes');
  await channel.txCommit();
  assert.equal((await take(channel, queue)).body, 'yes');
}));

check('large bodies', () => connected(async (rabbit, open) => {
  const channel = await open();
  await channel.confirmSelect();
  const { queue } = await channel.queueDeclare({ exclusive: true });
  for (const size of [1 << 20, (16 << 20) - 1]) {
    const body = Buffer.alloc(size, 'abc');
    await channel.basicPublish({ routingKey: queue }, body);
    assert.ok((await take(channel, queue)).body.equals(body));
  }
}));

check('consumer comes back when its queue was deleted', () => connected(async (rabbit, open) => {
  const queue = unique();
  const got = [];
  const consumer = rabbit.createConsumer({ queue, queueOptions: { autoDelete: true }, noAck: true },
    async (message) => { got.push(message.body); });
  consumer.on('error', () => {});
  await new Promise((resolve) => consumer.on('ready', resolve));
  const back = new Promise((resolve) => consumer.on('ready', resolve));
  await rabbit.queueDelete(queue);
  await back;
  await (await open()).basicPublish(queue, 'here');
  await until(() => got.length === 1);
  await consumer.close();
}));

check('connection comes back after its socket was cut', () => withCable(url, (cable) =>
  connected(async (rabbit) => {
    const queue = unique();
    const got = [];
    const consumer = rabbit.createConsumer({ queue, queueOptions: { exclusive: true } },
      async (message) => { got.push(message.body); });
    consumer.on('error', () => {});
    await new Promise((resolve) => consumer.on('ready', resolve));
    const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 5 });
    await publisher.send(queue, 'before');
    await until(() => got.length === 1);
    const back = new Promise((resolve) => consumer.on('ready', resolve));
    cable.cut();
    await back;
    await publisher.send(queue, 'after');
    await until(() => got.length === 2);
    assert.deepEqual(got, ['before', 'after']);
    await publisher.close();
    await consumer.close();
  }, { url: cable.url })));

check('heartbeats', () => connected(async (rabbit, open) => {
  let errors = 0;
  await rabbit.onConnect(5000);
  rabbit.on('error', () => { errors += 1; });
  await sleep(3200);
  assert.equal(errors, 0);
  await open();
}, { heartbeat: 1 }));

runAll();

// amqplib, the promise interface.
'use strict';

const net = require('node:net');
const amqp = require('amqplib');
const { assert, check, runAll, sleep, unique, until, withCable } = require('./checks');

const url = process.env.AMQP_URL;
const base = new URL(url);

function urlWith({ password = base.password, vhost = '%2f' }) {
  return `amqp://${base.username}:${password}@${base.host}/${vhost}`;
}

// Runs `body` with a connection (and its errors, which amqplib emits) that is closed afterwards.
async function connected(body, to = url, options = {}) {
  const connection = await amqp.connect(to, { timeout: 5000, ...options });
  const errors = [];
  connection.on('error', (error) => errors.push(error));
  try {
    return await body(connection, errors);
  } finally {
    await connection.close().catch(() => {});
  }
}

function withChannel(body) {
  return connected(async (connection) => {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    return body(channel, connection);
  });
}

// `call` must end its channel with this code.
async function refused(connection, code, call) {
  const channel = await connection.createChannel();
  const closed = new Promise((resolve) => channel.on('error', resolve));
  await assert.rejects(async () => {
    await call(channel);
    throw await closed;
  }, (error) => error.code === code || assert.fail(`${error.code}: ${error.message}`));
  return (await closed).message;
}

async function take(channel, queue, options = { noAck: true }) {
  let message = false;
  await until(async () => (message = await channel.get(queue, options)), `nothing in ${queue}`);
  return message;
}

const body = (message) => message.content.toString();

check('connect and close', () => connected(async (connection) => {
  assert.equal(connection.connection.serverProperties.product, 'RabbitMQ');
  assert.equal(connection.connection.serverProperties.capabilities['basic.nack'], true);
}));

check('wrong password is 403', async () => {
  await assert.rejects(() => amqp.connect(urlWith({ password: 'wrong' })), /403 \(ACCESS-REFUSED\)/);
});

check('missing vhost is 530', async () => {
  await assert.rejects(() => amqp.connect(urlWith({ vhost: 'nowhere' })), /530|ConnectionClose/);
});

check('small frames and few channels', () => connected(async (connection) => {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.alloc(100000, 'x'));
  assert.equal((await take(channel, queue)).content.length, 100000);
}, `${url}?frameMax=8192&channelMax=10`));

check('declare every kind', () => withChannel(async (channel) => {
  for (const type of ['direct', 'fanout', 'topic', 'headers']) {
    const exchange = unique(type);
    await channel.assertExchange(exchange, type, { durable: false });
    await channel.checkExchange(exchange);
    await channel.deleteExchange(exchange);
  }
  for (const options of [{ durable: true }, { durable: false }, { exclusive: true },
    { autoDelete: true, durable: false }, { expires: 60000, messageTtl: 1000, maxLength: 5 }]) {
    const queue = unique();
    const ok = await channel.assertQueue(queue, options);
    assert.deepEqual(ok, { queue, messageCount: 0, consumerCount: 0 });
    await channel.deleteQueue(queue);
  }
  const { queue } = await channel.assertQueue('', { exclusive: true });
  assert.match(queue, /^amq\.gen-/);
}));

check('refusals close only their channel', () => connected(async (connection, errors) => {
  const good = await connection.createChannel();
  const { queue } = await good.assertQueue(unique(), { exclusive: true });
  assert.match(await refused(connection, 404, (ch) => ch.checkQueue('interop.missing')),
    /NOT_FOUND - no queue 'interop.missing' in vhost '\/'/);
  await refused(connection, 404, (ch) => ch.checkExchange('interop.missing'));
  await refused(connection, 406, (ch) => ch.assertQueue(queue, { exclusive: true, autoDelete: true }));
  await refused(connection, 403, (ch) => ch.bindQueue(queue, '', 'key'));
  await refused(connection, 404, async (ch) => ch.publish('interop.missing', '', Buffer.from('')));
  await refused(connection, 406, async (ch) => ch.ack({ fields: { deliveryTag: 9 } }));
  await good.consume(queue, () => {}, { exclusive: true });
  await refused(connection, 403, (ch) => ch.consume(queue, () => {}));
  await good.checkQueue(queue);
  assert.deepEqual(errors, []);
}));

check('locked queue is 405', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue(unique(), { exclusive: true });
  await connected((other) => refused(other, 405, (ch) => ch.checkQueue(queue)));
}));

check('properties round trip', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const sent = {
    contentType: 'text/plain', contentEncoding: 'utf-8', deliveryMode: 2, priority: 4,
    correlationId: 'c', replyTo: 'r', expiration: '60000', messageId: 'm', timestamp: 1767225600,
    type: 't', userId: 'guest', appId: 'a',
  };
  channel.sendToQueue(queue, Buffer.from('x'), sent);
  const { properties } = await take(channel, queue);
  for (const [key, value] of Object.entries(sent)) assert.deepEqual(properties[key], value, key);
}));

check('header types round trip', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const headers = {
    yes: true, small: 1, medium: 70000, large: 2 ** 45, negative: -70000, text: 'grün', none: null,
    double: 1.25, list: [1, 'two', { three: [] }], table: { inner: { deep: 'x' } },
    bytes: Buffer.from([0, 255]),
    byte: { '!': 'byte', value: 100 }, int8: { '!': 'int8', value: -100 },
    short: { '!': 'short', value: -300 }, float: { '!': 'float', value: 0.5 },
    time: { '!': 'timestamp', value: 1767225600 },
    decimal: { '!': 'decimal', value: { digits: 314, places: 2 } },
  };
  channel.sendToQueue(queue, Buffer.from('x'), { headers });
  const got = (await take(channel, queue)).properties.headers;
  for (const [key, value] of Object.entries(headers)) {
    const expected = value && value['!'] && !['timestamp', 'decimal'].includes(value['!'])
      ? value.value : value;
    assert.deepEqual(got[key], expected, key);
  }
}));

check('consume with prefetch and ack', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const got = [];
  await channel.prefetch(2);
  await channel.consume(queue, (message) => got.push(message));
  for (let i = 0; i < 6; i += 1) channel.sendToQueue(queue, Buffer.from(String(i)));
  await until(() => got.length === 2);
  await sleep(60);
  assert.equal(got.length, 2);
  channel.ack(got[0]);
  await until(() => got.length === 3);
  channel.ack(got[2], true);
  await until(() => got.length === 5);
  channel.nack(got[3], false, false);
  channel.reject(got[4], true);
  await until(() => got.length === 7);
  assert.deepEqual(got.slice(0, 5).map(body), ['0', '1', '2', '3', '4']);
  const rest = got.slice(5).sort((a, b) => body(a) - body(b));
  assert.deepEqual(rest.map((message) => [body(message), message.fields.redelivered]), [['4', true], ['5', false]]);
}));

check('prefetch of the channel', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const got = [];
  await channel.prefetch(3, true);
  await channel.consume(queue, (message) => got.push(message));
  await channel.consume(queue, (message) => got.push(message));
  for (let i = 0; i < 6; i += 1) channel.sendToQueue(queue, Buffer.from(String(i)));
  await until(() => got.length === 3);
  await sleep(60);
  assert.equal(got.length, 3);
  channel.ackAll();
  await until(() => got.length === 6);
}));

check('get', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  assert.equal(await channel.get(queue), false);
  channel.sendToQueue(queue, Buffer.from('1'));
  channel.sendToQueue(queue, Buffer.from('2'));
  const message = await take(channel, queue, {});
  assert.equal(message.fields.messageCount, 1);
  channel.nackAll(true);
  const again = await take(channel, queue);
  assert.equal(body(again), '1');
  assert.equal(again.fields.redelivered, true);
}));

check('cancel', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const got = [];
  await channel.consume(queue, (message) => got.push(message), { noAck: true, consumerTag: 'tag' });
  await channel.cancel('tag');
  channel.sendToQueue(queue, Buffer.from('x'));
  await sleep(60);
  assert.equal(got.length, 0);
  assert.equal(body(await take(channel, queue)), 'x');
}));

check('recover', () => withChannel(async (channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const got = [];
  await channel.consume(queue, (message) => got.push(message));
  channel.sendToQueue(queue, Buffer.from('x'));
  await until(() => got.length === 1);
  await channel.recover();
  await until(() => got.length === 2);
  assert.equal(got[1].fields.redelivered, true);
}));

check('consumer is told when its queue goes', () => withChannel(async (channel, connection) => {
  const { queue } = await channel.assertQueue(unique(), { durable: false });
  const told = new Promise((resolve) => channel.consume(queue, resolve));
  await channel.checkQueue(queue);
  await (await connection.createChannel()).deleteQueue(queue);
  assert.equal(await told, null);
}));

check('confirms', () => connected(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (let i = 0; i < 1000; i += 1) channel.sendToQueue(queue, Buffer.from(String(i)));
  await channel.waitForConfirms();
  assert.equal((await channel.purgeQueue(queue)).messageCount, 1000);
}));

check('return comes before its confirm', () => connected(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const events = [];
  channel.on('return', (message) => events.push(`${message.fields.replyCode} ${body(message)}`));
  await new Promise((resolve, reject) => channel.publish(
    'amq.direct', 'nobody', Buffer.from('lost'), { mandatory: true },
    (error) => (error ? reject(error) : resolve(events.push('ack')))));
  assert.deepEqual(events, ['312 lost', 'ack']);
}));

check('routing by every kind of exchange', () => connected(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const route = async (type, bindings, keys, headers = {}) => {
    const exchange = unique(type);
    await channel.assertExchange(exchange, type, { durable: false });
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (const [key, args] of bindings) await channel.bindQueue(queue, exchange, key, args);
    for (const key of keys) channel.publish(exchange, key, Buffer.from(key), { headers });
    await channel.waitForConfirms();
    const got = [];
    for (let m = await channel.get(queue, { noAck: true }); m; m = await channel.get(queue, { noAck: true })) {
      got.push(body(m));
    }
    await channel.deleteExchange(exchange);
    return got;
  };
  assert.deepEqual(await route('direct', [['a'], ['b']], ['a', 'b', 'c']), ['a', 'b']);
  assert.deepEqual(await route('fanout', [['']], ['a', 'b']), ['a', 'b']);
  assert.deepEqual(await route('topic', [['*.b'], ['#.c.#']], ['a.b', 'b', 'c', 'x.c.y']),
    ['a.b', 'c', 'x.c.y']);
  assert.deepEqual(await route('headers', [['', { 'x-match': 'all', n: 1 }]], ['hit'], { n: 1, m: 2 }), ['hit']);
  assert.deepEqual(await route('headers', [['', { 'x-match': 'all', n: 1, o: 1 }]], ['miss'], { n: 1 }), []);
}));

check('exchange to exchange and alternate exchange', () => connected(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const [source, target, rest] = [unique('s'), unique('t'), unique('r')];
  await channel.assertExchange(rest, 'fanout', { durable: false });
  await channel.assertExchange(source, 'direct', { durable: false, alternateExchange: rest });
  await channel.assertExchange(target, 'fanout', { durable: false, internal: true });
  await channel.bindExchange(target, source, 'in');
  const inside = (await channel.assertQueue('', { exclusive: true })).queue;
  const outside = (await channel.assertQueue('', { exclusive: true })).queue;
  await channel.bindQueue(inside, target, '');
  await channel.bindQueue(outside, rest, '');
  channel.publish(source, 'in', Buffer.from('in'));
  channel.publish(source, 'out', Buffer.from('out'));
  await channel.waitForConfirms();
  assert.equal(body(await take(channel, inside)), 'in');
  assert.equal(body(await take(channel, outside)), 'out');
  await channel.unbindExchange(target, source, 'in');
  for (const exchange of [source, target, rest]) await channel.deleteExchange(exchange);
}));

check('direct reply-to', () => withChannel(async (channel, connection) => {
  const { queue } = await channel.assertQueue(unique(), { exclusive: true });
  const server = await connection.createChannel();
  await server.consume(queue, (message) => {
    server.sendToQueue(message.properties.replyTo, Buffer.from(`${body(message)} pong`),
      { correlationId: message.properties.correlationId });
  }, { noAck: true });
  const answer = new Promise((resolve) => {
    channel.consume('amq.rabbitmq.reply-to', resolve, { noAck: true });
  });
  channel.sendToQueue(queue, Buffer.from('ping'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '1' });
  const message = await answer;
  assert.equal(body(message), 'ping pong');
  assert.equal(message.properties.correlationId, '1');
}));

check('large bodies', () => connected(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const size of [1 << 20, (16 << 20) - 1]) {
    const content = Buffer.alloc(size, 'abc');
    channel.sendToQueue(queue, content);
    await channel.waitForConfirms();
    assert.ok((await take(channel, queue)).content.equals(content));
  }
}));

check('many channels', () => connected(async (connection) => {
  const channels = await Promise.all(Array.from({ length: 200 }, () => connection.createChannel()));
  const { queue } = await channels[0].assertQueue('', { exclusive: true });
  channels.forEach((channel, i) => channel.sendToQueue(queue, Buffer.from(String(i))));
  const got = new Set();
  for (const channel of channels) got.add(body(await take(channel, queue)));
  assert.equal(got.size, 200);
  await Promise.all(channels.map((channel) => channel.close()));
  await (await connection.createChannel()).checkQueue(queue);
}));

check('heartbeats', () => connected(async (connection, errors) => {
  await sleep(3200);
  assert.deepEqual(errors, []);
  await connection.createChannel();
}, `${url}?heartbeat=1`));

check('silent client is dropped', async () => {
  // A client that answers no more: its socket must be closed in two to three intervals.
  const connection = await amqp.connect(`${url}?heartbeat=1`);
  connection.on('error', () => {});
  const closed = new Promise((resolve) => connection.connection.stream.on('close', resolve));
  connection.connection.heartbeater.clear();
  await closed;
});

check('bad protocol header gets eight bytes and a close', () => new Promise((resolve, reject) => {
  const socket = net.connect(Number(base.port), base.hostname, () => socket.write('AMQP\0\0\x0a\x00'));
  const got = [];
  socket.on('data', (data) => got.push(data));
  socket.on('error', () => {});
  socket.on('close', () => {
    const header = Buffer.concat(got);
    return header.subarray(0, 4).toString() === 'AMQP' && header.length === 8
      ? resolve() : reject(new Error(header.toString('hex')));
  });
}));

check('connection comes back after its socket was cut', () => withCable(url, async (cable) => {
  const got = [];
  const queue = unique();
  const connection = await amqp.connect(cable.url, {
    recovery: {
      initialDelay: 20,
      async setup(model) {
        const channel = await model.createChannel();
        await channel.assertQueue(queue, { exclusive: true });
        await channel.consume(queue, (message) => got.push(body(message)), { noAck: true });
      },
    },
  });
  connection.on('error', () => {});
  const back = new Promise((resolve) => connection.on('connect', resolve));
  cable.cut();
  await back;
  const channel = await connection.createChannel();
  channel.sendToQueue(queue, Buffer.from('after'));
  await until(() => got.length === 1);
  await connection.close();
}));

runAll();

// Runs checks one after the other and says how each went.
'use strict';

const net = require('node:net');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');

const LIMIT_MS = 8000;
const checks = [];
let names = 0;

function check(name, run) {
  checks.push({ name, run });
}

// A name that no other check uses.
function unique(what = 'q') {
  names += 1;
  return `${what}.node.${process.pid}.${names}`;
}

async function until(done, what = 'timed out') {
  for (let i = 0; i < 500; i += 1) {
    if (await done()) return;
    await sleep(10);
  }
  throw new Error(what);
}

// Runs `body` with a relay to the broker, whose sockets can be cut.
async function withCable(url, body) {
  const { hostname, port } = new URL(url);
  const through = new URL(url);
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  through.port = server.address().port;
  try {
    return await body({ url: through.href, cut });
  } finally {
    server.close();
    cut();
  }
}

function limited(run) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('timed out')), LIMIT_MS);
  });
  return Promise.race([run(), limit]).finally(() => clearTimeout(timer));
}

async function runAll() {
  let failed = 0;
  for (const { name, run } of checks) {
    try {
      await limited(run);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}: ${String(error && error.message).replace(/\s+/g, ' ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

module.exports = { assert, check, runAll, sleep, unique, until, withCable };

'use strict';
// What Node programs do with ali-ons, a client of the remoting protocol by others than Apache, one part a run.

const { Producer, Consumer, Message } = require('ali-ons');
const { accessKey, secretKey, say, check, sleep, eventually, expectBodies, run } = require('./check');

// It looks addresses up by HTTP unless it is given one.
const common = { nameSrv: process.argv[2], httpclient: {}, clientIP: '127.0.0.1', accessKey, secretKey };

async function producer(producerGroup, options) {
  const made = new Producer({ ...common, producerGroup, ...options });
  made.on('error', error => console.error(error.message));
  await made.ready();
  return made;
}

function consumer(consumerGroup, options) {
  // It begins at the end otherwise.
  const made = new Consumer({ ...common, consumerGroup, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET', ...options });
  made.on('error', error => console.error(error.message));
  return made;
}

function message(topic, tag, body) {
  const made = new Message(topic, tag, body);
  made.keys = [ `key-${body}`, 'all' ];
  made.properties.own = '1';
  return made;
}

/** A consumer that was given all that was there already sleeps until something comes: what is to come is sent once it sleeps. */
const asleep = () => sleep(2000);

async function normal() {
  const topic = 'ons-normal';
  const came = [];
  let again;
  const reader = consumer('ons-group');
  reader.subscribe(topic, 'a || b', async one => {
    if (one.body.toString() === 'a3' && one.reconsumeTimes === 0) return Consumer.ACTION_RETRY;
    if (one.reconsumeTimes > 0) again = one;
    came.push(one);
    return undefined;
  });
  await asleep();
  const sender = await producer('ons-senders');
  const expected = [];
  for (let i = 0; i < 10; i++) {
    for (const tag of [ 'a', 'b', 'c' ]) {
      const result = await sender.send(message(topic, tag, tag + i));
      check(result.sendStatus === 'SEND_OK' && result.msgId, JSON.stringify(result));
      if (tag !== 'c') expected.push(tag + i);
    }
  }
  const large = 'large '.repeat(20000);
  const big = message(topic, 'a', large);
  big.keys = [ 'large' ];
  await sender.send(big);
  expected.push(large);
  await expectBodies(came, expected, 60, 'by tags');
  check(again && again.body.toString() === 'a3' && again.reconsumeTimes === 1, `again: ${again}`);
  check(again.topic === topic && again.tags === 'a' && again.keys === 'key-a3 all' && again.properties.own === '1', JSON.stringify(again));
  say('consumed by tags, one again');
  await reader.close();
  await sender.close();
}

async function selectors() {
  const topic = 'ons-selectors';
  const came = [];
  const reader = consumer('ons-selecting-group');
  reader.subscribe(topic, { expressionType: 'SQL92', subString: 'amount BETWEEN 90 AND 120 AND TAGS = \'t1\'' }, async one => {
    came.push(one);
  });
  await asleep();
  const sender = await producer('ons-selecting-senders');
  for (let i = 0; i < 20; i++) {
    const one = message(topic, `t${i % 2}`, `message ${i}`);
    one.properties.amount = `${i * 10}`;
    await sender.send(one);
  }
  await expectBodies(came, [ 'message 9', 'message 11' ], 60, 'by a condition');
  say('consumed by a condition');
  await reader.close();
  await sender.close();
}

async function delayed() {
  const topic = 'ons-delayed';
  const sender = await producer('ons-delayed-senders');
  const came = [];
  const reader = consumer('ons-delayed-group');
  reader.subscribe(topic, '*', async one => {
    came.push({ body: one.body, at: Date.now() });
  });
  await sender.send(message(topic, 't', 'now'));
  await eventually(60, () => 'the first', () => came.length === 1);
  const level = message(topic, 't', 'level');
  level.delayTimeLevel = 2;
  const levelAt = Date.now() + 5000;
  await sender.send(level);
  const at = message(topic, 't', 'at');
  const due = Date.now() + 3000;
  at.setStartDeliverTime(due);
  await sender.send(at);
  await expectBodies(came, [ 'now', 'at', 'level' ], 30, 'delayed');
  for (const [ body, from ] of [[ 'at', due ], [ 'level', levelAt ]]) {
    const late = came.find(one => one.body.toString() === body).at - from;
    check(late >= 0 && late < 5000, `${body} is late by ${late} ms`);
  }
  say('none early');
  await reader.close();
  await sender.close();
}

// Those that fall on the queue 0 it shares out among all of them.
const KEYS = [ 'key0', 'key2', 'key3' ];

async function ordered() {
  const topic = 'ons-ordered';
  const came = new Map();
  const reader = consumer('ons-ordered-group');
  reader.subscribe(topic, '*', async one => {
    const [ key, number ] = one.body.toString().split(':');
    came.set(key, [ ...came.get(key) || [], Number(number) ]);
  });
  await asleep();
  const sender = await producer('ons-ordered-senders');
  for (let i = 0; i < 60; i++) {
    const one = message(topic, 't', `${i % 3}:${i}`);
    one.shardingKey = KEYS[i % 3];
    await sender.send(one);
  }
  const count = () => [ ...came.values() ].reduce((sum, numbers) => sum + numbers.length, 0);
  await eventually(60, () => `${count()} of 60`, () => count() >= 60);
  for (const [ key, numbers ] of came) {
    const expected = Array.from({ length: 20 }, (_, i) => Number(key) + 3 * i);
    check(JSON.stringify(numbers) === JSON.stringify(expected), `${key}: ${numbers}`);
  }
  say('consumed in order');
  await reader.close();
  await sender.close();
}

async function broadcast() {
  const topic = 'ons-broadcast';
  const sender = await producer('ons-broadcast-senders');
  const expected = [];
  for (let i = 0; i < 40; i++) {
    expected.push(`all${i}`);
    await sender.send(message(topic, 't', `all${i}`));
  }
  const readers = [ 'one', 'two' ].map(instanceName => {
    const came = [];
    const reader = consumer('ons-broadcast-group', { instanceName, isBroadcast: true });
    reader.subscribe(topic, '*', async one => {
      came.push(one);
    });
    return { reader, came };
  });
  for (const { came } of readers) await expectBodies(came, expected, 60, 'broadcast');
  say('all for each');
  for (const { reader } of readers) await reader.close();
  await sender.close();
}

async function dead() {
  const topic = 'ons-dead';
  const tries = [];
  const reader = consumer('ons-dead-group', { maxReconsumeTimes: 1 });
  reader.subscribe(topic, '*', async one => {
    tries.push(one.reconsumeTimes);
    // ACTION_RETRY is passed over for what comes from the queue for retries.
    throw new Error('not this time');
  });
  await asleep();
  const sender = await producer('ons-dead-senders');
  await sender.send(message(topic, 't', 'given up'));
  await eventually(60, () => `tries: ${tries}`, () => tries.length === 2);
  check(tries.join() === '0,1', `tries: ${tries}`);
  // It has given it up only once its message is answered.
  await sleep(1000);
  say('given up after two tries');
  await reader.close();
  await sender.close();
}

run({ normal, selectors, delayed, ordered, broadcast, dead });

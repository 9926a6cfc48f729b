'use strict';
// What Node programs do with RocketMQ's client over gRPC, one part a run.

const { Producer, PushConsumer, SimpleConsumer, FilterExpression, ConsumeResult } = require('rocketmq-client-nodejs');
// The package does not name these two.
const { FilterType, TransactionResolution } = require('rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb');
const { accessKey, secretKey, say, check, sleep, eventually, expectBodies, run } = require('./check');

const common = { endpoints: process.argv[2], namespace: '', requestTimeout: 10000 };
if (accessKey) common.sessionCredentials = { accessKey, accessSecret: secretKey };

async function producer(options) {
  const made = new Producer({ ...common, ...options });
  await made.startup();
  return made;
}

async function simpleConsumer(consumerGroup, topic, filter) {
  const made = new SimpleConsumer({ ...common, consumerGroup, subscriptions: new Map([[ topic, filter ]]), awaitDuration: 5000 });
  await made.startup();
  return made;
}

function message(topic, body, more) {
  const properties = new Map([[ 'own', '1' ]]);
  return { topic, tag: 'a', keys: [ 'k1', 'k2' ], properties, body: Buffer.from(body), ...more };
}

/** So many messages that a consumer is handed, acknowledged. */
async function take(consumer, count) {
  const taken = [];
  for (const end = Date.now() + 60000; taken.length < count;) {
    check(Date.now() < end, `${taken.length} messages instead of ${count}`);
    for (const one of await consumer.receive(16, 15000)) {
      taken.push(one);
      await consumer.ack(one);
    }
  }
  return taken;
}

async function simple() {
  const topic = 'node-simple';
  const sender = await producer({ topic });
  const receipts = [];
  for (const tag of [ 'a', 'b', 'c' ]) {
    for (let i = 0; i < 5; i++) receipts.push(await sender.send(message(topic, tag + i, { tag })));
  }
  const reader = await simpleConsumer('node-simple-group', topic, 'a || b');
  const taken = await take(reader, 10);
  await expectBodies(taken, [ 'a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'b2', 'b3', 'b4' ], 1, 'by tags');
  const ids = new Set(receipts.map(one => one.messageId));
  for (const one of taken) {
    check(ids.has(one.messageId) && one.topic === topic && one.tag === one.body.toString()[0], `taken: ${one.messageId}`);
    check(one.keys.join() === 'k1,k2' && one.properties.get('own') === '1' && one.deliveryAttempt === 1, `taken: ${one.keys}`);
  }
  say('received by tags and acknowledged');
  for (const amount of [ 50, 150, 1500 ]) {
    await sender.send(message(topic, `amount ${amount}`, { tag: 'c', properties: new Map([[ 'amount', `${amount}` ]]) }));
  }
  const selecting = await simpleConsumer('node-selecting-group', topic, new FilterExpression('amount > 100 AND amount < 1000', FilterType.SQL));
  const [ chosen ] = await take(selecting, 1);
  check(chosen.body.toString() === 'amount 150', `chosen: ${chosen.body}`);
  say('received by a condition');
  const at = Date.now() + 3000;
  await sender.send(message(topic, 'late', { deliveryTimestamp: new Date(at) }));
  const [ late ] = await take(reader, 1);
  check(late.body.toString() === 'late' && Date.now() >= at, `late: ${late.body}, ${at - Date.now()} ms early`);
  const recallable = await sender.send(message(topic, 'recalled', { deliveryTimestamp: new Date(Date.now() + 60000) }));
  const recalled = await sender.recallMessage(topic, recallable.recallHandle);
  check(recalled.messageId === recallable.messageId, `recalled ${recalled.messageId}`);
  say('none early, one recalled');
  await sender.send(message(topic, 'again'));
  const [ first ] = await reader.receive(1, 60000);
  await reader.changeInvisibleDuration(first, 2000);
  const [ second ] = await take(reader, 1);
  check(second.messageId === first.messageId && second.deliveryAttempt === 2, `again: ${second.messageId}, ${second.deliveryAttempt}`);
  say('visible again sooner');
}

async function push() {
  const topic = 'node-push';
  const sender = await producer({ topic });
  const came = [];
  const times = new Map();
  const reader = new PushConsumer({
    ...common,
    consumerGroup: 'node-push-group',
    subscriptions: new Map([[ topic, 'a' ]]),
    messageListener: {
      consume(one) {
        const body = one.body.toString();
        times.set(body, (times.get(body) || 0) + 1);
        if (body === 'fails once' && times.get(body) === 1) return ConsumeResult.FAILURE;
        came.push(one);
        return ConsumeResult.SUCCESS;
      },
    },
  });
  await reader.startup();
  const expected = [ 'fails once' ];
  await sender.send(message(topic, 'fails once'));
  for (let i = 0; i < 50; i++) {
    await sender.send(message(topic, `message ${i}`));
    await sender.send(message(topic, `other ${i}`, { tag: 'b' }));
    expected.push(`message ${i}`);
  }
  await expectBodies(came, expected, 60, 'pushed');
  check(times.get('fails once') === 2, `times: ${times.get('fails once')}`);
  say('pushed by tags, one again');
}

/** Of a table of kind 'ordered'. */
async function ordered() {
  const topic = 'node-ordered';
  const sender = await producer({ topic });
  const came = new Map();
  let failures = 0;
  for (let i = 0; i < 40; i++) await sender.send(message(topic, `${i}`, { messageGroup: `g${i % 4}` }));
  const reader = new PushConsumer({
    ...common,
    consumerGroup: 'node-ordered-group',
    subscriptions: new Map([[ topic, '*' ]]),
    messageListener: {
      consume(one) {
        const number = Number(one.body.toString());
        if (number === 20 && failures++ === 0) return ConsumeResult.FAILURE;
        came.set(one.messageGroup, [ ...came.get(one.messageGroup) || [], number ]);
        return ConsumeResult.SUCCESS;
      },
    },
  });
  await reader.startup();
  const count = () => [ ...came.values() ].reduce((sum, numbers) => sum + numbers.length, 0);
  await eventually(60, () => `${count()} of 40`, () => count() >= 40);
  for (const [ group, numbers ] of came) {
    const expected = Array.from({ length: 10 }, (_, i) => Number(group.slice(1)) + 4 * i);
    check(JSON.stringify(numbers) === JSON.stringify(expected), `${group}: ${numbers}`);
  }
  check(failures === 2, 'not consumed again in its place');
  say('consumed in order');
}

async function transactions() {
  const topic = 'node-halves';
  const asked = new Map();
  const sender = await producer({
    topic,
    checker: {
      async check(one) {
        asked.set(one.body.toString(), one);
        return one.body.toString() === 'later commit' ? TransactionResolution.COMMIT : TransactionResolution.ROLLBACK;
      },
    },
  });
  const commit = sender.beginTransaction();
  await sender.send(message(topic, 'commit now'), commit);
  await commit.commit();
  const rollback = sender.beginTransaction();
  await sender.send(message(topic, 'rollback now'), rollback);
  await rollback.rollback();
  for (const body of [ 'later commit', 'later rollback' ]) await sender.send(message(topic, body), sender.beginTransaction());
  await eventually(90, () => `asked about ${[ ...asked.keys() ]}`, () => asked.size === 2);
  const one = asked.get('later commit');
  check(one.topic === topic && one.tag === 'a' && one.properties.get('own') === '1', `asked: ${one}`);
  say('asked');
  const reader = await simpleConsumer('node-halves-group', topic, '*');
  const taken = await take(reader, 2);
  await sleep(500);
  taken.push(...await reader.receive(16, 15000));
  await expectBodies(taken, [ 'commit now', 'later commit' ], 1, 'committed');
  say('committed, and nothing else');
}

/** The server gives up after three times. */
async function dead() {
  const topic = 'node-dead';
  const sender = await producer({ topic });
  await sender.send(message(topic, 'given up'));
  const attempts = [];
  const reader = new PushConsumer({
    ...common,
    consumerGroup: 'node-dead-group',
    subscriptions: new Map([[ topic, '*' ]]),
    messageListener: {
      consume(one) {
        attempts.push(one.deliveryAttempt);
        return ConsumeResult.FAILURE;
      },
    },
  });
  await reader.startup();
  await eventually(60, () => `attempts: ${attempts}`, () => attempts.length === 3);
  await sleep(1000);
  check(attempts.join() === '1,2,3', `attempts: ${attempts}`);
  say('given up after three tries');
}

run({ simple, push, ordered, transactions, dead });

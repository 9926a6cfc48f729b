'use strict';
// What Node programs do with RocketMQ's client over HTTP (@aliyunmq/mq-http-sdk), one part a run.

const { MQClient, MessageProperties } = require('@aliyunmq/mq-http-sdk');
const { accessKey, secretKey, say, check, run } = require('./check');

const client = new MQClient(`http://${process.argv[2]}`, accessKey || 'key', secretKey || 'secret');

/** Messages, or none. */
async function take(reader, how = 'consumeMessage') {
  try {
    return (await reader[how](16, 5)).body;
  } catch (error) {
    check(error.Code === 'MessageNotExist', error);
    return [];
  }
}

async function messages() {
  const producer = client.getProducer('', 'node-http');
  const properties = new MessageProperties();
  properties.messageKey('k1');
  properties.putProperty('own', '1');
  const body = ' <b>&amp; "é"\n ';
  const sent = await producer.publishMessage(body, 'a', properties);
  check(sent.code === 201 && sent.body.MessageId.length === 32, sent);
  await producer.publishMessage('of another tag', 'b');
  const reader = client.getConsumer('', 'node-http', 'node-http-group', 'a||c');
  const [ got, ...more ] = await take(reader);
  check(more.length === 0 && got.MessageBody === body && got.MessageTag === 'a', [ got, more ]);
  check(got.MessageId === sent.body.MessageId && got.MessageBodyMD5 === sent.body.MessageBodyMD5, [ got, sent ]);
  check(got.MessageKey === 'k1' && got.Properties.own === '1' && got.ConsumedTimes === '1', got);
  const done = await reader.ackMessage([ got.ReceiptHandle ]);
  check(done.code === 204, done);
  const refused = await reader.ackMessage([ 'no receipt' ]);
  check(refused.code === 404 && refused.body[0].ErrorCode === 'ReceiptHandleError', JSON.stringify(refused));
  check((await take(reader)).length === 0, 'acknowledged, and nothing else');
  say('published, consumed and acknowledged');
}

async function ordered() {
  const producer = client.getProducer('shop', 'node-http-ordered');
  const properties = new MessageProperties();
  properties.shardingKey('g');
  for (let i = 0; i < 20; i++) await producer.publishMessage(`m${i}`, '', properties);
  const reader = client.getConsumer('shop', 'node-http-ordered', 'node-http-group');
  const bodies = [];
  while (bodies.length < 20) {
    const part = await take(reader, 'consumeMessageOrderly');
    check(part.length > 0, bodies);
    bodies.push(...part.map(one => one.MessageBody));
    await reader.ackMessage(part.map(one => one.ReceiptHandle));
  }
  check(bodies.every((body, i) => body === `m${i}`), bodies);
  say('consumed in order');
}

run({ messages, ordered });

'use strict';
// What both programs in this folder check with. Prints a line a check; any failure ends a program with 1.

/** Of the environment, if there are some. */
const { ROCKETMQ_ACCESS_KEY: accessKey, ROCKETMQ_SECRET_KEY: secretKey } = process.env;

const say = line => console.log(line);

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function eventually(seconds, what, holds) {
  const end = Date.now() + seconds * 1000;
  while (!holds()) {
    check(Date.now() < end, `not within ${seconds} s: ${what()}`);
    await sleep(20);
  }
}

/** Waits for exactly these bodies, in any order, and that nothing follows. */
async function expectBodies(came, expected, seconds, what) {
  await eventually(seconds, () => `${what}: ${came.length} of ${expected.length}`, () => came.length >= expected.length);
  await sleep(500);
  const bodies = came.map(one => one.body.toString()).sort();
  check(JSON.stringify(bodies) === JSON.stringify([ ...expected ].sort()), `${what}: ${bodies} instead of ${expected}`);
}

function run(parts) {
  const part = parts[process.argv[3]];
  check(part, `no such part: ${process.argv[3]}`);
  part().then(() => process.exit(0), error => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { accessKey, secretKey, say, check, sleep, eventually, expectBodies, run };

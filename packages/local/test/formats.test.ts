// The two formats mean the same: every operation, given the same input as JSON and as CBOR, says the same, whatever is wrong with
// the input. In one process and without sockets, so that many thousand inputs go by; whatever an operation throws is AWS's.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KinesisError, type KinesisModel } from '../src/model/index.ts';
import { DEFAULT_CALLER } from '../src/server/caller.ts';
import { cborFormat } from '../src/server/cbor-format.ts';
import { jsonFormat } from '../src/server/json-format.ts';
import { jsonText } from '../src/server/json-writer.ts';
import { Models } from '../src/server/models.ts';
import { operations } from '../src/server/operations/index.ts';
import { WireError } from '../src/server/wire-error.ts';
import type { WireFormat } from '../src/server/wire-format.ts';
import { changedInput, inCbor, inJson } from './mutations.ts';
import { sdkRequests } from './sdk-requests.ts';

/** What has differed once. */
const examples: [{ operation: string; input: object }][] = [
  [{ operation: 'DeleteStream', input: { StreamName: 'orders', EnforceConsumerDeletion: '\ud800' } }],
  [{ operation: 'CreateStream', input: { StreamName: '\ud800', ShardCount: 2 } }],
];

/** When the stream and the consumer that the requests are about were made, and when they are asked for. */
const madeMs = 1_700_000_000_000;
const now = madeMs + 100_000;
const about = { streamName: 'orders', shardId: 'shardId-000000000000' };

test('every operation answers the same to JSON as to CBOR', async () => {
  let [byJson, byCbor] = [freshModels(), freshModels()];
  const shardIterator = modelOf(byJson).getShardIterator({ ...about, position: { kind: 'TRIM_HORIZON' } }, now);
  const requests = (await sdkRequests(shardIterator)).filter(({ operation }) => operations.has(operation));
  expect(new Set(requests.map(({ operation }) => operation)).size).toBe(operations.size);
  fc.assert(
    fc.property(changedInput(requests), ({ operation, input }) => {
      fc.pre(isTheSameInBoth(input));
      const answer = answerTo(operation, jsonFormat, inJson(input), byJson);
      expect(answerTo(operation, cborFormat, inCbor(input), byCbor)).toEqual(answer);
      if (isSpent(modelOf(byJson))) [byJson, byCbor] = [freshModels(), freshModels()];
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit: 4_000, examples },
  );
});

/** What an operation says: its answer, or its error. @throws what is no error of AWS's */
function answerTo(operation: string, format: WireFormat, body: Buffer, models: Models): unknown {
  try {
    const answer = operations.get(operation)?.(format.parse(body), format, {
      operation,
      models,
      now,
      caller: DEFAULT_CALLER,
    });
    if (answer?.kind === 'subscription') answer.subscription.end('cancelled');
    return answer?.kind === 'members' ? JSON.parse(jsonText(answer.members)) : answer?.kind;
  } catch (error) {
    if (error instanceof KinesisError || error instanceof WireError)
      return { type: error.type, message: error.message };
    throw error;
  }
}

function freshModels(): Models {
  const models = new Models({ limits: false, tokenKey: 'key', shardLimit: 200 }, (model) => {
    model.createStream({ name: about.streamName, shardCount: 2 }, madeMs);
    model.registerConsumer({ streamName: about.streamName, consumerName: 'billing' }, madeMs);
  });
  return models;
}

function modelOf(models: Models): KinesisModel {
  return models.of(DEFAULT_CALLER);
}

/** Whether the requests have deleted what they are about, or filled it up. */
function isSpent(model: KinesisModel): boolean {
  const stream = model.listStreams(now).find(({ name }) => name === about.streamName);
  return stream === undefined || !stream.consumers.has('billing') || stream.shards.length > 20;
}

/** JSON has no types for bytes and times: a text may be meant for a blob and a number for a time, which CBOR tells apart. */
function isTheSameInBoth(value: unknown, name = ''): boolean {
  if (value instanceof Uint8Array) return name === 'Data';
  if (value instanceof Date) return name.endsWith('Timestamp');
  if (typeof value === 'string') return name !== 'Data';
  if (typeof value === 'number') return !name.endsWith('Timestamp');
  if (Array.isArray(value)) return value.every((one) => isTheSameInBoth(one, name));
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([member, one]) => isTheSameInBoth(one, member));
}

// The producer's part of shards.ts, in a process of its own: the built package, with a client that answers in the process as Kinesis would.
import { setImmediate as turn } from 'node:timers/promises';
import { evenRanges } from '@shardline/common';
import { Producer, type ProducerOptions } from '@shardline/producer';
import { printCost, readLeg } from './shards-cost.ts';

interface Command {
  readonly constructor: { readonly name: string };
  readonly input: { readonly Records?: readonly { readonly ExplicitHashKey?: string }[] };
}

const FAR_BEYOND_LIMITS_PERCENT = 100_000;
/** Longer than it takes to buffer all that may be: what leaves has its company, or somebody waits for room. */
const BUFFERED_MS = 60_000;
const TTL_MS = 300_000;
/** Warm code, at few shards. */
const FEWEST_WARM_UP = 200_000;
const SEQUENCE_NUMBER = '49600000000000000000000000000000000000000000000000000001';

const leg = readLeg();
const { shards, outstanding, records, size } = leg;
const ranges = evenRanges(shards);
const width = (ranges[0]?.end ?? 0n) + 1n;
const shardIds = ranges.map((_, index) => `shardId-${String(index).padStart(12, '0')}`);
let kinesisRecordCount = 0;

const client = {
  config: {
    region: async () => 'us-east-1',
    credentials: async () => ({ accessKeyId: 'local', secretAccessKey: 'local' }),
  },
  async send({ constructor: { name }, input }: Command): Promise<object> {
    if (name === 'ListShardsCommand') return { Shards: listed() };
    if (name === 'DescribeStreamSummaryCommand') return { StreamDescriptionSummary: summary() };
    const answers = (input.Records ?? []).map(({ ExplicitHashKey = '0' }) => {
      kinesisRecordCount += 1;
      const shard = Math.min(shards - 1, Number(BigInt(ExplicitHashKey) / width));
      return { ShardId: shardIds[shard], SequenceNumber: SEQUENCE_NUMBER };
    });
    await turn();
    return { Records: answers, FailedRecordCount: 0 };
  },
  destroy: () => undefined,
} as unknown as NonNullable<ProducerOptions['client']>;

const producer = new Producer({
  stream: 'bench',
  client,
  recordMaxBufferedTimeMs: BUFFERED_MS,
  recordTtlMs: TTL_MS,
  rateLimitPercent: FAR_BEYOND_LIMITS_PERCENT,
  // From half of its bounds on `ready` waits.
  maxOutstandingRecordCount: 2 * outstanding,
  maxOutstandingBytes: Math.max(2 * outstanding * (size + 32), 2 ** 27),
});
const data = Buffer.alloc(size, 'shardline');
let keyCount = 0;
let failedCount = 0;
const onSettled = (error: unknown): void => {
  if (error !== undefined) failedCount += 1;
};
const onSuccess = (): void => undefined;
const onFailure = (): void => {
  failedCount += 1;
};

await Promise.all([producer.put({ partitionKey: 'warm', data }), producer.flush()]);
await put(Math.max(outstanding, FEWEST_WARM_UP));
kinesisRecordCount = 0;
const usedBefore = process.cpuUsage();
await put(records);
const used = process.cpuUsage(usedBefore);
const sentCount = kinesisRecordCount;
await producer.flush();
await producer.close();
if (failedCount > 0) throw new Error(`${failedCount} puts failed`);

printCost(used, records, sentCount);

/** Begins and ends with as many outstanding, so that as many leave as come. */
async function put(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    if (producer.outstandingRecordCount >= outstanding) await producer.ready;
    const partitionKey = `key-${keyCount}`;
    keyCount += 1;
    if (leg.face === 'callback') producer.put({ partitionKey, data }, onSettled);
    else producer.put({ partitionKey, data }).then(onSuccess, onFailure);
  }
}

function listed(): object[] {
  return ranges.map(({ start, end }, index) => ({
    ShardId: shardIds[index],
    HashKeyRange: { StartingHashKey: String(start), EndingHashKey: String(end) },
    SequenceNumberRange: { StartingSequenceNumber: '1' },
  }));
}

function summary(): object {
  return {
    StreamName: 'bench',
    StreamARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/bench',
    StreamStatus: 'ACTIVE',
    StreamModeDetails: { StreamMode: 'PROVISIONED' },
    OpenShardCount: shards,
  };
}

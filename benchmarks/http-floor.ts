// What Node itself takes for the calls of a process with many leases (leases.ts): the same number of equal requests a second, in
// bunches as the leases' come, to the same DynamoDB, made by bare `node:http` on kept connections, neither signed nor bounded nor
// read. Nothing that is built on `node:http` takes less, so what a consumer takes is judged as a multiple of it.
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface FloorOptions {
  readonly endpoint: string;
  /** A lease table that nobody uses any more. */
  readonly tableName: string;
  readonly callsPerSecond: number;
  /** How many are made at once. */
  readonly bunchCount: number;
  /** Before it is measured, so that the code is as warm as that which it is compared with. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Floor {
  readonly callsPerSecond: number;
  readonly bunchCount: number;
  readonly cpuPercent: number;
  readonly cpuMicrosPerCall: number;
}

const KEY = 'shardId-000000000001';
const MAX_SOCKETS = 50;
/** A renewal's headers have this size, nearly all of it the user agent and the signature. */
const FILLER = 'x'.repeat(160);

const renewal = {
  Key: { leaseKey: { S: KEY } },
  UpdateExpression: 'SET leaseCounter = :next, throughputKBps = :kBps',
  ConditionExpression: 'leaseCounter <> :counter AND attribute_not_exists(checkpointOwner)',
  ExpressionAttributeValues: { ':counter': { N: '43' }, ':next': { N: '44' }, ':kBps': { N: '0.5' } },
  ReturnValues: 'ALL_NEW',
  ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
};
/** A lease of one shard among many, so that the answer is as long as a renewal's. */
const row = {
  leaseKey: { S: KEY },
  leaseOwner: { S: '6f1c9a52-4a0f-4c1e-9f2e-1a2b3c4d5e6f' },
  leaseCounter: { N: '44' },
  checkpoint: { S: '49590338271490256608559692538361571095921575989136588898' },
  checkpointSubSequenceNumber: { N: '0' },
  ownerSwitchesSinceCheckpoint: { N: '0' },
  startingHashKey: { S: '340282366920938463463374607431768211' },
  endingHashKey: { S: '680564733841876926926749214863536422' },
  throughputKBps: { N: '0.5' },
  entityType: { S: 'LEASE' },
};

/** A steady stream of updates to one row. */
export async function measureFloor(options: FloorOptions): Promise<Floor> {
  const { endpoint, tableName, callsPerSecond, bunchCount, warmUpMs, measureMs } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const post = poster(endpoint, agent);
  await post('PutItem', { TableName: tableName, Item: row });
  let callCount = 0;
  let failure: unknown;
  const bunch = (): void => {
    for (let call = 0; call < bunchCount; call += 1) {
      post('UpdateItem', { TableName: tableName, ...renewal }).then(
        () => {
          callCount += 1;
        },
        (error: unknown) => {
          failure = error;
        },
      );
    }
  };
  const timer = setInterval(bunch, (1_000 * bunchCount) / callsPerSecond);
  try {
    await sleep(warmUpMs);
    callCount = 0;
    const before = process.cpuUsage();
    const fromMs = performance.now();
    await sleep(measureMs);
    const { user, system } = process.cpuUsage(before);
    const elapsedMs = performance.now() - fromMs;
    if (failure !== undefined) throw failure;
    return {
      callsPerSecond: Math.round((10_000 * callCount) / elapsedMs) / 10,
      bunchCount,
      cpuPercent: Math.round((user + system) / elapsedMs) / 10,
      cpuMicrosPerCall: Math.round((user + system) / callCount),
    };
  } finally {
    clearInterval(timer);
    agent.destroy();
  }
}

/** Resolves with the status 200's end. Any other answer rejects. */
function poster(endpoint: string, agent: Agent): (operation: string, input: object) => Promise<void> {
  const { hostname: host, port } = new URL(endpoint);
  return (operation, input) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(input);
      const headers = {
        'content-type': 'application/x-amz-json-1.0',
        'content-length': Buffer.byteLength(body),
        'x-amz-target': `DynamoDB_20120810.${operation}`,
        'x-amz-date': '20260101T000000Z',
        'user-agent': FILLER,
        authorization: `AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0${FILLER}`,
      };
      const call = request({ host, port, method: 'POST', path: '/', agent, headers }, (answer) => {
        answer.resume();
        answer.on('end', () => {
          if (answer.statusCode === 200) resolve();
          else reject(new Error(`${operation} was answered with ${answer.statusCode}`));
        });
        answer.on('error', reject);
      });
      call.on('error', reject);
      call.end(body);
    });
}

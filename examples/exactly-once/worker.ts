// The worker of 05-exactly-once.ts, in a process of its own: bills orders into SQLite, each exactly once. The table of bills would take an
// order twice; what keeps it from that are the progress and the fencing token, which are written in the same transaction.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer, type ShardContext, type UserRecord } from '@shardline/consumer';
import type { LocalDynamoDB, LocalKinesis } from '@shardline/local';
import { openDatabase } from './sqlite.js';

interface Settings {
  readonly kinesis: LocalKinesis['clientConfig'];
  readonly dynamoDB: LocalDynamoDB['clientConfig'];
  readonly database: string;
}

/** What it tells its parent after each batch. */
export interface Billed {
  readonly orders: number;
  readonly distinct: number;
  readonly amount: number;
  /** Orders that came to this worker although they were billed. */
  readonly passedOver: number;
}

const settings = JSON.parse(process.argv[2] as string) as Settings;
const database = await openDatabase(settings.database);
database.exec(`
  CREATE TABLE IF NOT EXISTS bills (number INTEGER NOT NULL, amount INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS progress (
    leaseKey TEXT PRIMARY KEY, token INTEGER NOT NULL, sequenceNumber TEXT NOT NULL, subSequenceNumber INTEGER NOT NULL
  );
`);
const claim = database.prepare(`
  INSERT INTO progress VALUES (?, ?, '-1', 0)
  ON CONFLICT (leaseKey) DO UPDATE SET token = excluded.token WHERE token <= excluded.token
`);
const readProgress = database.prepare('SELECT sequenceNumber, subSequenceNumber FROM progress WHERE leaseKey = ?');
// A worker that was shown a greater token has the lease: then no row is changed.
const move = database.prepare(
  'UPDATE progress SET sequenceNumber = ?, subSequenceNumber = ? WHERE leaseKey = ? AND token = ?',
);
const bill = database.prepare('INSERT INTO bills VALUES (?, ?)');
const count = database.prepare(
  'SELECT COUNT(*) orders, COUNT(DISTINCT number) "distinct", SUM(amount) amount FROM bills',
);

/** How far the records of each lease are in the database. */
const progress = new Map<string, { sequenceNumber: bigint; subSequenceNumber: number }>();
let passedOver = 0;

/** A greater token than any before: from here on nobody else can write for this lease. */
function initialize(_: unknown, { leaseKey, fencingToken }: ShardContext): void {
  if (claim.run(leaseKey, fencingToken).changes === 0) throw new Error(`another worker has ${leaseKey} by now`);
  const row = readProgress.get(leaseKey) as { sequenceNumber: string; subSequenceNumber: number };
  progress.set(leaseKey, { ...row, sequenceNumber: BigInt(row.sequenceNumber) });
}

function processRecords({ records }: { readonly records: readonly UserRecord[] }, context: ShardContext): void {
  const { leaseKey, fencingToken } = context;
  const fresh = records.filter((record) => isNew(record, leaseKey));
  passedOver += records.length - fresh.length;
  const last = fresh.at(-1);
  if (last === undefined) return;
  const { sequenceNumber, subSequenceNumber } = last;
  database.exec('BEGIN IMMEDIATE');
  try {
    for (const { data } of fresh) {
      const { order, amount } = JSON.parse(Buffer.from(data).toString()) as { order: number; amount: number };
      bill.run(order, amount);
    }
    const { changes } = move.run(sequenceNumber, subSequenceNumber, leaseKey, fencingToken);
    if (changes === 0) throw new Error(`the token of another worker is greater: ${leaseKey} is its by now`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
  progress.set(leaseKey, { sequenceNumber: BigInt(sequenceNumber), subSequenceNumber });
  process.send?.({ ...(count.get() as Omit<Billed, 'passedOver'>), passedOver } satisfies Billed);
}

/** Behind what is in the database. User records of one aggregate share their sequence number. */
function isNew({ sequenceNumber, subSequenceNumber }: UserRecord, leaseKey: string): boolean {
  const to = progress.get(leaseKey);
  if (to === undefined) throw new Error(`${leaseKey} was not opened`);
  const number = BigInt(sequenceNumber);
  return number > to.sequenceNumber || (number === to.sequenceNumber && subSequenceNumber > to.subSequenceNumber);
}

const kinesisClient = createKinesisClient({ ...settings.kinesis, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(settings.dynamoDB);
const consumer = new Consumer({
  application: 'billing',
  stream: 'orders',
  kinesisClient,
  dynamoDBClient,
  // So that nobody has to wait for long until the leases of the killed worker have run out.
  failoverTimeMs: 2_000,
});
process.once('message', () => void consumer.stop());
await consumer.run({ initialize, processRecords });
kinesisClient.destroy();
dynamoDBClient.destroy();
database.close();
process.disconnect();

// The worker of 05-exactly-once.ts, in a process of its own: bills orders into SQLite, each exactly once. The table of bills would take an
// order twice; what keeps it from that are the progress and the fencing token, which are written in the same transaction.
// Each tenure of a shard has a handler of its own, which remembers how far the records of the shard are in the database.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { type Batch, Consumer, type ShardContext, type ShardHandler, type UserRecord } from '@shardline/consumer';
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

let passedOver = 0;

class Billing implements ShardHandler {
  readonly #leaseKey: string;
  /** Greater than that of any handler that the lease had before. */
  readonly #token: number;
  /** How far the records of the lease are in the database. */
  #billedTo = { sequenceNumber: -1n, subSequenceNumber: 0 };

  constructor({ leaseKey, fencingToken }: ShardContext) {
    this.#leaseKey = leaseKey;
    this.#token = fencingToken;
  }

  /** From here on nobody with a smaller token can write for this lease. */
  initialize(): void {
    if (claim.run(this.#leaseKey, this.#token).changes === 0) throw this.#late();
    const row = readProgress.get(this.#leaseKey) as { sequenceNumber: string; subSequenceNumber: number };
    this.#billedTo = { ...row, sequenceNumber: BigInt(row.sequenceNumber) };
  }

  processRecords({ records }: Batch): void {
    const fresh = records.filter((record) => this.#isNew(record));
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
      if (move.run(sequenceNumber, subSequenceNumber, this.#leaseKey, this.#token).changes === 0) throw this.#late();
      database.exec('COMMIT');
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
    this.#billedTo = { sequenceNumber: BigInt(sequenceNumber), subSequenceNumber };
    process.send?.({ ...(count.get() as Omit<Billed, 'passedOver'>), passedOver } satisfies Billed);
  }

  /** Behind what is in the database. User records of one aggregate share their sequence number. */
  #isNew({ sequenceNumber, subSequenceNumber }: UserRecord): boolean {
    const number = BigInt(sequenceNumber);
    const to = this.#billedTo;
    return number > to.sequenceNumber || (number === to.sequenceNumber && subSequenceNumber > to.subSequenceNumber);
  }

  #late(): Error {
    return new Error(`another worker has ${this.#leaseKey} by now: it has shown a greater token`);
  }
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
await consumer.run({ createHandler: (context) => new Billing(context) });
kinesisClient.destroy();
dynamoDBClient.destroy();
database.close();
process.disconnect();

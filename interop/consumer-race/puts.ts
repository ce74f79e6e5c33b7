// A stream that little comes into, for the latency from a put to the handler: the local Kinesis in this process, which has nothing
// else to do, and a record every so often, into each shard in turn. Its data is the time of its put.
import { setTimeout as sleep } from 'node:timers/promises';
import { PutRecordCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient, evenRanges } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';

const PUT_INTERVAL_MS = 25;

export class Puts implements AsyncDisposable {
  readonly #local: LocalKinesis;
  readonly #shards: number;
  readonly #ending = new AbortController();
  readonly #putting: Promise<void>;

  static async start(shards: number): Promise<Puts> {
    const local = await startLocalKinesis({ streams: [{ name: 'race', shardCount: shards }] });
    return new Puts(local, shards);
  }

  private constructor(local: LocalKinesis, shards: number) {
    this.#local = local;
    this.#shards = shards;
    this.#putting = this.#put();
  }

  get endpoint(): string {
    return this.#local.endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#putting;
    await this.#local.close();
  }

  async #put(): Promise<void> {
    const client = createKinesisClient(this.#local.clientConfig);
    const hashKeys = evenRanges(this.#shards).map(({ start }) => String(start));
    for (let count = 0; !this.#ending.signal.aborted; count += 1) {
      const pause = sleep(PUT_INTERVAL_MS);
      const ExplicitHashKey = hashKeys[count % hashKeys.length];
      const Data = Buffer.from(String(process.hrtime.bigint()));
      await client.send(new PutRecordCommand({ StreamName: 'race', PartitionKey: 'k', ExplicitHashKey, Data }));
      await pause;
    }
    client.destroy();
  }
}

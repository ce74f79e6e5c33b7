// What a contender of ours measures of itself, in its handler: from the end of the warm-up to the last record asked for, or each
// record's time since its put. It says its outcome once, as a line of JSON; whoever started it then ends it.
import type { Outcome, Settings } from './settings.ts';

/** After the first record of the last shard: a new reader still comes to rest. */
const SETTLING_NS = 2_000_000_000n;

export class Measurement {
  readonly #settings: Settings;
  readonly #shardIds = new Set<string>();
  readonly #latencyMs: number[] = [];
  #records = 0;
  #bytes = 0;
  #firstAtMs = 0;
  #from:
    | { readonly atMs: number; readonly records: number; readonly bytes: number; readonly cpu: NodeJS.CpuUsage }
    | undefined;
  #allHeardAtNs: bigint | undefined;
  #isOver = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** A batch was given to the handler. Every record is looked at, as an application would. */
  handled(shardId: string, batch: readonly { readonly data: Uint8Array }[], userRecordCount = 1): void {
    if (this.#isOver || batch.length === 0) return;
    if (this.#settings.latencyCount > 0) this.#time(shardId, batch);
    else this.#count(batch, userRecordCount);
  }

  #count(batch: readonly { readonly data: Uint8Array }[], userRecordCount: number): void {
    for (const { data } of batch) this.#bytes += data.length;
    this.#records += batch.length * userRecordCount;
    const { warmUpRecords, records, longestSeconds } = this.#settings;
    const atMs = performance.now();
    if (this.#firstAtMs === 0) this.#firstAtMs = atMs;
    if (this.#from === undefined) {
      if (this.#records < warmUpRecords && atMs - this.#firstAtMs < longestSeconds * 1000) return;
      this.#from = { atMs, records: this.#records, bytes: this.#bytes, cpu: process.cpuUsage() };
    } else if (this.#records - this.#from.records >= records || atMs - this.#from.atMs >= longestSeconds * 1000) {
      this.#say(atMs);
    }
  }

  #time(shardId: string, batch: readonly { readonly data: Uint8Array }[]): void {
    const now = process.hrtime.bigint();
    const { shards, latencyCount } = this.#settings;
    if (this.#shardIds.add(shardId).size === shards) this.#allHeardAtNs ??= now;
    if (this.#allHeardAtNs === undefined) return;
    for (const { data } of batch) {
      const putAt = BigInt(Buffer.from(data).toString());
      if (putAt > this.#allHeardAtNs + SETTLING_NS) this.#latencyMs.push(Number(now - putAt) / 1e6);
    }
    if (this.#latencyMs.length >= latencyCount) this.#say(performance.now());
  }

  #say(atMs: number): void {
    this.#isOver = true;
    const from = this.#from ?? { atMs, records: this.#records, bytes: this.#bytes, cpu: process.cpuUsage() };
    const { user, system } = process.cpuUsage(from.cpu);
    const outcome: Outcome = {
      records: this.#records - from.records,
      bytes: this.#bytes - from.bytes,
      seconds: (atMs - from.atMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      peakResidentBytes: process.resourceUsage().maxRSS * 1024,
      latencyMs: this.#latencyMs,
    };
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  }
}

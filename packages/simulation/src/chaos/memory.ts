// What a producer's process needs while Kinesis throttles for minutes, and more is put than there is room for: the local Kinesis in a
// process of its own, so that only the producer is measured. Nothing that has settled may be kept, nor anything more of what
// has not with every attempt.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createKinesisClient, delay, systemClock } from '@shardline/common';
import type { FaultRule, LocalClientConfig } from '@shardline/local';
import { Producer } from '@shardline/producer';

export interface MemoryOptions {
  /** How long Kinesis throttles. */
  readonly durationMs: number;
  readonly dataBytes: number;
  /** Of the records that are sent, so many are refused: 0 to 1. */
  readonly refusedShare: number;
  readonly onSample?: (sample: MemorySample) => void;
}

/** What was seen within ten seconds. */
export interface MemorySample {
  readonly second: number;
  /** The most of the process. */
  readonly residentMB: number;
  /** The longest that its event loop was kept from turning. */
  readonly stalledMs: number;
  readonly outstanding: number;
  readonly settled: number;
}

export interface MemoryResult {
  readonly samples: readonly MemorySample[];
  /** Heap and buffers after a collection, soon after each third of the time. The last two are to be alike. */
  readonly retainedMB: readonly number[];
  readonly puts: number;
  readonly refusedPuts: number;
  readonly succeeded: number;
  readonly failed: number;
}

const STREAM = 'orders';
const SAMPLE_MS = 250;
const SAMPLES_A_LINE = 40;
/** A put that is refused for want of room is tried again so soon. */
const TICK_MS = 5;
const MOST_PUTS_A_TICK = 500;
const KEY_COUNT = 10_000;
/** What is retained is looked at when nothing has expired for so long, and so long after it is due at the latest. */
const CALM_MS = 1_000;
const MOST_EXTRA_MS = 15_000;
const DELAY_RESOLUTION_MS = 5;

export async function measureMemory(options: MemoryOptions): Promise<MemoryResult> {
  const { durationMs, dataBytes, refusedShare, onSample } = options;
  const fault: FaultRule = { kind: 'throttle', operation: 'PutRecords', perRecord: true, probability: refusedShare };
  const server = spawn(process.execPath, [
    fileURLToPath(new URL('../../../local/dist/bin.js', import.meta.url)),
    ...['--port', '0', '--stream', `${STREAM}:4`, '--fault', JSON.stringify(fault)],
  ]);
  try {
    const client = createKinesisClient({ ...(await clientConfigOf(server)), maxAttempts: 1 });
    const producer = new Producer({ stream: STREAM, client });
    const ends = new AbortController();
    const counts = { puts: 0, refusedPuts: 0, succeeded: 0, failed: 0 };
    const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    const sampling = sample(producer, counts, { delays, signal: ends.signal, onSample });
    const data = Buffer.alloc(dataBytes, 'x');
    const startMs = systemClock.now();
    const retainedMB: number[] = [];
    for (const third of [1, 2, 3]) {
      const dueMs = startMs + (third * durationMs) / 3;
      let failed = counts.failed;
      // While all that is outstanding expires and is put anew, some of both is there.
      for (let calmMs = dueMs; systemClock.now() < Math.min(dueMs + MOST_EXTRA_MS, calmMs); ) {
        putWhileThereIsRoom(producer, data, counts);
        await delay(systemClock, TICK_MS);
        if (counts.failed > failed) calmMs = Math.max(dueMs, systemClock.now() + CALM_MS);
        failed = counts.failed;
      }
      // The collection that is asked for here is no stall of the producer's.
      delays.disable();
      retainedMB.push(retained());
      delays.enable();
    }
    ends.abort();
    const samples = await sampling;
    await producer.close({ timeoutMs: 0 });
    client.destroy();
    return { samples, retainedMB, ...counts };
  } finally {
    server.kill();
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }
}

interface Sampling {
  readonly delays: IntervalHistogram;
  readonly signal: AbortSignal;
  readonly onSample: MemoryOptions['onSample'];
}

interface Counts {
  puts: number;
  refusedPuts: number;
  succeeded: number;
  failed: number;
}

/** And one more, which is refused. */
function putWhileThereIsRoom(producer: Producer, data: Buffer, counts: Counts): void {
  for (let count = 0; count < MOST_PUTS_A_TICK; count++) {
    const outstanding = producer.outstandingRecordCount;
    producer.put({ partitionKey: `key-${counts.puts++ % KEY_COUNT}`, data }, (error) => {
      if (error === undefined) counts.succeeded++;
      else if (error.code === 'BUFFER_FULL') counts.refusedPuts++;
      else counts.failed++;
    });
    if (producer.outstandingRecordCount === outstanding) return;
  }
}

async function sample(
  producer: Producer,
  counts: Counts,
  { delays, signal, onSample }: Sampling,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = [];
  const startMs = systemClock.now();
  delays.enable();
  while (!signal.aborted) {
    let residentMB = 0;
    for (let index = 0; index < SAMPLES_A_LINE && !signal.aborted; index++) {
      await delay(systemClock, SAMPLE_MS);
      residentMB = Math.max(residentMB, process.memoryUsage.rss() / 1e6);
    }
    const line = {
      second: Math.round((systemClock.now() - startMs) / 1_000),
      residentMB: Math.round(residentMB),
      stalledMs: Math.max(0, Math.round(delays.max / 1e6) - DELAY_RESOLUTION_MS),
      outstanding: producer.outstandingRecordCount,
      settled: counts.succeeded + counts.failed,
    };
    delays.reset();
    samples.push(line);
    onSample?.(line);
  }
  return samples;
}

function retained(): number {
  if (globalThis.gc === undefined) throw new Error('expected node --expose-gc, got none');
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1e6);
}

async function clientConfigOf({ stdout }: ChildProcess): Promise<LocalClientConfig> {
  if (stdout === null) throw new Error('expected the standard output of the local Kinesis, got none');
  const lines = createInterface({ input: stdout });
  const [first] = (await once(lines, 'line')) as [string];
  const { port } = JSON.parse(first) as { readonly port: number };
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  return { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials };
}

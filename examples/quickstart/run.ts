// The quickstart's story, top to bottom: the local AWS starts, two workers share the shards, the lines flow in, a shard is
// split, a worker is killed and another one started, all lines come through, everything stops. It only tells others what to do
// and waits for what they say; what it proves is counted in tally.ts.
// Invariant: it comes to an end: every wait has a time-out that says what was missing, and whatever fails anywhere aborts all
// waits.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createKinesisClient, invariant } from '@shardline/common';
import { Producer } from '@shardline/producer';
import { Child } from './child.ts';
import { reach } from './endpoint.ts';
import { Feed } from './feed.ts';
import { Fleet } from './fleet.ts';
import type { LineSource } from './line-reader.ts';
import type { Endpoints, FromLocalAws, ToLocalAws } from './messages.ts';
import { childShardIds, openShardIds, splitInTheMiddle } from './stream.ts';
import { type Proof, Tally } from './tally.ts';
import { until } from './until.ts';
import { count, type Snapshot, type View } from './view.ts';

export interface RunOptions {
  readonly source: LineSource;
  readonly view: View;
  /** Aborted from outside (Ctrl-C), and by the run itself when something fails. */
  readonly controller: AbortController;
}

export interface RunResult {
  readonly proof: Proof;
  /** Distinct lines handled, from the first put to the last report. */
  readonly recordsPerSecond: number;
  readonly splits: number;
  /** Workers ended by SIGKILL. */
  readonly kills: number;
}

const STREAM = 'quickstart-lines';
const APPLICATION = 'quickstart';
const SHARD_COUNT = 3;
const WORKER_COUNT = 2;
/** Shares of the planned lines that have been put. */
const SPLIT_AT = 0.3;
const KILL_AT = 0.6;
/** What a producer may hold at most; at 3 MB a second this is gone within 6 s. */
const MAX_OUTSTANDING_BYTES: number = 16 * 1024 * 1024;
/** The longest that a record may be on its way: far more than it takes, so that throttling alone can't lose one. */
const RECORD_TTL_MS = 120_000;

/** @throws OperatingError, UsageError (a line that is too long), or the reason with which the controller was aborted. */
export async function run({ source, view, controller }: RunOptions): Promise<RunResult> {
  const { signal } = controller;
  const onCrash = (error: unknown): void => controller.abort(error);
  const tally = new Tally();
  const feed = new Feed({ lines: source.lines, tally, signal, onPutFailed: onCrash });
  await feed.readAhead();

  const aws = await startLocalAws(signal, onCrash);
  view.event(`Kinesis with ${SHARD_COUNT} shards, limits on, and DynamoDB run on this machine`);
  const { endpoints } = aws;
  const onEvent = (text: string): void => view.event(text);
  const fleet = new Fleet({ application: APPLICATION, stream: STREAM, endpoints, tally, onEvent, onCrash });
  view.start(() => snapshotOf(source.name, view, feed, tally, fleet));

  // The producer does the retrying.
  const client = createKinesisClient({ ...reach(endpoints.kinesis), maxAttempts: 1 });
  const scene: Scene = { view, signal, client, tally, feed, fleet };
  let disturbances: Disturbances;
  try {
    for (let started = 0; started < WORKER_COUNT; started++) fleet.start();
    await allShardsRead(scene);
    disturbances = await putAllAndDisturb(scene, onCrash);
    await allLinesHandled(scene);
    await allShardsRead(scene);
    view.stop();
    await fleet.stopAll();
    view.event('the workers gave up their leases and ended');
  } finally {
    client.destroy();
  }
  await aws.child.end({ kind: 'stop' });
  signal.throwIfAborted();
  const proof = tally.proof();
  const tookMs = (fleet.lastHandledAtMs ?? Number.POSITIVE_INFINITY) - (feed.startedAtMs ?? 0);
  return { proof, recordsPerSecond: Number(((proof.linesHandled * 1_000) / tookMs).toPrecision(4)), ...disturbances };
}

/** What the parts of the story act on. */
interface Scene {
  readonly view: View;
  readonly signal: AbortSignal;
  readonly client: KinesisClient;
  readonly tally: Tally;
  readonly feed: Feed;
  readonly fleet: Fleet;
}

interface Disturbances {
  readonly splits: number;
  readonly kills: number;
}

async function startLocalAws(
  signal: AbortSignal,
  onCrash: (error: unknown) => void,
): Promise<{ readonly child: Child<FromLocalAws, ToLocalAws>; readonly endpoints: Endpoints }> {
  let endpoints: Endpoints | undefined;
  const child = new Child<FromLocalAws, ToLocalAws>({
    name: 'the local AWS',
    module: './local-aws.js',
    settings: { stream: STREAM, shardCount: SHARD_COUNT },
    onMessage: (message) => {
      endpoints = message.endpoints;
    },
    onCrash,
  });
  const missing = () => 'it has not said that it listens';
  await until('the local Kinesis and DynamoDB', () => endpoints !== undefined, { signal, missing });
  invariant(endpoints !== undefined, 'the wait was for them');
  return { child, endpoints };
}

/** Every open shard is read by a living worker, and all workers run. */
async function allShardsRead({ fleet, client, signal }: Scene): Promise<void> {
  const wanted = await openShardIds(client, STREAM);
  const isSo = (): boolean => {
    const held = fleet.heldShardIds();
    return wanted.every((shardId) => held.has(shardId)) && fleet.workers.every(({ state }) => state !== 'starting');
  };
  await until('every open shard to be read by a worker', isSo, { signal, missing: () => describeHolders(fleet) });
}

async function putAllAndDisturb(scene: Scene, onCrash: (error: unknown) => void): Promise<Disturbances> {
  const { view, signal, client, tally, feed } = scene;
  const producer = new Producer({
    stream: STREAM,
    client,
    maxOutstandingBytes: MAX_OUTSTANDING_BYTES,
    recordTtlMs: RECORD_TTL_MS,
  });
  try {
    // What fails in it ends the wait below, by the signal.
    const fed = feed.run(producer).catch(onCrash);
    const disturbances = await disturb(scene);
    await until('all lines to be put', () => feed.isSettled, {
      signal,
      progress: () => feed.settledCount,
      missing: () => `${count(tally.linesIn - feed.settledCount)} of ${count(tally.linesIn)} lines are on the way`,
    });
    await fed;
    view.event(`all ${count(tally.linesIn)} lines are in the stream`);
    return disturbances;
  } finally {
    // After success nothing is outstanding; after a failure nothing is waited for.
    await producer.close({ timeoutMs: 0 });
  }
}

async function allLinesHandled({ view, signal, tally, fleet }: Scene): Promise<void> {
  await until('all lines to be handled', () => tally.linesHandled === tally.linesIn, {
    signal,
    progress: () => tally.linesHandled,
    missing: () => `${describeMissing(tally.proof())}; ${describeHolders(fleet)}`,
  });
  view.event('all lines were handled');
}

/** Splits a shard, then kills a worker and starts another, while the lines flow. */
async function disturb({ view, signal, client, feed, fleet }: Scene): Promise<Disturbances> {
  const share = (): number => feed.share;
  const missing = (): string => `${Math.floor(feed.share * 100)} % are`;
  const reached = (at: number): Promise<void> =>
    until(`${at * 100} % of the lines to be put`, () => feed.share >= at, { signal, progress: share, missing });

  await reached(SPLIT_AT);
  const open = await openShardIds(client, STREAM);
  const busiest = fleet.shards
    .filter(({ shardId }) => open.includes(shardId))
    .reduce((a, b) => (b.lineCount > a.lineCount ? b : a));
  await splitInTheMiddle(client, STREAM, busiest.shardId);
  const children = await childrenOf(busiest.shardId, client, signal);
  view.event(`${busiest.shardId} was SPLIT into ${children.join(' and ')}`);

  await reached(KILL_AT);
  const anyRead = (): boolean => fleet.heldShardIds().size > 0;
  await until('a worker to read a shard', anyRead, { signal, missing: () => describeHolders(fleet) });
  const victim = await fleet.killBusiest();
  invariant(victim !== undefined, 'a worker reads a shard');
  view.event(`${victim.workerId} was KILLED (SIGKILL) while it read ${victim.shardIds.join(' and ')}`);
  const successor = fleet.start();
  view.event(`${successor.workerId} was started`);
  return { splits: 1, kills: 1 };
}

async function childrenOf(shardId: string, client: KinesisClient, signal: AbortSignal): Promise<string[]> {
  let children: string[] = [];
  const areThere = async (): Promise<boolean> => {
    children = await childShardIds(client, STREAM, shardId);
    return children.length === 2;
  };
  await until(`the children of ${shardId}`, areThere, { signal, missing: () => `there are ${children.length}` });
  return children;
}

function snapshotOf(inputName: string, view: View, feed: Feed, tally: Tally, fleet: Fleet): Snapshot {
  return {
    inputName,
    elapsedMs: view.elapsedMs,
    nowMs: performance.now(),
    plannedCount: feed.plannedCount,
    isPlanWhole: feed.isPlanWhole,
    putCount: tally.linesIn,
    settledCount: feed.settledCount,
    handledCount: tally.linesHandled,
    duplicates: tally.duplicates,
    shards: fleet.shards,
    workers: fleet.workers,
  };
}

function describeHolders(fleet: Fleet): string {
  const shards = fleet.shards
    .filter(({ isEnded }) => !isEnded)
    .map(({ shardId, workerId }) => `${shardId} is read by ${workerId ?? 'nobody'}`);
  const workers = fleet.workers.map(({ workerId, state }) => `${workerId} is ${state}`);
  return [...shards, ...workers].join(', ');
}

function describeMissing({ linesIn, linesHandled, missingLineNumbers }: Proof): string {
  return `${count(linesIn - linesHandled)} of ${count(linesIn)} lines are missing, first ${missingLineNumbers.join(', ')}`;
}

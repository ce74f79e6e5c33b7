// Reads a data folder back. The last segment says how things stand and which other segments belong to it; the others only give
// records. What is broken at the very end was being written when the process or the machine stopped: it was promised to nobody
// and is cut off. What is broken anywhere else is refused, because going on would lose silently what was promised.
import { type Logger, unreachable } from '@shardline/common/base';
import { NEW_ACCOUNT_SETTINGS } from '../model/account-settings.ts';
import type {
  AccountSettings,
  ModelState,
  RestoredModel,
  ShardState,
  StoredRecord,
  StreamState,
} from '../model/index.ts';
import {
  CONTROL_PAYLOAD,
  type Control,
  type Place,
  readControlPayload,
  type SealedSegment,
  type Snapshot,
} from './control-payload.ts';
import { damaged } from './data-errors.ts';
import { type Entry, entriesAfter, entryAt, readSegmentHeader, SEGMENT_HEADER_BYTES } from './entry.ts';
import type { Folder } from './folder.ts';
import { RECORDS_PAYLOAD, type Run, recordsOf, runsOf } from './records-payload.ts';
import { Segment, type ShardKey, segmentName, segmentNumber, shardKey } from './segment.ts';

export interface Recovered {
  readonly tokenKey: string;
  readonly models: ReadonlyMap<Place, RestoredModel>;
  readonly sealed: readonly Segment[];
  /** The segment to go on with. Its file may be longer than `sizeBytes`: the rest is to be cut off. */
  readonly last: { readonly segment: Segment; readonly salt: number };
  /** How much of the last segment was cut off. */
  readonly cutBytes: number;
}

/** Undefined when the folder holds no segment. @throws OperatingError DATA_DAMAGED, DATA_VERSION */
export function recover(folder: Folder, logger: Logger): Recovered | undefined {
  const numbers = folder
    .names()
    .map(segmentNumber)
    .filter((number) => number !== undefined);
  if (numbers.length === 0) return undefined;
  const last = readSegment(folder, Math.max(...numbers), logger);
  const standing = new Standing(last);
  const runs = new RunsByShard(standing);
  const sealed = standing.sealed.map((listed) => runs.take(readSealed(folder, listed)));
  const segment = runs.take(last);
  return {
    tokenKey: standing.tokenKey,
    models: new Map(Array.from(standing.places, (place) => [place, runs.model(place)])),
    sealed,
    last: { segment, salt: last.salt },
    cutBytes: last.bytes.length - segment.sizeBytes,
  };
}

interface SegmentContent {
  readonly path: string;
  readonly number: number;
  readonly salt: number;
  readonly bytes: Buffer;
  readonly entries: readonly Entry[];
  /** Where the last whole entry ends. */
  readonly end: number;
}

function readSegment(folder: Folder, number: number, logger?: Logger): SegmentContent {
  const path = `${folder.path}/${segmentName(number)}`;
  const bytes = folder.read(segmentName(number));
  const header = readSegmentHeader(bytes, path);
  if (header.number !== number) throw damaged(path, 20, `it is segment ${header.number}`);
  const entries: Entry[] = [];
  let end = SEGMENT_HEADER_BYTES;
  for (let entry = entryAt(bytes, header.salt, end); entry !== undefined; entry = entryAt(bytes, header.salt, end)) {
    entries.push(entry);
    end = entry.end;
  }
  if (end < bytes.length) {
    if (logger === undefined) throw damaged(path, end, 'an entry is broken');
    refuseInTheMiddle(path, bytes, header.salt, end);
    logger.warn(
      { file: path, offset: end, cutBytes: bytes.length - end },
      `${path}: cut off ${bytes.length - end} bytes of an entry that was never finished`,
    );
  }
  return { path, number, salt: header.salt, bytes, entries, end };
}

/** Whole entries that know the broken place to have been on the disk tell a damage from a sudden stop. */
function refuseInTheMiddle(path: string, bytes: Buffer, salt: number, offset: number): void {
  for (const { offset: later, safeBytes } of entriesAfter(bytes, salt, offset)) {
    if (safeBytes > offset) throw damaged(path, offset, `an entry is broken, and a whole one follows at byte ${later}`);
  }
}

function readSealed(folder: Folder, { number, sizeBytes }: SealedSegment): SegmentContent {
  const path = `${folder.path}/${segmentName(number)}`;
  if (!folder.names().includes(segmentName(number))) throw damaged(path, 0, 'the file is missing');
  const content = readSegment(folder, number);
  if (content.end !== sizeBytes) throw damaged(path, content.end, `it ends here, and was ${sizeBytes} bytes long`);
  return content;
}

interface PlaceState {
  incarnations: number;
  account: AccountSettings;
  readonly streams: Map<number, StreamState>;
}

/** How things stand: the last snapshot, and what changed since. */
class Standing {
  #snapshot: Snapshot | undefined;
  readonly #places: Map<Place, PlaceState> = new Map();

  constructor({ path, entries, end }: SegmentContent) {
    for (const { payload, offset } of entries) {
      if (payload[0] !== CONTROL_PAYLOAD) continue;
      try {
        this.#apply(readControlPayload(payload));
      } catch (error) {
        throw damaged(path, offset, `its content does not parse: ${(error as Error).message}`);
      }
    }
    if (this.#snapshot === undefined) throw damaged(path, end, 'the snapshot that a segment begins with is broken');
  }

  get tokenKey(): string {
    return this.#snapshot?.tokenKey ?? '';
  }

  get sealed(): readonly SealedSegment[] {
    return this.#snapshot?.sealed ?? [];
  }

  get places(): Iterable<Place> {
    return this.#places.keys();
  }

  stateOf(place: Place): ModelState {
    const { incarnations, account, streams } = this.#at(place);
    return { incarnations, account, streams: [...streams.values()] };
  }

  #apply(control: Control): void {
    switch (control.kind) {
      case 'snapshot':
        this.#snapshot = control;
        this.#places.clear();
        for (const [place, { incarnations, account, streams }] of Object.entries(control.models)) {
          const byIncarnation = new Map(streams.map((stream) => [stream.incarnation, stream]));
          this.#places.set(place, { incarnations, account, streams: byIncarnation });
        }
        break;
      case 'changed': {
        const state = this.#at(control.place);
        state.incarnations = Math.max(state.incarnations, control.stream.incarnation);
        state.streams.set(control.stream.incarnation, control.stream);
        break;
      }
      case 'removed':
        this.#at(control.place).streams.delete(control.incarnation);
        break;
      case 'account':
        this.#at(control.place).account = control.settings;
        break;
      default:
        unreachable(control);
    }
  }

  #at(place: Place): PlaceState {
    const state = this.#places.get(place) ?? { incarnations: 0, account: NEW_ACCOUNT_SETTINGS, streams: new Map() };
    this.#places.set(place, state);
    return state;
  }
}

/** The records of the shards that are still there, not read yet, wherever in the folder they stand. */
class RunsByShard {
  readonly #standing: Standing;
  readonly #horizons: Map<ShardKey, number> = new Map();
  readonly #runs: Map<ShardKey, Run[]> = new Map();

  constructor(standing: Standing) {
    this.#standing = standing;
    for (const place of standing.places) {
      for (const { incarnation, shards } of standing.stateOf(place).streams) {
        for (const { origin, firstCounter } of shards) {
          this.#horizons.set(shardKey(place, incarnation, origin.number), firstCounter);
        }
      }
    }
  }

  /** Notes the segment's records, and what the segment is from now on. */
  take({ path, number, bytes, entries, end }: SegmentContent): Segment {
    const segment = new Segment(number);
    segment.sizeBytes = end;
    const live: { key: ShardKey; run: Run }[] = [];
    let liveBytes = 0;
    for (const { payload, offset } of entries) {
      if (payload[0] === CONTROL_PAYLOAD) continue;
      for (const run of readRuns(path, offset, payload)) {
        const key = shardKey(run.place, run.incarnation, run.shardNumber);
        const horizon = this.#horizons.get(key);
        if (horizon === undefined || run.counter + run.count <= horizon) continue;
        segment.hold(key, run.counter, run.count, run.bytes.length);
        liveBytes += run.bytes.length;
        live.push({ key, run });
      }
    }
    // Records are parts of what was read; few of them must not hold all of it in memory.
    const isMostlyDead = liveBytes < bytes.length / 2;
    for (const { key, run } of live) {
      const runs = this.#runs.get(key);
      const kept = isMostlyDead ? { ...run, bytes: Buffer.from(run.bytes) } : run;
      if (runs === undefined) this.#runs.set(key, [kept]);
      else runs.push(kept);
    }
    return segment;
  }

  model(place: Place): RestoredModel {
    return {
      ...this.#standing.stateOf(place),
      recordsOf: (stream, shard) => this.#recordsOf(place, stream, shard),
    };
  }

  /** One after the other: together they would fill the memory a second time. @throws OperatingError DATA_DAMAGED */
  *#recordsOf(place: Place, { name, incarnation }: StreamState, shard: ShardState): Generator<StoredRecord> {
    const key = shardKey(place, incarnation, shard.origin.number);
    const runs = (this.#runs.get(key) ?? []).sort((a, b) => a.counter - b.counter);
    this.#runs.delete(key);
    let next = shard.firstCounter;
    for (const run of runs) {
      const end = run.counter + run.count;
      // What was moved together stands in two places until the old one is deleted.
      if (end <= next) continue;
      if (run.counter > next) break;
      yield* recordsOf(run, next - run.counter);
      next = end;
    }
    const expected = Math.max(shard.nextCounter, ...runs.slice(-1).map(({ counter, count }) => counter + count));
    if (next >= expected) return;
    throw damaged(
      `${place}/${name}`,
      0,
      `record ${next} of shard ${shard.origin.number} is missing, of ${expected - 1}`,
    );
  }
}

function readRuns(path: string, offset: number, payload: Buffer): Run[] {
  if (payload[0] !== RECORDS_PAYLOAD)
    throw damaged(path, offset, `its content is of a kind ${payload[0]}, which is unknown`);
  try {
    return runsOf(payload);
  } catch (error) {
    throw damaged(path, offset, `its content does not parse: ${(error as Error).message}`);
  }
}

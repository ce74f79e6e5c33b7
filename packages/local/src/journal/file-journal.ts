// The journal in a folder: everything the models tell goes, in the order it is told, to the end of the last of a few segments.
// An entry is written as a whole before the model goes on, so whoever sees a record sees one that a killed process leaves
// behind. Every segment begins with a snapshot of how things stand, so that the ones before it only matter for their records,
// and those that hold none any more are deleted.
import { randomInt } from 'node:crypto';
import { type Clock, invariant, type Logger, type OperatingError, systemClock } from '@shardline/common/base';
import type { Journal, KinesisModel } from '../model/index.ts';
import { counterOf } from '../model/sequence.ts';
import { type Control, controlPayload, type Place, type Snapshot } from './control-payload.ts';
import { unavailable } from './data-errors.ts';
import { ENTRY_HEADER_BYTES } from './entry.ts';
import type { Folder } from './folder.ts';
import { GroupSync } from './group-sync.ts';
import { LiveShards, segmentToEmpty } from './housekeeping.ts';
import {
  longestRecordsPayload,
  type RecordsOrigin,
  type RecordsToWrite,
  writeRecordsPayload,
} from './records-payload.ts';
import { type Segment, segmentName, shardKey } from './segment.ts';
import { entryOf, SegmentWriter } from './segment-writer.ts';

export const FSYNC_POLICIES = ['always', 'everySecond', 'never'] as const;
/** When the disk is asked to hold what was written. A killed process loses nothing in any case; this is about the machine. */
export type Fsync = (typeof FSYNC_POLICIES)[number];

export interface FileJournalOptions {
  readonly folder: Folder;
  readonly fsync: Fsync;
  readonly logger: Logger;
  /** Kept in the folder, for the iterators of the models. */
  readonly tokenKey: string;
  /** A segment that has become longer is followed by another. */
  readonly segmentBytes: number;
  /** Of the second of `everySecond`: the system's, whatever the models' clock is. */
  readonly clock?: Clock;
}

/** What an earlier journal left in the folder. */
export interface SegmentsToGoOn {
  readonly sealed: readonly Segment[];
  readonly last: { readonly segment: Segment; readonly salt: number };
  /** Those that have streams in it: each is to be added before anything is told. */
  readonly places: Iterable<Place>;
}

const SYNC_INTERVAL_MS = 1_000;
/** Moved at one time, at most: meanwhile requests wait. */
const MAX_MOVED_BYTES = 32 * 1024 * 1024;
/** After a new segment could not be made, the old one grows by this until the next try. */
const RETRY_BYTES = 1024 * 1024;

export class FileJournal {
  readonly #options: Required<FileJournalOptions>;
  readonly #isSynced: boolean;
  readonly #sync: GroupSync;
  readonly #models: Map<Place, KinesisModel> = new Map();
  readonly #missing: Set<Place>;
  /** All segments but the last. */
  #sealed: readonly Segment[];
  #writer: SegmentWriter;
  /** At this length of the last segment a new one is due. */
  #fullBytes: number;
  #isEnding = false;
  /** The next entry is made here. */
  #bytes = Buffer.alloc(0);
  /** The last write was refused: told once, not for every request. */
  #isRefusing = false;
  /** Why nothing can be written any more. */
  #failure: OperatingError | undefined;
  #isStopped = false;
  #cancelSync: (() => void) | undefined;

  /** Begins the folder's first segment, or goes on with the last. @throws what the disk throws */
  constructor(options: FileJournalOptions, found?: SegmentsToGoOn) {
    this.#options = { clock: systemClock, ...options };
    this.#isSynced = options.fsync !== 'never';
    this.#sync = new GroupSync(() => this.#syncOrFail());
    this.#missing = new Set(found?.places);
    this.#sealed = found?.sealed ?? [];
    this.#fullBytes = options.segmentBytes;
    this.#writer =
      found === undefined
        ? this.#newSegment(1, [])
        : SegmentWriter.goOn(options.folder, found.last.segment, found.last.salt, this.#isSynced);
  }

  /** Names the model of a place: a snapshot asks it how things stand. */
  add(place: Place, model: KinesisModel): void {
    this.#models.set(place, model);
    this.#missing.delete(place);
  }

  /** What the model of this place tells goes here. */
  portFor(place: Place): Journal {
    return {
      appended: ({ incarnation }, appended) => {
        const written = appended.map(({ shard, records }) => ({ shardNumber: shard.origin.number, records }));
        this.#writeRecords({ place, incarnation }, written);
        this.#endSegmentIfFull();
      },
      changed: ({ state }) => {
        this.#writeControl({ kind: 'changed', place, stream: state });
        this.#endSegmentIfFull();
      },
      removed: ({ incarnation }) => this.#writeControl({ kind: 'removed', place, incarnation }),
      accountChanged: (settings) => this.#writeControl({ kind: 'account', place, settings }),
    };
  }

  /**
   * Resolves when what was told until now may be acknowledged and shown; undefined when it may be at once. Rejects when the disk
   * failed: then nobody knows what a restart will find.
   */
  whenSafe(): Promise<void> | undefined {
    if (this.#options.fsync !== 'always' || this.#isStopped) return undefined;
    // Asked again, the disk would agree: what it could not take is forgotten.
    return this.#failure === undefined ? this.#sync.whenSafe() : Promise.reject(this.#failure);
  }

  /** Deletes the segments that hold nothing any more, and moves out the few records that keep an old one. */
  keepHouse(): void {
    if (this.#isStopped || this.#failure !== undefined) return;
    try {
      const live = this.#moveOut();
      const kept = this.#sealed.filter((segment) => !live.isDead(segment));
      if (kept.length === this.#sealed.length) return;
      this.#writeControl(this.#snapshot(kept));
      if (this.#isSynced) this.#syncNow();
      this.#forgetAllBut(kept);
    } catch (error) {
      this.#options.logger.warn({ error }, `${this.#options.folder.path}: could not be tidied`);
    }
  }

  /** Forgets at once what the models have forgotten. @throws OperatingError DATA_UNAVAILABLE */
  reset(): void {
    try {
      this.#endSegment();
    } catch (cause) {
      throw this.#refused(cause);
    }
  }

  /** From here on nothing that is told is kept. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelSync?.();
  }

  /** Ends with everything on the disk, whatever the policy. @throws OperatingError DATA_UNAVAILABLE */
  async close(): Promise<void> {
    this.stop();
    try {
      if (this.#failure !== undefined) return;
      await this.#sync.whenSafe();
      this.#syncNow();
    } finally {
      this.#writer.close();
    }
  }

  #writeControl(control: Control): void {
    this.#write(entryOf(controlPayload(control)));
  }

  #writeRecords(origin: RecordsOrigin, written: readonly RecordsToWrite[]): void {
    const longest = ENTRY_HEADER_BYTES + longestRecordsPayload(written);
    if (longest > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(longest)));
    const end = writeRecordsPayload(this.#bytes, ENTRY_HEADER_BYTES, origin, written);
    this.#write(this.#bytes.subarray(0, end));
    for (const { shardNumber, records } of written) {
      const key = shardKey(origin.place, origin.incarnation, shardNumber);
      const bytes = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      this.#writer.segment.hold(key, counterOf(records[0]?.sequenceNumber ?? 0n), records.length, bytes);
    }
  }

  /** The one place where entries are written. @throws OperatingError DATA_UNAVAILABLE: then nothing was */
  #write(entry: Buffer): void {
    if (this.#isStopped) return;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#writer.append(entry);
    } catch (cause) {
      throw this.#refused(cause);
    }
    const { folder, fsync, logger, clock } = this.#options;
    if (this.#isRefusing) logger.warn({}, `${folder.path}: takes writes again`);
    this.#isRefusing = false;
    this.#sync.wrote(entry.length);
    if (fsync !== 'everySecond' || this.#cancelSync !== undefined) return;
    this.#cancelSync = clock.setTimer(() => this.#syncBehind(), SYNC_INTERVAL_MS, false);
  }

  #syncBehind(): void {
    this.#cancelSync = undefined;
    // It fails for good: the next who writes is told.
    this.#sync.whenSafe()?.catch(() => undefined);
  }

  async #syncOrFail(): Promise<void> {
    try {
      await this.#writer.sync();
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  #syncNow(): void {
    try {
      this.#writer.syncNow();
    } catch (cause) {
      throw this.#failed(cause);
    }
    this.#sync.allSafe();
  }

  // ---- segments

  #endSegmentIfFull(): void {
    const { sizeBytes } = this.#writer.segment;
    if (sizeBytes < this.#fullBytes) return;
    // The disk first gets what it does not hold yet while requests go on, so that the rest is soon done. Not without a bound.
    const isFarBeyond = sizeBytes >= this.#fullBytes + this.#options.segmentBytes;
    if (this.#isEnding && !isFarBeyond) return;
    const safe = this.#isSynced && !isFarBeyond ? this.#sync.whenSafe() : undefined;
    if (safe === undefined) {
      this.#tryEndSegment();
      return;
    }
    this.#isEnding = true;
    safe
      .then(() => {
        if (this.#writer.segment.sizeBytes >= this.#fullBytes) this.#tryEndSegment();
      })
      .catch(() => undefined)
      .finally(() => {
        this.#isEnding = false;
      });
  }

  /** What was told is kept, whether this succeeds or not: nobody is refused for it. */
  #tryEndSegment(): void {
    if (this.#isStopped || this.#failure !== undefined) return;
    try {
      this.#endSegment();
    } catch (error) {
      this.#fullBytes = this.#writer.segment.sizeBytes + RETRY_BYTES;
      this.#options.logger.warn({ error }, `${this.#options.folder.path}: a new segment could not be made`);
      return;
    }
    this.keepHouse();
  }

  /** Goes on in a new segment. Those of which nothing is held any more are not named in its snapshot, and deleted. */
  #endSegment(): void {
    const ended = this.#writer;
    if (this.#isSynced) this.#syncNow();
    const live = new LiveShards(this.#models);
    const kept = [...this.#sealed, ended.segment].filter((segment) => !live.isDead(segment));
    this.#writer = this.#newSegment(ended.segment.number + 1, kept);
    this.#fullBytes = this.#writer.segment.sizeBytes + this.#options.segmentBytes;
    this.#sealed = [...this.#sealed, ended.segment];
    ended.close();
    this.#forgetAllBut(kept);
  }

  #newSegment(number: number, sealed: readonly Segment[]): SegmentWriter {
    const { folder } = this.#options;
    const entry = entryOf(controlPayload(this.#snapshot(sealed)));
    try {
      return SegmentWriter.create(folder, number, randomInt(2 ** 32), entry, this.#isSynced);
    } catch (cause) {
      // Should it have got its name, a restart would begin with it and miss what goes into the old one from now on.
      if (folder.names().includes(segmentName(number))) throw this.#failed(cause);
      throw cause;
    }
  }

  #snapshot(sealed: readonly Segment[]): Snapshot {
    invariant(this.#missing.size === 0, 'a snapshot knows every model');
    return {
      kind: 'snapshot',
      tokenKey: this.#options.tokenKey,
      sealed: sealed.map(({ number, sizeBytes }) => ({ number, sizeBytes })),
      models: Object.fromEntries(Array.from(this.#models, ([place, { state }]) => [place, state])),
    };
  }

  #forgetAllBut(kept: readonly Segment[]): void {
    const { folder, logger } = this.#options;
    const dead = this.#sealed.filter((segment) => !kept.includes(segment));
    this.#sealed = kept;
    for (const { name } of dead) {
      try {
        folder.remove(name);
      } catch (error) {
        logger.warn({ error }, `${folder.path}/${name}: could not be deleted; the next start does it`);
      }
    }
  }

  /** Writes the few records again that keep segments alive. */
  #moveOut(): LiveShards {
    const live = new LiveShards(this.#models);
    for (let moved = 0; moved < MAX_MOVED_BYTES; ) {
      const emptied = segmentToEmpty(this.#sealed, this.#writer.segment, live, 2 * this.#options.segmentBytes);
      if (emptied === undefined) break;
      for (const { origin, written, bytes } of live.recordsOf(emptied)) {
        this.#writeRecords(origin, [written]);
        moved += bytes;
      }
      emptied.forgetAll();
    }
    return live;
  }

  // ---- what the disk refuses

  /** For now: the next request tries again. */
  #refused(cause: unknown): OperatingError {
    if (this.#failure !== undefined) return this.#failure;
    const error = unavailable(this.#options.folder.path, cause);
    if (!this.#isRefusing) this.#options.logger.error({ error }, `${error.message}; requests that write are refused`);
    this.#isRefusing = true;
    return error;
  }

  /** For good: what the system could not bring to the disk it has forgotten. */
  #failed(cause: unknown): OperatingError {
    if (this.#failure !== undefined) return this.#failure;
    this.#failure = unavailable(this.#options.folder.path, cause);
    const message = `${this.#failure.message}; the disk does not hold what was written: all that write are refused until a restart`;
    this.#options.logger.error({ error: this.#failure }, message);
    return this.#failure;
  }
}

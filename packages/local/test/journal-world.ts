// Models of two places on one journal in memory, steps for them to do, and what is to be seen in them: for the tests that leave
// the folder at some byte and start again in what is there.
import { type HashKey, type Logger, silentLogger } from '@shardline/common';
import fc from 'fast-check';
import type { FileJournal, Fsync } from '../src/journal/file-journal.ts';
import { openJournal } from '../src/journal/open-journal.ts';
import { ManualClock } from '../src/manual-clock.ts';
import { KinesisError, KinesisModel, type KinesisModelOptions } from '../src/model/index.ts';
import type { MemoryFolder } from './memory-folder.ts';

export const startMs = 1_700_000_000_000;
export const SEGMENT_BYTES = 1_000;
const places = ['000000000000/us-east-1', '111111111111/eu-west-1'];
const streamNames = ['orders', 'clicks'];

type Step =
  | { readonly kind: 'create' | 'delete' | 'retention' | 'merge' | 'account' | 'encrypt' | 'houseKeeping' }
  | { readonly kind: 'put'; readonly keys: readonly string[]; readonly sizeBytes: number }
  | { readonly kind: 'split'; readonly part: number }
  | { readonly kind: 'register' | 'deregister'; readonly consumerName: string }
  | { readonly kind: 'wait'; readonly ms: number };
export type PlacedStep = Step & { readonly place: number; readonly stream: number; readonly pick: number };

const consumerName = fc.constantFrom('a', 'b');
/** Anything a client can do, and time that passes. */
export const step: fc.Arbitrary<PlacedStep> = fc
  .tuple(
    fc.record({ place: fc.nat(places.length - 1), stream: fc.nat(streamNames.length - 1), pick: fc.nat() }),
    fc.oneof<fc.WeightedArbitrary<Step>[]>(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('create' as const) }) },
      {
        weight: 12,
        arbitrary: fc.record({
          kind: fc.constant('put' as const),
          keys: fc.array(fc.string({ minLength: 1, maxLength: 4, unit: 'binary' }), { minLength: 1, maxLength: 6 }),
          sizeBytes: fc.nat(300),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('split' as const), part: fc.integer({ min: 1, max: 99 }) }),
      },
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constantFrom('merge', 'retention', 'account', 'encrypt', 'houseKeeping') }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('register', 'deregister'), consumerName }) },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 999, 30_000_000) }),
      },
    ),
  )
  .map(([placed, each]): PlacedStep => ({ ...placed, ...each }));

export interface WorldOptions {
  readonly now?: number;
  readonly fsync?: Fsync;
  readonly logger?: Logger;
  readonly segmentBytes?: number;
  readonly model?: KinesisModelOptions;
}

/** Models of two places on one journal, which goes on with what is in the folder. */
export class World {
  readonly journal: FileJournal;
  /** Of the journal; the models have `now`. */
  readonly clock: ManualClock = new ManualClock();
  now: number;
  readonly models: readonly KinesisModel[];
  #puts = 0;

  constructor(folder: MemoryFolder, options: WorldOptions = {}) {
    const { now = startMs, fsync = 'never', logger = silentLogger, segmentBytes = SEGMENT_BYTES } = options;
    const { journal, models, tokenKey } = openJournal(folder, { fsync, logger, segmentBytes, clock: this.clock });
    this.journal = journal;
    this.now = now;
    this.models = places.map((place) => {
      const restored = models.get(place);
      const times = { createStreamMs: 500, reshardMs: 700, registerConsumerMs: 900, deleteStreamMs: 300 };
      const bounds = { limits: false, maxStoredBytesPerShard: 1_500, ...options.model };
      const model = new KinesisModel({ ...times, ...bounds, tokenKey, journal: journal.portFor(place), restored });
      journal.add(place, model);
      return model;
    });
  }

  /** Does it, unless the model refuses. */
  do(each: PlacedStep): void {
    try {
      this.#do(each);
    } catch (error) {
      if (!(error instanceof KinesisError)) throw error;
    }
  }

  /** Everything that a client could ever see, at this moment. */
  view(): unknown {
    for (const model of this.models) {
      model.settle(this.now);
      model.trim(this.now);
    }
    return this.models.map((model) => ({
      state: model.state,
      records: model.streams.flatMap(({ shards }) => shards.map(({ log }) => log.from(0).map(plain))),
    }));
  }

  #do(each: PlacedStep): void {
    const model = this.models[each.place];
    const streamName = streamNames[each.stream] ?? '';
    if (model === undefined) return;
    if (each.kind === 'wait') {
      this.now += each.ms;
      for (const every of this.models) every.settle(this.now);
      return;
    }
    if (each.kind === 'houseKeeping') {
      for (const every of this.models) every.trim(this.now);
      this.journal.keepHouse();
      return;
    }
    if (each.kind === 'account') {
      const commitment = { startedMs: this.now, earliestEndMs: this.now + each.pick, endMs: null };
      model.setAccount((settings) => ({ ...settings, commitment }));
      return;
    }
    if (each.kind === 'create') {
      model.createStream({ name: streamName, shardCount: 1 + (each.pick % 3) }, this.now);
      return;
    }
    const { openShards, retentionHours } = model.stream(streamName, this.now);
    const at = each.pick % openShards.length;
    const shardId = openShards[at]?.id ?? '';
    switch (each.kind) {
      case 'put': {
        const data = (index: number): Buffer => Buffer.alloc(each.sizeBytes, `${this.#puts}.${index}`);
        this.#puts++;
        const records = each.keys.map((partitionKey, index) => ({ partitionKey, data: data(index) }));
        model.putRecords({ streamName, records }, this.now);
        break;
      }
      case 'split': {
        const { start = 0n, end = 0n } = openShards[at]?.origin.range ?? {};
        const newStartingHashKey = (start + ((end - start) * BigInt(each.part)) / 100n) as HashKey;
        model.splitShard({ streamName, shardId, newStartingHashKey }, this.now);
        break;
      }
      case 'merge':
        model.mergeShards({ streamName, shardId, adjacentShardId: openShards[at + 1]?.id ?? '' }, this.now);
        break;
      case 'delete':
        model.deleteStream({ streamName, enforceConsumerDeletion: true }, this.now);
        break;
      case 'retention': {
        const direction = retentionHours === 24 ? 'increase' : 'decrease';
        model.setRetention({ streamName, hours: direction === 'increase' ? 48 : 24, direction }, this.now);
        break;
      }
      case 'encrypt':
        model.update(
          { streamName },
          ({ encryption }) => ({ encryption: { ...encryption, keyId: encryption.keyId === null ? '#1' : null } }),
          this.now,
        );
        break;
      case 'register':
        model.registerConsumer({ streamName, consumerName: each.consumerName }, this.now);
        break;
      case 'deregister':
        model.deregisterConsumer({ streamName, consumerName: each.consumerName }, this.now);
        break;
    }
  }
}

function plain(record: { data: Uint8Array }): unknown {
  return { ...record, data: Buffer.from(record.data).toString('hex') };
}

/** What was to be seen once a step was done, and the moment of the folder from which on it is there. */
export interface Done {
  readonly moment: number;
  readonly now: number;
  readonly view: unknown;
}

/** Does the steps; the first of what it returns is how things stood before. */
export function run(world: World, folder: MemoryFolder, steps: readonly PlacedStep[]): Done[] {
  const done = (): Done => ({ view: world.view(), moment: folder.moments, now: world.now });
  return [
    done(),
    ...steps.map((each) => {
      world.do(each);
      return done();
    }),
  ];
}

// Mistakes planted on purpose, to show that the checkers would see them: each puts a broken stage in place of a sound one. They
// live out here, the producer has no switch for them. CI asserts that every one is found.
import { Aggregator } from '../../../producer/dist/aggregator.js';
import type { Answer, EntryAnswer, KinesisRecord } from '../../../producer/dist/batch.js';
import { Collector } from '../../../producer/dist/collector.js';
import { Expiry } from '../../../producer/dist/expiry.js';
import { Followers } from '../../../producer/dist/followers.js';
import { Limiter } from '../../../producer/dist/limiter.js';
import { type BusyKey, KeyOrder } from '../../../producer/dist/order.js';
import { Retrier, type Verdict } from '../../../producer/dist/retrier.js';
import { ShardMap } from '../../../producer/dist/shard-map.js';
import type { PipelineOptions, Stages } from '../../../producer/dist/stages.js';
import { type StrategyState, StreamStrategy } from '../../../producer/dist/stream-strategy.js';
import type { UserRecord } from '../../../producer/dist/user-record.js';

interface PlantedBug {
  readonly name: string;
  /** What a programmer would have done wrong. */
  readonly mistake: string;
  readonly stages: (options: PipelineOptions) => Partial<Stages>;
}

const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'keys-overtake',
    mistake: 'a key may have several Kinesis records under way',
    stages: () => ({ order: new OvertakingOrder() }),
  },
  {
    name: 'auto-overlooked',
    mistake: 'a stream that is AUTO is treated as any other',
    stages: (options) => ({ strategy: new BlindStrategy(options) }),
  },
  {
    name: 'unknown-strategy-is-by-keys',
    mistake: 'as long as nobody could tell the strategy, partition keys are taken to decide',
    stages: (options) => ({ strategy: new RashStrategy(options) }),
  },
  {
    name: 'held-forgotten',
    mistake: 'records held behind a Kinesis record are lost when it is taken apart',
    stages: () => ({ order: new ForgetfulOrder() }),
  },
  {
    name: 'held-are-not-asked-for',
    mistake: 'a key is over with its Kinesis record although records are held behind it',
    stages: () => ({ order: new HastyOrder() }),
  },
  {
    name: 'first-come-first-gone',
    mistake: 'what waits for several Kinesis records leaves when the first of them has settled',
    stages: (options) => ({ followers: new HastyFollowers(options) }),
  },
  {
    name: 'keys-not-given-back',
    mistake: 'what waits is taken apart, and what it waits for is not known to carry its keys any more',
    stages: (options) => ({ followers: new ForgetfulFollowers(options) }),
  },
  {
    name: 'waits-for-the-last',
    mistake: 'a key that could go waits for the last of its company, however long that takes',
    stages: (options) => ({ followers: new PatientFollowers(options) }),
  },
  {
    name: 'any-shard-will-do',
    mistake: 'an aggregated record counts as delivered wherever it was written',
    stages: (options) => ({ retrier: new TrustingRetrier(options) }),
  },
  {
    name: 'first-record-decides',
    mistake: 'only the first user record of an aggregated record is looked at on a wrong shard',
    stages: (options) => ({ retrier: new HastyRetrier(options) }),
  },
  {
    name: 'no-answer-is-success',
    mistake: 'a request without an answer counts as written',
    stages: (options) => ({ retrier: new HopefulRetrier(options) }),
  },
  {
    name: 'unknown-is-no',
    mistake: 'a request without an answer counts as certainly not written',
    stages: (options) => ({ retrier: new CertainRetrier(options) }),
  },
  {
    name: 'retries-lost',
    mistake: 'of several Kinesis records to be tried again only the first is kept',
    stages: (options) => ({ retrier: new LossyRetrier(options) }),
  },
  {
    name: 'frame-forgotten',
    mistake: 'the 20 bytes around the message are not counted',
    stages: (options) => ({
      aggregator: new Aggregator({ ...options, aggregationMaxSizeBytes: options.aggregationMaxSizeBytes + 20 }),
    }),
  },
  {
    name: 'one-too-many',
    mistake: 'a request takes one entry more than it may',
    stages: (options) => ({
      collector: new Collector({ ...options, collectionMaxCount: options.collectionMaxCount + 1 }),
    }),
  },
  {
    name: 'never-too-old',
    mistake: 'the time to live is not watched',
    stages: () => ({ expiry: new SleepingExpiry() }),
  },
  {
    name: 'expires-in-flight',
    mistake: 'a record in flight is given up when its time is over',
    stages: () => ({ expiry: new ImpatientExpiry() }),
  },
  {
    name: 'rate-never-recovers',
    mistake: 'a rate that was cut does not grow again',
    stages: (options) => ({ limiter: new GrudgingLimiter(options) }),
  },
  {
    name: 'rate-falls-unasked',
    mistake: 'the rate falls with every answer, not with refusals alone',
    stages: (options) => ({ limiter: new TimidLimiter(options) }),
  },
  {
    name: 'map-never-renewed',
    mistake: 'a wrong prediction does not make the shard list be read again',
    stages: () => ({ shardMap: new StubbornShardMap() }),
  },
  {
    name: 'rate-doubled',
    mistake: 'a shard is written to at twice its rate',
    stages: (options) => ({ limiter: new Limiter({ rateLimitPercent: 2 * options.rateLimitPercent }) }),
  },
  {
    name: 'bytes-uncounted',
    mistake: 'a Kinesis record that need not wait takes no bytes from its shard',
    stages: (options) => ({ limiter: new LightLimiter(options) }),
  },
  {
    name: 'sent-is-over',
    mistake: 'the memory of a Kinesis record is used again as soon as it may have been sent',
    stages: () => ({}),
  },
  {
    name: 'spare-is-had',
    mistake: "a user record's object is used for the next one although it is not packed",
    stages: () => ({}),
  },
  {
    name: 'wrong-stream',
    mistake: 'a record goes to another stream of the producer than its put names',
    stages: () => ({}),
  },
  {
    name: 'bound-per-stream',
    mistake: 'the bound of outstanding records counts each stream by itself',
    stages: () => ({}),
  },
  {
    name: 'busy-stream-forgotten',
    mistake: 'past maxStreamCount a stream is forgotten although it has records',
    stages: () => ({}),
  },
];

/** Names of the planted bugs. */
export const producerPlantedBugs: readonly string[] = plantedBugs.map(({ name }) => name);

/** What a programmer would have done wrong. */
export function producerMistake(name: string): string {
  return bugOf(name).mistake;
}

/** The stages to replace, made anew for a world. */
export function brokenStages(name: string | undefined, options: PipelineOptions): Partial<Stages> {
  return name === undefined ? {} : bugOf(name).stages(options);
}

function bugOf(name: string): PlantedBug {
  const bug = plantedBugs.find((one) => one.name === name);
  if (bug === undefined) throw new RangeError(`expected one of ${producerPlantedBugs.join(', ')}, got ${name}`);
  return bug;
}

class BlindStrategy extends StreamStrategy {
  override get state(): StrategyState {
    return super.state === 'AUTO' ? 'USER_PARTITION_KEY' : super.state;
  }
}

class RashStrategy extends StreamStrategy {
  override get state(): StrategyState {
    return super.state === 'unknown' ? 'USER_PARTITION_KEY' : super.state;
  }
}

/** Each look at the rate is as if Kinesis had just refused something once more. */
class GrudgingLimiter extends Limiter {
  readonly #refused = new Map<string | undefined, KinesisRecord>();

  override refused(kinesisRecord: KinesisRecord, why: 'throttled' | 'failed', nowMs: number): void {
    this.#refused.set(kinesisRecord.shardId, kinesisRecord);
    super.refused(kinesisRecord, why, nowMs);
  }

  override written(kinesisRecord: KinesisRecord, nowMs: number): void {
    const refused = this.#refused.get(kinesisRecord.shardId);
    if (refused === undefined) return;
    refused.beganAtMs = nowMs;
    super.refused(refused, 'throttled', nowMs);
  }
}

class TimidLimiter extends Limiter {
  override written(kinesisRecord: KinesisRecord, nowMs: number): void {
    super.refused(kinesisRecord, 'throttled', nowMs);
  }
}

class OvertakingOrder extends KeyOrder {
  override carrierAt(): undefined {
    return undefined;
  }
}

class ForgetfulOrder extends KeyOrder {
  override takeAll(busy: BusyKey): Iterable<UserRecord> {
    super.takeAll(busy);
    return [];
  }
}

class HastyOrder extends KeyOrder {
  override get holds(): boolean {
    return false;
  }
}

class TrustingRetrier extends Retrier {
  override judge(kinesisRecord: KinesisRecord, answer: EntryAnswer, shardMap: ShardMap): Verdict {
    const verdict = super.judge(kinesisRecord, answer, shardMap);
    return verdict.kind === 'misplaced' || verdict.kind === 'undecided' ? { ...verdict, kind: 'delivered' } : verdict;
  }
}

class HastyRetrier extends Retrier {
  override judge(kinesisRecord: KinesisRecord, answer: EntryAnswer, shardMap: ShardMap): Verdict {
    const verdict = super.judge(kinesisRecord, answer, shardMap);
    const first = kinesisRecord.records[0];
    const fits = verdict.kind === 'misplaced' && shardMap.contains(verdict.shardId, first?.hashHex ?? '') === true;
    return fits ? { ...verdict, kind: 'delivered' } : verdict;
  }
}

class HopefulRetrier extends Retrier {
  override judgeRequest(answer: Extract<Answer, { kind: 'failed' }>): Verdict {
    if (answer.written === 'no') return super.judgeRequest(answer);
    return { kind: 'delivered', shardId: 'shardId-000000000000', sequenceNumber: '0' };
  }
}

class CertainRetrier extends Retrier {
  override judgeRequest(answer: Extract<Answer, { kind: 'failed' }>): Verdict {
    return super.judgeRequest({ ...answer, written: 'no' });
  }
}

class LossyRetrier extends Retrier {
  override put(kinesisRecords: readonly KinesisRecord[], nowMs: number, random: number): void {
    super.put(kinesisRecords.slice(0, 1), nowMs, random);
  }
}

class SleepingExpiry extends Expiry {
  override deadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  override expire(): UserRecord[] {
    return [];
  }
}

class ImpatientExpiry extends Expiry {
  override isAwaited(): boolean {
    return false;
  }
}

class StubbornShardMap extends ShardMap {
  override invalidate(): boolean {
    return false;
  }
}

class LightLimiter extends Limiter {
  override put(kinesisRecord: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const { sizeBytes } = kinesisRecord;
    kinesisRecord.sizeBytes = 0;
    const passed = super.put(kinesisRecord, nowMs);
    kinesisRecord.sizeBytes = sizeBytes;
    return passed;
  }
}

class HastyFollowers extends Followers {
  override settled(leader: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const { followers } = leader;
    super.settled(leader, nowMs);
    for (const waiting of followers) this.stop(waiting);
    return followers;
  }
}

class ForgetfulFollowers extends Followers {
  override stop(waiting: KinesisRecord): readonly KinesisRecord[] {
    super.stop(waiting);
    return [];
  }
}

class PatientFollowers extends Followers {
  override settled(leader: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    return super.settled(leader, nowMs + 1_000_000);
  }
}

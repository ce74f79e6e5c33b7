// Kinesis records that wait for others: user records whose keys are under way are laid down with their company at once, and leave together when
// all that they wait for has settled, so that nothing is kept for each of them meanwhile. What that costs: a key may have to wait for its
// company's. So where a part could go, the rest is waited for as long as any record is for company, and no longer; and as taking apart costs
// more than holding back, nobody of a shard waits like this for a while once more of it is taken apart than leaves together would pay for. Says
// who waits for whom and until when; the aggregator has what grows of it. Pure: `now` is an argument.
// Invariants: what waits has a leader that has not settled; where one key's records wait, the later ones wait for the earlier ones.
import { invariant } from '@shardline/common';
import type { KinesisRecord } from './batch.ts';

export interface FollowersOptions {
  /** How long a record waits for company. */
  readonly bufferedTimeMs: number;
}

interface Following {
  /** Rises with each that begins to wait. */
  readonly number: number;
  readonly leaders: Set<KinesisRecord>;
  /** Some of its keys wait for nothing any more; when they have waited long enough. Infinity: there are none. */
  leaveByMs: number;
}

/** A user record that is taken apart costs what so many spare that leave with their company. */
const APART_COST = 4;
/** So many are remembered at most: a shard that comes to its rate is to be seen soon. */
const MOST_SPARED = 4_096;
/** How long none of a shard waits when more was lost than spared; doubled where it comes to that again so soon afterwards. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** Of a shard. */
interface Balance {
  /** User records that have left with their company, less what taking apart has cost. */
  spared: number;
  pauseMs: number;
  pausedUntilMs: number;
}

const NONE: readonly KinesisRecord[] = [];

export class Followers {
  readonly #options: FollowersOptions;
  readonly #all = new Map<KinesisRecord, Following>();
  #count = 0;
  /** By the shard's number. */
  readonly #balances = new Map<number, Balance>();
  /** Never later than the first time that one is overdue. */
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** Whether user records of this shard wait like this now. */
  areWelcome(shard: number, nowMs: number): boolean {
    const balance = this.#balances.get(shard);
    return balance === undefined || nowMs >= balance.pausedUntilMs;
  }

  /** `waiting` has user records that wait for `leader` to settle. */
  follow(waiting: KinesisRecord, leader: KinesisRecord): void {
    let following = this.#all.get(waiting);
    if (following === undefined) {
      following = { number: ++this.#count, leaders: new Set(), leaveByMs: Number.POSITIVE_INFINITY };
      this.#all.set(waiting, following);
    }
    if (following.leaders.has(leader)) return;
    following.leaders.add(leader);
    leader.followers = [...leader.followers, waiting];
  }

  /** A user record of one of them expires then, and nobody else may watch it there. */
  watch(expiresAtMs: number): void {
    if (expiresAtMs < this.#deadlineMs) this.#deadlineMs = expiresAtMs;
  }

  waits(kinesisRecord: KinesisRecord): boolean {
    return this.#all.has(kinesisRecord);
  }

  /** A Kinesis record has settled. @returns what waited for it and waits for nothing else. */
  settled(leader: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const { followers } = leader;
    if (followers.length === 0) return followers;
    leader.followers = NONE;
    return followers.filter((waiting) => {
      const following = this.#all.get(waiting);
      invariant(following?.leaders.delete(leader) === true, 'who follows is known');
      if (following.leaders.size === 0) {
        this.#spare(waiting);
        return this.#all.delete(waiting);
      }
      this.couldGo(waiting, nowMs);
      return false;
    });
  }

  /** A part of what waits could go from now on, if not before. */
  couldGo(waiting: KinesisRecord, nowMs: number): void {
    const following = this.#all.get(waiting);
    if (following === undefined) return;
    following.leaveByMs = Math.min(following.leaveByMs, nowMs + this.#options.bufferedTimeMs);
    this.#deadlineMs = Math.min(this.#deadlineMs, following.leaveByMs);
  }

  /** It waits no more, whatever becomes of it. @returns what it waited for. */
  stop(waiting: KinesisRecord): readonly KinesisRecord[] {
    const following = this.#all.get(waiting);
    if (following === undefined) return NONE;
    this.#all.delete(waiting);
    for (const leader of following.leaders) leader.followers = leader.followers.filter((one) => one !== waiting);
    return [...following.leaders];
  }

  /**
   * Those that have not settled, each before what it waits for itself: a key is carried by the last one that has it. One of them that waits
   * began when the one before it, which has keys of the same group, was full.
   */
  latestFirst(leaders: readonly KinesisRecord[]): KinesisRecord[] {
    const rank = (leader: KinesisRecord): number => this.#all.get(leader)?.number ?? 0;
    return leaders.filter(({ phase }) => phase !== 'done').sort((a, b) => rank(b) - rank(a));
  }

  /** When `overdue` wants to be called; Infinity: never. */
  deadline(): number {
    return this.#deadlineMs;
  }

  /** What is to be taken apart now: a part has waited for the rest long enough, or one that nobody watches expires. */
  overdue(nowMs: number): KinesisRecord[] {
    if (nowMs < this.#deadlineMs) return [];
    const overdue: KinesisRecord[] = [];
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    for (const [waiting, { leaveByMs }] of this.#all) {
      const untilMs = Math.min(leaveByMs, waiting.unwatchedUntilMs);
      if (leaveByMs <= nowMs) this.#lose(waiting, nowMs);
      if (untilMs <= nowMs) overdue.push(waiting);
      else this.#deadlineMs = Math.min(this.#deadlineMs, untilMs);
    }
    return overdue;
  }

  /** It leaves with all its company. */
  #spare({ shard, count }: KinesisRecord): void {
    const balance = this.#balanceOf(shard);
    balance.spared = Math.min(balance.spared + count, MOST_SPARED);
  }

  /** It is taken apart. */
  #lose({ shard, count }: KinesisRecord, nowMs: number): void {
    const balance = this.#balanceOf(shard);
    balance.spared -= APART_COST * count;
    if (balance.spared >= 0) return;
    balance.spared = 0;
    const { pauseMs, pausedUntilMs } = balance;
    if (nowMs < pausedUntilMs) return;
    const isSoon = nowMs < pausedUntilMs + pauseMs;
    balance.pauseMs = isSoon ? Math.min(2 * pauseMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    balance.pausedUntilMs = nowMs + balance.pauseMs;
  }

  #balanceOf(shard: number): Balance {
    let balance = this.#balances.get(shard);
    if (balance === undefined) {
      balance = { spared: 0, pauseMs: 0, pausedUntilMs: Number.NEGATIVE_INFINITY };
      this.#balances.set(shard, balance);
    }
    return balance;
  }

  /** Those of which a part could go. */
  partlyFree(): KinesisRecord[] {
    return [...this.#all]
      .filter(([, { leaveByMs }]) => leaveByMs !== Number.POSITIVE_INFINITY)
      .map(([waiting]) => waiting);
  }
}

/** Whether the one that the order stage knows by this number waits for it. */
export function isFollowedBy(leader: KinesisRecord | undefined, orderNumber: number): boolean {
  for (const follower of leader?.followers ?? []) if (follower.orderNumber === orderNumber) return true;
  return false;
}

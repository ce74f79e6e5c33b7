// The producer's core for one stream, read it first: wires the stages in the order data flows, and is as pure as they are. Whoever
// drives it (producer.ts, the simulation) hands in what happened with the time, `now`, carries out the effects it answers with, and
// calls `expire` once `deadline` has come: that is the stream's one timer.
//   put → placing (order → strategy, shard map → aggregator, followers → limiter → collector) → [send] → begin → [PutRecords]
//   → answered → answering (retrier) → settling, or back to placing
// Invariants: each put record gets exactly one `delivered` or `failed`; every `send` gets one `begin`, and one `answered` if that
// gave entries; no attempt begins once a record's time to live is over, an attempt under way is awaited.
import { NODES_MEMORY } from '@shardline/common';
import { Answering } from './answering.ts';
import { type Answer, type Entry, KinesisRecord, type Request } from './batch.ts';
import { type Effect, JOINED, Outbox } from './effects.ts';
import { Placing } from './placing.ts';
import { Predictor } from './prediction.ts';
import type { Failure } from './put.ts';
import { Requests } from './requests.ts';
import { Settling } from './settling.ts';
import type { Shard } from './shard-map.ts';
import { makeStages, type PipelineOptions, type Stages } from './stages.ts';
import type { StrategyState, StreamSummary } from './stream-strategy.ts';
import type { UserRecord } from './user-record.ts';

export class Pipeline {
  readonly #stages: Stages;
  readonly #outbox = new Outbox();
  readonly #predictor: Predictor;
  readonly #requests: Requests;
  readonly #settling: Settling;
  readonly #placing: Placing;
  readonly #answering: Answering;
  readonly #maxRequestsInFlight: number;

  /** The application waits for us (`ready` is pending), so nothing is to wait for company. */
  pressed = false;

  /** `replaced`: for the simulation to put a broken stage in place of one. */
  constructor(options: PipelineOptions, replaced: Partial<Stages> = {}) {
    const stages = makeStages(options, replaced);
    const outbox = this.#outbox;
    const { lender = NODES_MEMORY } = options;
    const predictor = new Predictor(stages);
    const requests = new Requests(outbox);
    const settling = new Settling(stages.aggregator, outbox, lender, (...finished) => placing.moveUp(...finished));
    const keepsOrder = options.ordering === 'per-key';
    const placing = new Placing({ stages, predictor, settling, requests, keepsOrder, lender });
    this.#stages = stages;
    this.#predictor = predictor;
    this.#requests = requests;
    this.#settling = settling;
    this.#placing = placing;
    this.#answering = new Answering({ stages, predictor, placing, settling, requests, outbox });
    this.#maxRequestsInFlight = options.maxRequestsInFlight;
    this.#spread();
  }

  /** How the stream gives records to shards, as far as it is known. */
  get strategy(): StrategyState {
    return this.#stages.strategy.state;
  }

  /** Takes a user record. Records must come with rising `sequence`. JOINED: `deadline` need not be asked, unless `pressed` has changed. */
  put(record: UserRecord, nowMs: number): readonly Effect[] {
    this.#settling.put();
    return this.#placing.put(record, nowMs) === 'joined' ? JOINED : this.#outbox.take();
  }

  /** Everything put so far is to leave without waiting for company. */
  flush(nowMs: number): readonly Effect[] {
    this.#placing.flush(nowMs);
    return this.expire(nowMs);
  }

  /**
   * When `expire` wants to be called: in the past for at once, Infinity for never. While there is no record nothing is asked about
   * the stream either: what is overdue then is asked with the next put.
   */
  deadline(): number {
    if (this.#settling.unsettledCount === 0) return Number.POSITIVE_INFINITY;
    const { strategy, shardMap, aggregator, followers, limiter, collector, retrier, expiry } = this.#stages;
    const mayCollect = this.#requests.count < this.#maxRequestsInFlight;
    if (this.pressed && mayCollect && collector.count > 0) return Number.NEGATIVE_INFINITY;
    if (this.pressed && this.#isStill() && aggregator.openCount > 0) return Number.NEGATIVE_INFINITY;
    return Math.min(
      strategy.deadline(),
      this.#predictor.goesByKeys ? shardMap.deadline() : Number.POSITIVE_INFINITY,
      aggregator.deadline(),
      followers.deadline(),
      limiter.deadline(),
      mayCollect ? collector.deadline() : Number.POSITIVE_INFINITY,
      retrier.deadline(),
      expiry.deadline(),
    );
  }

  /** Does all that is due. */
  expire(nowMs: number): readonly Effect[] {
    const { strategy, shardMap, aggregator, limiter, collector, retrier } = this.#stages;
    if (strategy.expire(nowMs)) this.#outbox.push({ kind: 'describe-stream' });
    if (this.#predictor.goesByKeys && shardMap.expire(nowMs)) this.#outbox.push({ kind: 'list-shards' });
    this.#placing.overdue(nowMs);
    this.#failExpired(nowMs);
    const hurried = this.pressed && this.#isStill();
    for (const sealed of aggregator.expire(nowMs)) this.#placing.sealed(sealed, nowMs);
    for (const sealed of hurried ? aggregator.flush() : []) this.#placing.sealed(sealed, nowMs);
    for (const passed of limiter.expire(nowMs)) this.#placing.collect(passed, nowMs);
    this.#placing.tryAgain(retrier.expire(nowMs), nowMs);
    if (this.#requests.count < this.#maxRequestsInFlight) {
      this.#requests.send(this.pressed ? collector.flush() : collector.expire(nowMs));
    }
    return this.#outbox.take();
  }

  /**
   * The request's turn has come: gives the entries to send now. None: nothing is left to send, there will be no answer.
   * What has expired is left out; an aggregated record that the shard map has overtaken goes back to be made anew.
   */
  begin(request: Request, nowMs: number): { readonly entries: readonly Entry[]; readonly effects: readonly Effect[] } {
    this.#failExpired(nowMs);
    const sent: KinesisRecord[] = [];
    const overtaken: KinesisRecord[] = [];
    for (const kinesisRecord of request.kinesisRecords) {
      if (kinesisRecord.phase === 'done') continue;
      kinesisRecord.prune();
      if (this.#predictor.isOvertaken(kinesisRecord)) {
        overtaken.push(kinesisRecord);
        continue;
      }
      kinesisRecord.phase = 'in-flight';
      kinesisRecord.attemptCount++;
      kinesisRecord.beganAtMs = nowMs;
      sent.push(kinesisRecord);
    }
    this.#requests.begun(request, sent);
    this.#placing.placeAnew(overtaken, nowMs);
    return { entries: KinesisRecord.entriesOf(sent), effects: this.#outbox.take() };
  }

  /** A request that began is over. `random` (0 ≤ x < 1) spreads the back-off. */
  answered(requestId: number, answer: Answer, nowMs: number, random: number): readonly Effect[] {
    this.#answering.answered(this.#requests.take(requestId), answer, nowMs, random);
    return this.expire(nowMs);
  }

  /** ListShards answered with the open shards. */
  shardsListed(shards: readonly Shard[], nowMs: number): readonly Effect[] {
    const isOther = this.#stages.shardMap.loaded(shards, nowMs);
    this.#stages.limiter.forgetIdle(nowMs);
    if (isOther) this.#answering.mapChanged(nowMs);
    this.#answering.decide(nowMs);
    return this.expire(nowMs);
  }

  /** ListShards failed: unless an earlier list still holds, records travel alone until a later call succeeds. */
  listingFailed(nowMs: number): readonly Effect[] {
    if (this.#stages.shardMap.failed(nowMs)) this.#answering.mapChanged(nowMs);
    this.#answering.decide(nowMs);
    return this.expire(nowMs);
  }

  /** DescribeStreamSummary answered. */
  described(summary: StreamSummary, nowMs: number): readonly Effect[] {
    const changed = this.#stages.strategy.told(summary, nowMs);
    if (changed.shards) this.#stages.shardMap.refresh(nowMs);
    this.#spread();
    if (changed.strategy) this.#strategyChanged(nowMs);
    return this.expire(nowMs);
  }

  /** DescribeStreamSummary failed: unless an earlier answer still holds, records travel alone until a later call succeeds. */
  describingFailed(nowMs: number): readonly Effect[] {
    if (this.#stages.strategy.failed(nowMs)) this.#strategyChanged(nowMs);
    return this.expire(nowMs);
  }

  /** Fails everything that has not settled, in flight or not. Answers that come later change nothing. */
  abandon(failure: Failure): readonly Effect[] {
    const { aggregator, expiry } = this.#stages;
    const records = new Set(expiry.unsettled());
    const undecided = this.#answering.takeUndecided().map((one) => one.kinesisRecord);
    for (const kinesisRecord of [...aggregator.growing(), ...undecided, ...this.#requests.inFlight()]) {
      for (const record of kinesisRecord.records) {
        if (record.settled) continue;
        records.add(record);
        if (kinesisRecord.phase === 'in-flight' || kinesisRecord.phase === 'undecided') record.mayBeWritten = true;
      }
    }
    this.#settling.abandon([...records], failure);
    return this.#outbox.take();
  }

  /** Nothing is on its way to Kinesis or waits for a time to come. */
  #isStill(): boolean {
    const { collector, limiter, retrier } = this.#stages;
    return (
      this.#requests.count === 0 &&
      collector.count === 0 &&
      limiter.deadline() === Number.POSITIVE_INFINITY &&
      retrier.deadline() === Number.POSITIVE_INFINITY
    );
  }

  #failExpired(nowMs: number): void {
    this.#settling.expire(this.#stages.expiry.expire(nowMs), nowMs);
  }

  /** Of an AUTO stream nobody knows which shard a record goes to: its rate is that of all of them. */
  #spread(): void {
    const { limiter, strategy } = this.#stages;
    limiter.spreadOver(this.#predictor.goesByKeys ? undefined : { shardCount: strategy.openShardCount });
  }

  #strategyChanged(nowMs: number): void {
    this.#outbox.push({ kind: 'strategy-changed', state: this.strategy });
    this.#placing.strategyChanged(nowMs);
    // The shards of an AUTO stream are not listed any more: what waits for the list would wait for ever.
    if (!this.#predictor.goesByKeys) this.#answering.decide(nowMs);
  }
}

// The two paces that are compared: ours, and the KPL's, built of the same stages so that nothing but the pace differs.
import type { KinesisRecord } from '../../../producer/dist/batch.js';
import { Limiter } from '../../../producer/dist/limiter.js';
import { resolveOptions } from '../../../producer/dist/options.js';
import { Retrier } from '../../../producer/dist/retrier.js';
import type { PipelineOptions, Stages } from '../../../producer/dist/stages.js';

export type Pace = 'constant' | 'adaptive';

/** A producer's by default; AUTO or not is its stream's to say. */
export const options: PipelineOptions = { ...resolveOptions({}), bufferedTimeMs: 100, togetherMs: 20 };

export function stagesOf(pace: Pace): Partial<Stages> {
  if (pace === 'adaptive') return {};
  return { limiter: new ConstantLimiter(options), retrier: new ConstantRetrier(options) };
}

/** KPL limiter.h: a refusal changes nothing, and an AUTO stream has no limit. */
class ConstantLimiter extends Limiter {
  override refused(): void {}

  override spreadOver(): void {}
}

/** KPL retrier.cc: half of the buffered time, however often it was refused; by its defaults 50 ms. */
class ConstantRetrier extends Retrier {
  readonly #waiting: { readonly dueAtMs: number; readonly kinesisRecords: readonly KinesisRecord[] }[] = [];

  override put(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    for (const kinesisRecord of kinesisRecords) kinesisRecord.phase = 'backing-off';
    this.#waiting.push({ dueAtMs: nowMs + 50, kinesisRecords });
  }

  override deadline(): number {
    return this.#waiting[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  override expire(nowMs: number): KinesisRecord[] {
    const due: KinesisRecord[] = [];
    while ((this.#waiting[0]?.dueAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      due.push(...(this.#waiting.shift()?.kinesisRecords ?? []));
    }
    return due;
  }
}

// Where a shell's world keeps what handlers never finished: a sink behind the ready-made ones of the consumer, that takes its time and fails at
// times, with and without having taken the letter. What it holds outlives every worker.
// Invariant: a letter that it has confirmed can be read back as the record that was put.
import {
  deadLetterBucket,
  deadLetterQueue,
  deadLetterStream,
  type OnFailure,
  parseDeadLetter,
} from '@shardline/consumer';
import type { Prng } from '../prng.ts';
import type { PutRecord } from './history.ts';
import type { Host } from './host.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { numberIn } from './stream.ts';
import type { SinkPlan } from './swarm.ts';

export interface SinkOptions {
  readonly plan: SinkPlan;
  readonly prng: Prng;
  readonly isTroubled: () => boolean;
  readonly bug: PlantedBug | undefined;
}

export class SimulatedSink {
  readonly #options: SinkOptions;
  /** By their numbers, what was read back. */
  readonly #held = new Map<number, ReturnType<typeof parseDeadLetter>['record']>();

  constructor(options: SinkOptions) {
    this.#options = options;
  }

  /** As an application makes it. */
  onFailureOf(host: Host): OnFailure {
    const take = (text: string): Promise<void> => this.#take(host, text);
    switch (this.#options.plan.kind) {
      case 'stream':
        return deadLetterStream({ put: ({ data }) => take(data) });
      case 'queue':
        return deadLetterQueue({ send: ({ MessageBody }) => take(MessageBody), queueUrl: 'https://simulated.fifo' });
      case 'bucket':
        return deadLetterBucket({ send: ({ Body }) => take(Body), bucket: 'simulated' });
    }
  }

  /** Whether it holds a record as it was put. */
  holds({ number, partitionKey, position }: PutRecord): boolean {
    const held = this.#held.get(number);
    return (
      held?.partitionKey === partitionKey &&
      held.sequenceNumber === String(position.sequenceNumber) &&
      held.subSequenceNumber === position.subSequenceNumber
    );
  }

  async #take(host: Host, text: string): Promise<void> {
    const { plan, prng, isTroubled, bug } = this.#options;
    await host.pass(prng.int(plan.maxMs + 1));
    const refuses = isTroubled() && prng.chance(plan.refuses);
    if (refuses && bug?.sink === 'confirms-all') return;
    if (refuses) throw new Error('simulated: the sink refuses');
    const { record } = parseDeadLetter(text);
    this.#held.set(numberIn(record.data), record);
    await host.pass(prng.int(plan.maxMs + 1));
    if (isTroubled() && prng.chance(plan.losesAnswer)) throw new Error('simulated: the answer of the sink is lost');
  }
}

// User records put all the time through the native KPL, in portions: the next one when the KPL has said of the last what became of it.
import type { RecordSource } from '../kcl/feed.ts';
import type { KplOutcome, KplProducer } from './kpl-producer.ts';

const PORTION = 300;
const PAUSE_MS = 50;

export class KplFeed implements Pick<RecordSource, 'run' | 'stop'> {
  readonly #kpl: KplProducer;
  #putCount = 0;
  #isRunning = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(kpl: KplProducer) {
    this.#kpl = kpl;
  }

  get outcomes(): readonly KplOutcome[] {
    return this.#kpl.outcomes;
  }

  run(): void {
    this.#isRunning = true;
    this.#loop = this.#putAll();
    // A failure is told by whoever stops it.
    this.#loop.catch(() => undefined);
  }

  /** Ends when the KPL has said of everything that was put what became of it. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#loop;
  }

  async #putAll(): Promise<void> {
    while (this.#isRunning) {
      this.#putCount += PORTION;
      this.#kpl.put(PORTION);
      await this.#kpl.untilOutcomes(this.#putCount);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

// AWS's own rule engine as an oracle, beside what the consumer makes of the same pattern and the same event. Both are given the pattern
// as one for a record's data, so that what is compared is what applications use: `recordFilter`.
import { isShardlineError } from '@shardline/common';
import { recordFilter } from '@shardline/consumer';
import type { ChildProgram } from '../child-program.ts';
import { startJava } from '../java/java-process.ts';

/** Both JSON. */
export interface Question {
  readonly pattern: string;
  readonly event: string;
}

export interface Answer {
  readonly answer: 'match' | 'no match' | 'bad pattern' | 'bad event';
  /** What was wrong. */
  readonly message?: string;
}

const ANSWER_TIMEOUT_MS = 60_000;

export class EventRuler {
  readonly #program: ChildProgram;
  readonly #waiting: ((answer: Answer) => void)[];

  private constructor(program: ChildProgram, waiting: ((answer: Answer) => void)[]) {
    this.#program = program;
    this.#waiting = waiting;
  }

  static async start(): Promise<EventRuler> {
    const waiting: ((answer: Answer) => void)[] = [];
    const program = await startJava({
      program: 'event-ruler',
      mainClass: 'EventRuler',
      onLine: (line) => waiting.shift()?.(line as Answer),
    });
    return new EventRuler(program, waiting);
  }

  ask(question: Question): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => this.#waiting.push(resolve));
    this.#program.order(JSON.stringify(asData(question)));
    return this.#program.inTime(ANSWER_TIMEOUT_MS, answer);
  }

  end(): Promise<void> {
    return this.#program.end();
  }
}

/** What ours says. */
export function askOurs(question: Question): Answer {
  const { pattern } = asData(question);
  let filter: ReturnType<typeof recordFilter>;
  try {
    filter = recordFilter({ Filters: [{ Pattern: pattern }] });
  } catch (error) {
    if (!isShardlineError(error) || error.code !== 'USAGE') throw error;
    return { answer: 'bad pattern', message: error.message };
  }
  const about = { partitionKey: 'key', sequenceNumber: '1', approximateArrivalTimestamp: new Date(0) };
  return { answer: filter({ ...about, data: new TextEncoder().encode(question.event) }) ? 'match' : 'no match' };
}

function asData({ pattern, event }: Question): Question {
  return { pattern: `{"data":${pattern}}`, event: `{"data":${event}}` };
}

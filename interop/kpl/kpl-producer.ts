// The native KPL as a process, and what it has said of each user record.
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ChildProgram } from '../child-program.ts';
import { startJava } from '../java/java-process.ts';

export interface KplProducerOptions {
  readonly stream: string;
  /** Of the TLS port; the KPL speaks nothing else. */
  readonly port: number;
  readonly aggregation: boolean;
  /** That many partition keys in turn; 0: the records have none, which only AUTO streams take. */
  readonly keyCount: number;
  /** A file with the certificate to trust, as PEM. Default: none is verified. */
  readonly authorityFile?: string;
}

/** What the KPL said of a user record in the end. */
export interface KplOutcome {
  readonly key: string | null;
  /** A number of its own. */
  readonly data: string;
  readonly stored: boolean;
  readonly shard: string;
  readonly sequence: string;
  /** The error codes of the attempts that failed. */
  readonly errors: readonly string[];
}

/** The native program is unpacked once, beside the jars. */
const temporaryFolder = fileURLToPath(new URL('../java/.cache/kpl-native', import.meta.url));

export class KplProducer {
  readonly outcomes: KplOutcome[] = [];
  readonly #java: ChildProgram;
  #onOutcome: () => void = () => undefined;

  static async start(options: KplProducerOptions): Promise<KplProducer> {
    await mkdir(temporaryFolder, { recursive: true });
    let note: (outcome: KplOutcome) => void = () => undefined;
    const java = await startJava({
      program: 'kpl',
      mainClass: 'KplProducer',
      logName: options.stream,
      environment: {
        STREAM: options.stream,
        KINESIS_PORT: String(options.port),
        AGGREGATION: options.aggregation ? 'on' : 'off',
        KEYS: String(options.keyCount),
        TEMP_DIRECTORY: temporaryFolder,
        ...(options.authorityFile !== undefined && { CA_FILE: options.authorityFile }),
      },
      onLine: (line) => note(line as KplOutcome),
    });
    const producer = new KplProducer(java);
    note = (outcome) => {
      producer.outcomes.push(outcome);
      producer.#onOutcome();
    };
    return producer;
  }

  private constructor(java: ChildProgram) {
    this.#java = java;
  }

  /** Puts that many user records more. */
  put(count: number): void {
    this.#java.order(String(count));
  }

  /** Resolves when the KPL has said of that many user records what became of them. */
  async untilOutcomes(count: number, timeoutMs = 90_000): Promise<void> {
    if (this.outcomes.length >= count) return;
    let timer: NodeJS.Timeout | undefined;
    const settled = new Promise<void>((resolve, reject) => {
      const fail = (): void =>
        reject(new Error(`${this.outcomes.length} of ${count} after ${timeoutMs} ms\n${this.#java.stderr}`));
      timer = setTimeout(fail, timeoutMs);
      this.#onOutcome = () => {
        if (this.outcomes.length >= count) resolve();
      };
    });
    try {
      await Promise.race([settled, this.#java.untilBroken()]);
    } finally {
      clearTimeout(timer);
    }
  }

  async end(): Promise<void> {
    await this.#java.end();
  }
}

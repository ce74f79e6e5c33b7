// A running program of ours, Java or Node: it says what happens in lines of JSON on its standard output, and ends when its
// standard input does, so none outlives the tests, however these end. Of what it writes to stderr the last part is kept for the
// message of a failure; all of it goes to a file of the folder JAVA_LOGS, if the environment names one.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ChildStart {
  /** For messages. */
  readonly name: string;
  /** Of its file among the logs. Default: the name. */
  readonly logName?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with every line of JSON. */
  readonly onLine: (line: unknown) => void;
}

const KEPT_STDERR = 20_000;
const END_TIMEOUT_MS = 15_000;

export class ChildProgram {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<number | undefined>;
  #stderr = '';

  constructor(program: string, args: readonly string[], options: ChildStart) {
    const { name, logName = name, environment = {}, onLine } = options;
    this.#name = name;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    this.#child = child;
    // It may be gone before its standard input is closed.
    child.stdin.on('error', () => undefined);
    const keep = (text: string): void => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR);
    };
    child.stderr.setEncoding('utf8').on('data', keep);
    const logs = process.env['JAVA_LOGS'];
    if (logs !== undefined) child.stderr.pipe(createWriteStream(join(logs, `${logName}.log`)));
    const lines = createInterface(child.stdout);
    // A JVM and some libraries warn on stdout.
    lines.on('line', (line) => (line.startsWith('{') ? onLine(JSON.parse(line)) : keep(`${line}\n`)));
    // 'close' comes after the last line.
    this.#ended = once(child, 'close').then(([code]) => code ?? undefined);
  }

  /** The last it said on stderr. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Rejects when the process has ended, with what it said last: to race against whatever is waited for. */
  async untilBroken(): Promise<never> {
    const code = await this.#ended;
    throw new Error(`${this.#name} ended with ${code ?? 'a signal'}:\n${this.#stderr}`);
  }

  /** What it was to say; rejects when that does not come within the time, or the process has ended. */
  async inTime<T>(timeoutMs: number, said: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `${this.#name} said nothing for ${timeoutMs} ms`;
      timer = setTimeout(() => reject(new Error(`${message}\n${this.#stderr}`)), timeoutMs);
    });
    try {
      return await Promise.race([said, late, this.untilBroken()]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Writes a line to its standard input. */
  order(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** SIGTERM, which asks for an orderly end. @returns the exit code, undefined when it ended by a signal. */
  terminate(): Promise<number | undefined> {
    this.#child.kill('SIGTERM');
    return this.#ended;
  }

  /** SIGKILL. Resolves when it is gone, and all that it said before was heard. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Ends it by closing its standard input, and by force if that does not help. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(force);
  }
}

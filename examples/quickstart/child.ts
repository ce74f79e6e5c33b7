// One child process and its IPC channel, seen from the main process. The only file that forks and kills.
// Invariants: no child outlives the main process (it leaves when the channel closes, and is killed when this process exits);
// a child that ends without having been told to is reported once.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { OperatingError } from '@shardline/common';

export interface ChildOptions<Incoming> {
  /** For messages. */
  readonly name: string;
  /** A module beside this one. */
  readonly module: string;
  /** Handed over as JSON. */
  readonly settings: object;
  readonly onMessage: (message: Incoming) => void;
  /** It ended by itself. */
  readonly onCrash: (error: OperatingError) => void;
}

const END_TIMEOUT_MS = 15_000;

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Kills all children that are left, and resolves when they have ended. */
export async function killAllChildren(): Promise<void> {
  const ended = [...alive].map((child) => new Promise<void>((resolve) => child.once('exit', () => resolve())));
  for (const child of alive) child.kill('SIGKILL');
  await Promise.all(ended);
}

export class Child<Incoming, Outgoing extends object> {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  #isExpectedToEnd = false;
  #isAlive = true;

  constructor({ name, module, settings, onMessage, onCrash }: ChildOptions<Incoming>) {
    this.name = name;
    const child = fork(fileURLToPath(new URL(module, import.meta.url)), [JSON.stringify(settings)], {
      // Not this process's flags: two debuggers on one port would be an error.
      execArgv: [],
      // A child's stdout would tear the view apart; what it has to say about trouble it says on stderr.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#process = child;
    alive.add(child);
    child.on('message', (message) => onMessage(message as Incoming));
    this.#ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        alive.delete(child);
        this.#isAlive = false;
        resolve();
        if (this.#isExpectedToEnd) return;
        onCrash(crash(`${name} ended although nobody told it to (${signal ?? `exit code ${code}`})`));
      });
      child.on('error', (error) => {
        if (this.#isExpectedToEnd) return;
        onCrash(crash(`${name}: ${error.message}`, error));
      });
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** A child that is gone hears nothing; that it is gone is told by `onCrash`. */
  send(message: Outgoing): void {
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  /** SIGKILL: no last word, no clean-up. Resolves when the process is gone. */
  kill(): Promise<void> {
    this.#isExpectedToEnd = true;
    this.#process.kill('SIGKILL');
    return this.#ended;
  }

  /** Says `last` and waits for it to end by itself. @throws OperatingError TIMEOUT, then it was killed. */
  async end(last: Outgoing): Promise<void> {
    this.#isExpectedToEnd = true;
    this.send(last);
    let timer: NodeJS.Timeout | undefined;
    const isLate = await Promise.race([
      this.#ended.then(() => false),
      new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(true), END_TIMEOUT_MS);
      }),
    ]);
    clearTimeout(timer);
    if (!isLate) return;
    await this.kill();
    throw new OperatingError('TIMEOUT', `waited ${END_TIMEOUT_MS / 1_000} s for ${this.name} to end: it was killed`, {
      retryable: true,
    });
  }
}

function crash(message: string, cause?: unknown): OperatingError {
  return new OperatingError('CLOSED', message, { retryable: false, cause });
}

// One worker process of the soak, seen from the main process. The only file that forks and kills, and it kills what it has forked, by its
// own handle.
// Invariant: no child outlives the main process: it leaves when its channel closes, and is killed, suspended or not, when this process exits.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@shardline/common';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';

export interface Hearing {
  readonly onMessage: (message: FromWorker) => void;
  /** It ended although nobody told it to, or told to stop with another exit code than 0. */
  readonly onBroken: (reason: string) => void;
}

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class WorkerProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #mayEnd: 'not' | 'in order' | 'anyhow' = 'not';

  constructor(settings: WorkerSettings, { onMessage, onBroken }: Hearing) {
    this.name = settings.name;
    const path = fileURLToPath(new URL('../../dist/soak/worker.js', import.meta.url));
    const child = fork(path, [JSON.stringify(settings)], {
      execArgv: settings.sampleEveryMs === undefined ? [] : ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // Said once for each process, it would be all that one sees.
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    });
    this.#child = child;
    alive.add(child);
    child.on('message', (message) => onMessage(message as FromWorker));
    child.on('error', (error) => onBroken(`worker ${settings.name}: ${error.message}`));
    this.#gone = new Promise((resolve) => {
      // After the last message.
      child.on('close', (code, signal) => {
        alive.delete(child);
        const isFine = this.#mayEnd === 'anyhow' || (this.#mayEnd === 'in order' && code === 0);
        if (!isFine) onBroken(`worker ${settings.name} ended with ${signal ?? `exit code ${code}`}`);
        resolve();
      });
    });
  }

  /** SIGKILL. Resolves when it is gone, and all that it said before was heard. */
  kill(): Promise<void> {
    this.#mayEnd = 'anyhow';
    this.#child.kill('SIGKILL');
    return this.#gone;
  }

  /** Resolves when it has ended by itself; @returns false: not within the time, and it was killed. */
  async stop(timeoutMs: number): Promise<boolean> {
    this.#mayEnd = 'in order';
    if (this.#child.connected) this.#child.send('stop' satisfies ToWorker, () => undefined);
    let cancel = (): void => undefined;
    const late = new Promise<boolean>((resolve) => {
      cancel = systemClock.setTimer(() => resolve(true), timeoutMs);
    });
    const isLate = await Promise.race([late, this.#gone.then(() => false)]);
    cancel();
    if (isLate) await this.kill();
    return !isLate;
  }

  /** SIGSTOP: nothing of it runs until `resume`, and the others take it for dead. */
  suspend(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }
}

// One strategy's run of the scenario in a process of its own: the strategies share the cores of the machine, and the processor time
// of the leader's plans, which is a process's, is still theirs alone. Run as a child it answers one message; imported it starts one.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ScaleOptions, type ScaleResult, simulateScale } from './scale.ts';

export interface TimedResult {
  readonly result: ScaleResult;
  /** Processor seconds of the whole simulation. */
  readonly cpuSeconds: number;
}

const self = fileURLToPath(import.meta.url);

/** @throws Error when the process ends without a result; what it said is on stderr. */
export function simulateInChild(options: ScaleOptions): Promise<TimedResult> {
  return new Promise((resolve, reject) => {
    const child = fork(self);
    child.once('message', (answer) => resolve(answer as TimedResult));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the simulation by ${options.strategy} ended with code ${code}`)));
    child.send(options);
  });
}

if (process.argv[1] === self && process.send !== undefined) {
  process.once('message', (options: ScaleOptions) => {
    const result = simulateScale(options);
    const { user, system } = process.cpuUsage();
    process.send?.({ result, cpuSeconds: (user + system) / 1e6 } satisfies TimedResult, () => process.disconnect());
  });
}

// What the soak's main process and its workers say to each other, and what a worker is started with.
import type { LocalClientConfig } from '@shardline/local';
import type { Sample } from './flatness.ts';
import type { Beginning, Finished } from './handled-ledger.ts';
import type { TenureName } from './tenure-name.ts';
import type { EndedWindow } from './window-ledger.ts';

export type Mode = 'polling' | 'fanout';

export interface WorkerSettings {
  /** Of this process, and of no other. */
  readonly name: string;
  /** Undefined: one that the consumer makes up. */
  readonly workerId: string | undefined;
  readonly mode: Mode;
  readonly application: string;
  readonly stream: string;
  readonly kinesis: LocalClientConfig;
  readonly dynamoDB: LocalClientConfig;
  readonly seed: number;
  readonly requestTimeoutMs: number;
  /** How often it says how large it is; needs --expose-gc. Undefined: never. */
  readonly sampleEveryMs: number | undefined;
  /** Of the tumbling windows that its handlers have. Undefined: they have none. */
  readonly windowLengthMs: number | undefined;
  /** A bug, to prove that the accounting finds it: handlers that leave out one record in fifty, and say nothing. */
  readonly skipsRecords: boolean;
}

type Of<T> = Omit<T, 'worker'>;

export type FromWorker =
  | ({ readonly kind: 'begun'; readonly beginning: Beginning } & Of<TenureName>)
  | ({ readonly kind: 'finished' } & Of<Finished>)
  | ({ readonly kind: 'windowEnded' } & Of<EndedWindow>)
  | ({ readonly kind: 'lost' } & Of<TenureName>)
  | ({ readonly kind: 'ended'; readonly atMs: number } & Of<TenureName>)
  | { readonly kind: 'sample'; readonly sample: Sample }
  | { readonly kind: 'failed'; readonly reason: string };

export type ToWorker = 'stop';

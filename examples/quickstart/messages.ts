// What the quickstart's processes say to each other over their IPC channels. Both ends are built from this file, so a message
// is what its type says.

/** How to reach the local servers. */
export interface Endpoints {
  readonly kinesis: string;
  readonly dynamodb: string;
}

export interface LocalAwsSettings {
  readonly stream: string;
  readonly shardCount: number;
}

export type FromLocalAws = { readonly kind: 'listening'; readonly endpoints: Endpoints };

export interface WorkerSettings {
  readonly workerId: string;
  readonly application: string;
  readonly stream: string;
  readonly endpoints: Endpoints;
}

export type FromWorker =
  /** The consumer is set up and runs. */
  | { readonly kind: 'running' }
  | { readonly kind: 'lease'; readonly shardId: string; readonly change: 'begun' | 'given up' | 'shard ended' }
  /** In handling order. The worker goes on when it is answered. */
  | {
      readonly kind: 'handled';
      readonly reportId: number;
      readonly shardId: string;
      readonly lineNumbers: readonly number[];
      /** Of the same lines. */
      readonly checksums: readonly number[];
      /** Records that are no lines. */
      readonly strayCount: number;
      /** How far this batch was from the shard's tip; undefined when Kinesis didn't say. */
      readonly behindMs: number | undefined;
    }
  | { readonly kind: 'failed'; readonly reason: string };

export type ToWorker =
  /** The main process has counted the report. */
  { readonly kind: 'counted'; readonly reportId: number } | { readonly kind: 'stop' };

export type ToLocalAws = { readonly kind: 'stop' };

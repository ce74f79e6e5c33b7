// A worker of ours as a process, set up by the same environment as one of the Java KCL.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ChildProgram } from '../child-program.ts';
import type { KclWorkerOptions } from '../kcl/kcl-worker.ts';
import { WorkerProcess } from '../kcl/worker-process.ts';

export interface NodeWorkerOptions {
  readonly workerId: string;
  readonly application: string;
  readonly stream: string;
  readonly mode: KclWorkerOptions['mode'];
  readonly kinesisEndpoint: string;
  readonly dynamoDBEndpoint: string;
  /** The intervals of the fleet. */
  readonly times: Readonly<Record<string, string>>;
}

/** What a worker of ours is told while it runs. */
export type OperatorWord =
  /** All of its leases without keys. It answers with `handedOff`. */
  { readonly kind: 'handOff'; readonly leaseKeys?: readonly string[] | undefined } | { readonly kind: 'accept' };

/** The same whether this file runs as it is or compiled. */
const program = join(
  dirname(createRequire(import.meta.url).resolve('@shardline/interop/package.json')),
  'fleet',
  'node-worker.mjs',
);

export function startNodeWorker(options: NodeWorkerOptions): Promise<WorkerProcess> {
  const { workerId, application, stream, mode, kinesisEndpoint, dynamoDBEndpoint, times } = options;
  const environment = {
    WORKER_ID: workerId,
    APPLICATION: application,
    STREAM: stream,
    MODE: mode,
    KINESIS_ENDPOINT: kinesisEndpoint,
    DYNAMODB_ENDPOINT: dynamoDBEndpoint,
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    ...times,
  };
  const logName = `${application}-${workerId}`;
  return WorkerProcess.start(workerId, 'node', async (onLine) => {
    return new ChildProgram(process.execPath, [program], { name: 'node-worker.mjs', logName, environment, onLine });
  });
}

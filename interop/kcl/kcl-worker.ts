// A worker of the real Java KCL as a process, set up by its environment.
import type { JavaProgram } from '../java/build.ts';
import { startJava } from '../java/java-process.ts';
import { WorkerProcess } from './worker-process.ts';

export interface KclWorkerOptions {
  readonly workerId: string;
  readonly application: string;
  readonly stream: string;
  readonly mode: 'POLLING' | 'FANOUT';
  /** What the SDK for Java speaks unless told otherwise is CBOR. */
  readonly wire: 'CBOR' | 'JSON';
  readonly kinesisEndpoint: string;
  /** Over TLS, the certificate to trust, as PEM. */
  readonly kinesisCertificate: string | undefined;
  readonly dynamoDBEndpoint: string;
  /** Default: the KCL of the program's pom. */
  readonly program?: JavaProgram;
  /** The intervals of a fleet, by the names of KclWorker.java's environment. Default: as short as a fleet of one kind bears. */
  readonly times?: Readonly<Record<string, string>>;
}

export function startKclWorker(options: KclWorkerOptions): Promise<WorkerProcess> {
  const { workerId, application, program = 'kcl' } = options;
  return WorkerProcess.start(workerId, 'java', (onLine) =>
    startJava({
      program,
      mainClass: 'KclWorker',
      logName: `${application}-${workerId}`,
      systemProperties: options.wire === 'JSON' ? { 'aws.cborEnabled': 'false' } : {},
      environment: {
        WORKER_ID: workerId,
        APPLICATION: application,
        STREAM: options.stream,
        MODE: options.mode,
        KINESIS_ENDPOINT: options.kinesisEndpoint,
        DYNAMODB_ENDPOINT: options.dynamoDBEndpoint,
        ...(options.kinesisCertificate !== undefined && { KINESIS_CERTIFICATE: options.kinesisCertificate }),
        ...options.times,
      },
      onLine,
    }),
  );
}

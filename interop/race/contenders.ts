// Starts what the race is run with: the sink and, one at a time, a contender, each a process of its own. A contender that
// ends without an outcome fails the run, with what it said last.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ChildProgram, type ChildStart } from '../child-program.ts';
import { startJava } from '../java/java-process.ts';
import type { Face, Outcome, Settings } from './settings.ts';
import type { SinkCounts } from './sink.ts';

/** What a contender is told besides where the sink is. */
export type Leg = Omit<Settings, 'port'>;

const SINK_TIMEOUT_MS = 10_000;
const LEG_TIMEOUT_MS = 900_000;
/** As much as an application would give it; nothing else is set, for these are the JVM's best settings. */
const JVM_FLAGS = ['-Xmx2g'];

/** Key and certificate of the sink, and what the KPL unpacks, in a folder that goes with it. */
export class Track implements AsyncDisposable {
  readonly folder: string;

  static async prepare(): Promise<Track> {
    const track = new Track(await mkdtemp(join(tmpdir(), 'shardline-race-')));
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', track.keyFile, '-out', track.certificateFile],
    ]);
    return track;
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  get keyFile(): string {
    return join(this.folder, 'key.pem');
  }

  get certificateFile(): string {
    return join(this.folder, 'certificate.pem');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class Sink implements AsyncDisposable {
  readonly #program: ChildProgram;
  #heard: (line: unknown) => void = () => undefined;
  port = 0;

  static async start({ keyFile, certificateFile }: Track, shardCount: number): Promise<Sink> {
    const environment = { SHARDS: String(shardCount), KEY_FILE: keyFile, CERTIFICATE_FILE: certificateFile };
    const sink = new Sink(environment);
    const { port } = (await sink.#line()) as { port: number };
    sink.port = port;
    return sink;
  }

  private constructor(environment: Readonly<Record<string, string>>) {
    this.#program = node('sink', { environment, onLine: (line) => this.#heard(line) });
  }

  /** What it was sent, since its start. */
  counts(): Promise<SinkCounts> {
    this.#program.order('counts');
    return this.#line() as Promise<SinkCounts>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end();
  }

  #line(): Promise<unknown> {
    const line = new Promise<unknown>((resolve) => {
      this.#heard = resolve;
    });
    return this.#program.inTime(SINK_TIMEOUT_MS, line);
  }
}

export function raceOurs(face: Face, leg: Leg, sink: Sink, { certificateFile }: Track): Promise<Outcome> {
  const environment = { FACE: face, NODE_EXTRA_CA_CERTS: certificateFile };
  return run(leg, sink, async (start) =>
    node('ours', { ...start, environment: { ...start.environment, ...environment } }),
  );
}

export function raceKpl(leg: Leg, sink: Sink, { folder }: Track): Promise<Outcome> {
  return run(leg, sink, (start) => {
    const environment = { ...start.environment, TEMP_DIRECTORY: folder };
    return startJava({ ...start, environment, program: 'kpl', mainClass: 'KplRace', flags: JVM_FLAGS });
  });
}

async function run(
  leg: Leg,
  { port }: Sink,
  start: (given: Omit<ChildStart, 'name'>) => Promise<ChildProgram>,
): Promise<Outcome> {
  const settings: Settings = { ...leg, port };
  let said: (outcome: unknown) => void = () => undefined;
  const outcome = new Promise<unknown>((resolve) => {
    said = resolve;
  });
  const program = await start({ environment: { SETTINGS: JSON.stringify(settings) }, onLine: (line) => said(line) });
  try {
    return (await program.inTime(LEG_TIMEOUT_MS, outcome)) as Outcome;
  } finally {
    await program.end();
  }
}

function node(script: 'sink' | 'ours', start: Omit<ChildStart, 'name'>): ChildProgram {
  return new ChildProgram(process.execPath, [fileURLToPath(new URL(`${script}.js`, import.meta.url))], {
    ...start,
    name: script,
  });
}

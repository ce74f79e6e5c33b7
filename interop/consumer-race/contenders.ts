// Starts what the consumers' race is run with: the stream's server and, one at a time, a contender, each a process of its own. A
// contender that ends without an outcome fails its leg, with what it said last.
import { fileURLToPath } from 'node:url';
import { ChildProgram, type ChildStart } from '../child-program.ts';
import { startJava } from '../java/java-process.ts';
import type { Outcome, Settings } from './settings.ts';
import type { StreamContents } from './written-records.ts';

export type Contender = 'ours' | 'kcl' | 'sdk';

/** Where a contender reads, and where it keeps its leases. */
export interface Endpoints {
  readonly kinesis: string;
  readonly dynamoDB: string;
}

type StartProgram = (given: Omit<ChildStart, 'name'>) => Promise<ChildProgram>;

const SERVER_TIMEOUT_MS = 30_000;
const LEG_TIMEOUT_MS = 300_000;
/** As much as an application would give it; nothing else is set, for these are the JVM's best settings. */
const JVM_FLAGS = ['-Xmx2g'];

/** The endless stream. */
export class StreamServer implements AsyncDisposable {
  readonly #program: ChildProgram;
  readonly endpoint: string;

  static async start(contents: StreamContents): Promise<StreamServer> {
    const environment = { CONTENTS: JSON.stringify(contents) };
    const start: StartProgram = async (given) => node('stream-server', given);
    const { program, line } = await saying<{ readonly port: number }>(start, environment, SERVER_TIMEOUT_MS);
    return new StreamServer(program, `http://127.0.0.1:${line.port}`);
  }

  private constructor(program: ChildProgram, endpoint: string) {
    this.#program = program;
    this.endpoint = endpoint;
  }

  /** What is read from it, or why it cannot be: it has ended. */
  outlast<T>(read: Promise<T>): Promise<T> {
    return Promise.race([read, this.#program.untilBroken()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end();
  }
}

/** Runs one leg of one contender. */
export async function race(
  contender: Contender,
  settings: Settings,
  { kinesis, dynamoDB }: Endpoints,
): Promise<Outcome> {
  const environment = {
    SETTINGS: JSON.stringify(settings),
    AWS_ENDPOINT_URL_KINESIS: kinesis,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDB,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
  const start: StartProgram = async (given) =>
    contender === 'kcl'
      ? startJava({ ...given, program: 'kcl', mainClass: 'KclRace', flags: JVM_FLAGS })
      : node(contender, given);
  const { program, line } = await saying<Outcome>(start, environment, LEG_TIMEOUT_MS);
  await program.end();
  return line;
}

/** Starts a program and waits for its first line. */
async function saying<T>(
  start: StartProgram,
  environment: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<{ program: ChildProgram; line: T }> {
  let say: (line: unknown) => void = () => undefined;
  const said = new Promise<unknown>((resolve) => {
    say = resolve;
  });
  const program = await start({ environment, onLine: (line) => say(line) });
  try {
    return { program, line: (await program.inTime(timeoutMs, said)) as T };
  } catch (error) {
    await program.end();
    throw error;
  }
}

function node(script: 'stream-server' | 'ours' | 'sdk', start: Omit<ChildStart, 'name'>): ChildProgram {
  const program = fileURLToPath(new URL(`${script}.js`, import.meta.url));
  return new ChildProgram(process.execPath, [program], { ...start, name: script });
}

// AWS's DynamoDB Local on a free port of the loopback, its tables in memory: what a Java KCL needs (dynalite cannot add the owner
// index), and the nearest thing to DynamoDB that our own lease table can be tried on without an account.
import { startJava } from '../java/java-process.ts';

export interface DynamoDBLocal {
  readonly endpoint: string;
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;

export async function startDynamoDBLocal(): Promise<DynamoDBLocal> {
  let listening: (endpoint: string) => void = () => undefined;
  const ready = new Promise<string>((resolve) => {
    listening = resolve;
  });
  const java = await startJava({
    program: 'dynamodb-local',
    mainClass: 'DynamoDBLocalServer',
    onLine: (line) => listening(`http://127.0.0.1:${(line as { port: number }).port}`),
  });
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no port after ${START_TIMEOUT_MS} ms:\n${java.stderr}`)),
      START_TIMEOUT_MS,
    );
  });
  try {
    const endpoint = await Promise.race([ready, java.untilBroken(), tooLate]);
    return { endpoint, close: () => java.end() };
  } catch (error) {
    await java.end();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

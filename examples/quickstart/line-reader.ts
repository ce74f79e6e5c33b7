// Where the lines come from: a file, stdin, or the generator; each is a stream of lines as bytes, read as fast as the producer
// takes them and no faster. Nothing is decoded here, so that a file in any encoding travels unchanged.
// Invariants: a line ends at LF, a CR before it is left out, a last line without LF counts; no line longer than a user record
// may be; no wait without an end.
import { createReadStream, fstatSync } from 'node:fs';
import { basename } from 'node:path';
import { DEFAULT_MAX_RECORD_BYTES, OperatingError, UsageError, unreachable } from '@shardline/common';
import type { LinesFrom } from './arguments.ts';
import { clicks } from './clicks.ts';

/** An opened source. */
export interface LineSource {
  /** For the progress view. */
  readonly name: string;
  readonly lines: AsyncIterator<Buffer, void, void>;
  /** Lets go of the file or of stdin. */
  readonly close: () => void;
}

/** Room for the number in front and for the partition key. */
export const MAX_LINE_BYTES: number = DEFAULT_MAX_RECORD_BYTES - 1_024;
const SILENCE_TIMEOUT_MS = 60_000;
/** How long a pipe that nobody asked for may be silent before the generator takes its place. */
const UNSAID_TIMEOUT_MS = 3_000;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Opens the source and waits for its first line. The signal closes it, now or later.
 * @throws OperatingError INPUT_UNREADABLE, or TIMEOUT when nothing comes; UsageError when there is no line in it.
 */
export async function openLines(from: LinesFrom, signal: AbortSignal): Promise<LineSource> {
  switch (from.kind) {
    case 'file':
      return startWithALine(fileSource(from.path), signal, 'a file with at least one line', 'an empty one');
    case 'stdin':
      return startWithALine(stdinSource(SILENCE_TIMEOUT_MS), signal, 'at least one line on stdin', 'none');
    case 'generator':
      return generatorSource(from.recordCount, from.seed);
    case 'unsaid':
      return (isPiped() && (await pipedSource(signal))) || generatorSource(from.recordCount, from.seed);
    default:
      return unreachable(from);
  }
}

/** Cuts chunks into lines. @throws UsageError naming the line that is too long. */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let lineNumber = 1;
  let begun: Buffer[] = [];
  let begunBytes = 0;
  const finish = (end: Buffer): Buffer => {
    const line = begun.length === 0 ? end : Buffer.concat([...begun, end]);
    begun = [];
    begunBytes = 0;
    const content = line.at(-1) === CR ? line.subarray(0, -1) : line;
    checkLength(content.length, lineNumber++);
    return content;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
      yield finish(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from === chunk.length) continue;
    begun.push(chunk.subarray(from));
    begunBytes += chunk.length - from;
    // One more for a CR that may turn out to belong to the line's end.
    checkLength(begunBytes - 1, lineNumber);
  }
  if (begunBytes > 0) yield finish(Buffer.alloc(0));
}

function checkLength(lengthBytes: number, lineNumber: number): void {
  if (lengthBytes <= MAX_LINE_BYTES) return;
  const got = `a longer one at line ${lineNumber}`;
  throw new UsageError('--input', `lines of at most ${MAX_LINE_BYTES} bytes (a record holds no more)`, got);
}

function fileSource(path: string): LineSource {
  const file = createReadStream(path);
  return { name: basename(path), lines: splitLines(readable(file, path)), close: () => file.destroy() };
}

function stdinSource(firstTimeoutMs: number): LineSource {
  const { stdin } = process;
  return {
    name: 'stdin',
    lines: splitLines(readable(withTimeout(stdin, firstTimeoutMs), 'stdin')),
    close: () => stdin.destroy(),
  };
}

function generatorSource(recordCount: number, seed: number): LineSource {
  return {
    name: `${recordCount} clicks generated from seed ${seed}`,
    lines: splitLines(clicks(recordCount, seed)),
    close: () => undefined,
  };
}

/** Stdin, if anything comes: scripts often leave a pipe there that is silent, or ended, without meaning anything by it. */
async function pipedSource(signal: AbortSignal): Promise<LineSource | undefined> {
  const source = stdinSource(UNSAID_TIMEOUT_MS);
  try {
    return await startWithALine(source, signal, 'at least one line on stdin', 'none');
  } catch (error) {
    const isSilent = error instanceof UsageError || (error instanceof OperatingError && error.code === 'TIMEOUT');
    if (!isSilent) throw error;
    process.stderr.write('Nothing came on stdin, so clicks are generated (--input - insists on stdin).\n');
    return undefined;
  }
}

function isPiped(): boolean {
  try {
    const status = fstatSync(0);
    return status.isFIFO() || status.isFile() || status.isSocket();
  } catch {
    // There is no stdin at all: it is closed.
    return false;
  }
}

async function startWithALine(
  source: LineSource,
  signal: AbortSignal,
  expected: string,
  got: string,
): Promise<LineSource> {
  signal.addEventListener('abort', source.close, { once: true });
  try {
    const first = await source.lines.next();
    if (first.done) throw new UsageError('--input', expected, got);
    return { ...source, lines: startingWith(first.value, source.lines) };
  } catch (error) {
    source.close();
    throw error;
  }
}

async function* startingWith(
  first: Buffer,
  rest: AsyncIterator<Buffer, void, void>,
): AsyncGenerator<Buffer, void, void> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function* readable(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer, void, void> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof OperatingError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `--input: expected a file that can be read, got ${JSON.stringify(path)} (${reason})`;
    throw new OperatingError('INPUT_UNREADABLE', message, { retryable: false, cause: error });
  }
}

/** The chunks, or an error when the next one takes too long. */
async function* withTimeout(stream: AsyncIterable<Buffer>, firstTimeoutMs: number): AsyncGenerator<Buffer, void, void> {
  const chunks = stream[Symbol.asyncIterator]();
  for (let timeoutMs = firstTimeoutMs; ; timeoutMs = SILENCE_TIMEOUT_MS) {
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      const message = `--input: expected lines on stdin, got none for ${timeoutMs / 1_000} s`;
      timer = setTimeout(() => reject(new OperatingError('TIMEOUT', message, { retryable: true })), timeoutMs);
    });
    try {
      const next = await Promise.race([chunks.next(), silence]);
      if (next.done) return;
      yield next.value;
    } finally {
      clearTimeout(timer);
    }
  }
}

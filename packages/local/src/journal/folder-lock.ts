// One server a folder. Whoever wants the folder adds a line to its file `server.lock` (appending is atomic, so there is an order) and
// has it when no earlier line is of a claim that still stands. A claim falls with its process, so a killed server is in nobody's
// way; and nothing is ever deleted, so two that start at once cannot delete each other's. Processes of two containers or machines do
// not know each other's numbers: between them it keeps nobody out.
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isShardlineError, UsageError } from '@shardline/common/base';
import { inUse } from './data-errors.ts';

interface Claim {
  readonly id: string;
  readonly pid: number;
  /** When the process was started, in the system's own ticks; empty where the system does not say. */
  readonly startedTicks: string;
  readonly claimedMs: number;
}

/**
 * Makes the folder if it is not there, and takes it; the returned function gives it back.
 * @throws UsageError dataFolder, OperatingError DATA_IN_USE
 */
export function takeFolder(path: string): () => void {
  try {
    makeFolder(resolve(path));
    return claimed(path);
  } catch (error) {
    if (isShardlineError(error)) throw error;
    throw new UsageError('dataFolder', 'a folder that this user may write to', (error as Error).message);
  }
}

/** With those above it. Node's own `recursive` never returns where a folder is there and lets none be made in it, as /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new Error(`${path} is no folder`);
    return;
  }
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another one has just made it.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function claimed(path: string): () => void {
  const file = join(path, 'server.lock');
  const { pid } = process;
  const mine: Claim = { id: randomUUID(), pid, startedTicks: startedTicks(pid), claimedMs: Date.now() };
  const release = (): void => {
    try {
      appendFileSync(file, `\nrelease ${mine.id}\n`);
    } catch {
      // The folder is gone, or the disk is full: the claim falls with this process.
    }
  };
  // A line that a full disk cut short ends here.
  appendFileSync(file, `\nclaim ${mine.id} ${mine.pid} ${mine.startedTicks || '-'} ${mine.claimedMs}\n`);
  for (const claim of standingClaims(readFileSync(file, 'latin1'))) {
    if (claim.id === mine.id) break;
    if (!isAlive(claim)) continue;
    release();
    throw inUse(path, claim.pid);
  }
  return release;
}

/** In the order they were made. */
function standingClaims(text: string): Claim[] {
  const claims = new Map<string, Claim>();
  for (const line of text.split('\n')) {
    const [word, id = '', pid, ticks, claimedMs] = line.split(' ');
    if (word === 'release') claims.delete(id);
    if (word !== 'claim' || claimedMs === undefined) continue;
    claims.set(id, {
      id,
      pid: Number(pid),
      startedTicks: ticks === '-' ? '' : (ticks ?? ''),
      claimedMs: Number(claimedMs),
    });
  }
  return [...claims.values()];
}

/** Whether the process that claimed lives on. Its number may be another's by now, in a container even this one's. */
function isAlive({ pid, startedTicks: claimedTicks, claimedMs }: Claim): boolean {
  if (!(pid > 0)) return false;
  if (pid === process.pid && claimedMs < Date.now() - process.uptime() * 1000) return false;
  const ticks = startedTicks(pid);
  if (ticks !== '' && claimedTicks !== '') return ticks === claimedTicks;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Linux alone says it: field 22 of /proc/PID/stat, counted after the name, which may hold anything. */
function startedTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Z, X: it has ended, and whoever started it has not asked how.
    return /^[ZX]/.test(fields[0] ?? '') ? 'ended' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

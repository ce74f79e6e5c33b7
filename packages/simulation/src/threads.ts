// Spreads pieces of work over threads and gives back what came of them in the order of the pieces, so that a run says the same
// whatever the number of threads. With one job there is no thread beside this one. Each thread runs this very file.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { type FoundBug, findBug, type Piece, runSeeds, type SeedsDone } from './simulate.ts';

type Result<P extends Piece> = P extends { readonly kind: 'seeds' } ? SeedsDone : FoundBug;

/** Yields each piece's result in order; pieces are taken up as threads become free, and no more once the reader stops. */
export async function* perform<P extends Piece>(pieces: Iterable<P>, jobs: number): AsyncGenerator<Result<P>> {
  if (jobs === 1) {
    for (const piece of pieces) yield work(piece) as Result<P>;
    return;
  }
  const threads = Array.from({ length: jobs }, () => new Worker(new URL(import.meta.url)));
  const source = pieces[Symbol.iterator]();
  const idle = [...threads];
  const underWay: Promise<Result<P>>[] = [];
  const freed = new Set<() => void>();
  const begin = async (thread: Worker, piece: P): Promise<Result<P>> => {
    const result = await ask<Result<P>>(thread, piece);
    idle.push(thread);
    for (const wake of freed) wake();
    return result;
  };
  const fill = (): void => {
    while (idle.length > 0 && underWay.length < 4 * jobs) {
      const next = source.next();
      if (next.done === true) return;
      const result = begin(idle.pop() as Worker, next.value);
      // Seen by whoever awaits it in its turn.
      result.catch(() => undefined);
      underWay.push(result);
    }
  };
  freed.add(fill);
  try {
    for (fill(); underWay.length > 0; fill()) {
      const result = await (underWay[0] as Promise<Result<P>>);
      underWay.shift();
      yield result;
    }
  } finally {
    freed.clear();
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

function ask<R>(thread: Worker, piece: Piece): Promise<R> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      thread.off('message', onMessage);
      thread.off('error', onError);
    };
    const onMessage = (result: R): void => {
      end();
      resolve(result);
    };
    const onError = (error: Error): void => {
      end();
      reject(new Error(`in ${JSON.stringify(piece)}`, { cause: error }));
    };
    thread.on('message', onMessage);
    thread.on('error', onError);
    thread.postMessage(piece);
  });
}

function work(piece: Piece): SeedsDone | FoundBug {
  return piece.kind === 'seeds' ? runSeeds(piece, () => performance.now()) : findBug(piece);
}

if (!isMainThread) parentPort?.on('message', (piece: Piece) => parentPort?.postMessage(work(piece)));
